"""Fitted state as a value: it comes back as it was, and nothing else can be made of a file."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor

from anomech.detectors.strip import FittedStrip
from anomech.kernel import plugins
from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError, DataError
from anomech.storage.state import Learned, pack, unpack


class Model:
    """Stands for a task."""


class Pair(NamedTuple):
    left: Tensor | None
    right: Tensor | None


@options
class Chosen:
    """Options."""

    ridge: float = option(0.1, "a number")


@dataclass(frozen=True)
class Inner:
    rows: Tensor
    place: slice
    by_group: Mapping[int, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Fitted:
    model: Model
    chosen: Chosen
    inner: Mapping[str, Inner]
    pairs: Mapping[str, Pair]
    again: Tensor
    turned: Tensor
    array: np.ndarray
    number: float
    far: float
    mode: Literal["a", "b"]
    words: tuple[str, ...]
    maybe: Inner | None
    engine: Callable[..., Any] | None


def fitted(model):
    """An example of everything."""
    rows = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inner = Inner(rows, slice(0, 2), {4: (torch.arange(3), torch.eye(3)[:, 1:])})
    return Fitted(
        model=model,
        chosen=Chosen(ridge=0.3),
        inner={"layer1.0 to layer2.1": inner},
        pairs={"weight": Pair(rows[0], None)},
        again=rows,
        turned=torch.arange(24).view(2, 3, 4).permute(2, 0, 1),
        array=np.arange(4.0),
        number=0.1 + 0.2,
        far=float("inf"),
        mode="b",
        words=("one", "two"),
        maybe=None,
        engine=None,
    )


def round_trip(value, kind, links):
    """Through the text and bytes that a file would hold."""
    tensors = {}
    facts = json.loads(json.dumps(pack(value, kind, links, tensors, "it"), allow_nan=False))
    copies = {name: tensor.clone() for name, tensor in tensors.items()}
    return unpack(kind, facts, links, copies, "it"), tensors, facts


def test_every_kind_of_field_comes_back_bit_for_bit():
    model = Model()
    links = {Model: [model], Callable[..., Any]: []}
    before = fitted(model)
    after, tensors, _ = round_trip(before, Fitted, links)
    assert after.model is model
    assert after.chosen == before.chosen
    assert torch.equal(after.again, before.again)
    part = after.inner["layer1.0 to layer2.1"]
    assert part.place == slice(0, 2)
    assert torch.equal(part.by_group[4][1], torch.eye(3)[:, 1:])
    assert after.pairs["weight"].right is None
    assert np.array_equal(after.array, before.array)
    assert (after.number, after.far, after.mode, after.words, after.maybe) == (
        0.1 + 0.2,
        float("inf"),
        "b",
        ("one", "two"),
        None,
    )
    assert after.turned.stride() == before.turned.stride()
    assert torch.equal(after.turned, before.turned)
    assert "it.again" not in tensors  # the same memory is kept once
    assert after.again is part.rows


Draws = TypeVar("Draws")


@dataclass(frozen=True)
class Source(Generic[Draws]):
    draws: Draws


@dataclass(frozen=True)
class Noise:
    sigma: float


def test_a_type_variable_is_what_the_annotation_fills_it_with():
    assert round_trip(Source(Noise(0.5)), Source[Noise], {})[0] == Source(Noise(0.5))


@dataclass(frozen=True)
class Asking:
    others: Mapping[str, Learned]


def test_what_another_method_learned_is_kept_by_the_name_of_that_method():
    method = plugins.make("detector", {"use": "strip", "share": 0.25}, "it")
    state = FittedStrip(method, np.arange(6, dtype=np.uint8).reshape(2, 3))
    before = Asking({"one": Learned("detector", method, state)})
    after, _, facts = round_trip(before, Asking, {})
    (learned,) = after.others.values()
    assert learned.method == method
    assert learned.state.chosen == method
    assert np.array_equal(learned.state.others, state.others)
    kind, named, kept = facts["others"][0][1]
    for harm in (
        ["source", {"use": "factory"}, kept],
        ["detector", {"use": "nothing"}, kept],
        ["detector", "strip", kept],
        [kind, {**named, "share": "a"}, kept],
        [kind, {"use": "energy"}, kept],
    ):
        with pytest.raises(DataError, match="damaged"):
            unpack(Asking, {"others": [["one", harm]]}, {}, {}, "it")


@pytest.mark.parametrize("value", [print, object(), {1, 2}])
def test_what_is_no_value_is_refused_by_the_name_of_its_field(value):
    @dataclass(frozen=True)
    class Holder:
        held: Any

    with pytest.raises(CapabilityError, match=r"it\.held is of type .* cannot be saved"):
        pack(Holder(value), Holder, {}, {}, "it")


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts.pop("number"),
        lambda facts: facts.update(more=1),
        lambda facts: facts.update(number="0.3"),
        lambda facts: facts.update(number=True),
        lambda facts: facts.update(words="one"),
        lambda facts: facts.update(words=[1]),
        lambda facts: facts.update(mode="c"),
        lambda facts: facts.update(again="nowhere"),
        lambda facts: facts.update(again=["it.array"]),
        lambda facts: facts.update(turned=["it.turned", [0, 0, 0]]),
        lambda facts: facts.update(turned=["it.turned", 3]),
        lambda facts: facts.update(model=7),
        lambda facts: facts.update(inner={"a": 1}),
        lambda facts: facts.update(chosen=[]),
        lambda facts: facts.update(maybe=[]),
    ],
)
def test_changed_facts_are_refused_in_one_sentence(change):
    model = Model()
    links = {Model: [model], Callable[..., Any]: []}
    _, tensors, facts = round_trip(fitted(model), Fitted, links)
    change(facts)
    with pytest.raises(DataError, match="the saved state of it is damaged"):
        unpack(Fitted, facts, links, tensors, "it")
