"""Options are defined once, checked when they are built, and refuse what they do not know."""

from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from typing import Any, Literal

import pydantic
import pytest

from anomech.kernel import plugins
from anomech.kernel.config import build, describe, nearest, option, options, resolved
from anomech.kernel.errors import ConfigError


@options
class Inner:
    """Options inside options."""

    depth: int = option(2, "how deep", unit="layers", ge=1, le=9)


@options
class Outer:
    """Options of all kinds."""

    count: int = option(3, "how many", unit="things", ge=0)
    rate: float = option(0.5, "how fast", gt=0)
    kind: Literal["soft", "hard"] = option("soft", "which way")
    sizes: tuple[float, ...] = option((1.0, 2.0), "how large")
    extra: Mapping[str, Any] = option({}, "anything else")
    inner: Inner = option(Inner(), "what is inside")


def test_unknown_options_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="plan has no option 'cuont': did you mean 'count'"):
        build(Outer, {"cuont": 3}, "plan")
    with pytest.raises(ConfigError, match="known: count, extra, inner, kind, rate, sizes"):
        build(Outer, {"zzzzzz": 3}, "plan")
    with pytest.raises((TypeError, pydantic.ValidationError)):
        Outer(cuont=3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"count": "many"}, r"plan\.count: .*integer.*'many'"),
        ({"count": 2.5}, r"plan\.count: .*integer.*2\.5"),
        ({"count": -1}, r"plan\.count: .*greater than or equal to 0.*-1"),
        ({"rate": 0}, r"plan\.rate: .*greater than 0"),
        ({"kind": "medium"}, r"plan\.kind: .*'soft' or 'hard'.*'medium'"),
        ({"sizes": 3}, r"plan\.sizes: .*tuple"),
        ({"inner": 3}, r"plan\.inner"),
    ],
)
def test_wrong_values_are_one_sentence_with_their_place(values, words):
    with pytest.raises(ConfigError, match=words) as caught:
        build(Outer, values, "plan")
    assert "\n" not in str(caught.value)


def test_nested_options_are_built_and_checked_with_their_whole_path():
    assert build(Outer, {"inner": {"depth": 4}}, "plan").inner == Inner(depth=4)
    with pytest.raises(ConfigError, match=r"plan\.inner has no option 'dept': .* 'depth'"):
        build(Outer, {"inner": {"dept": 4}}, "plan")
    with pytest.raises(ConfigError, match=r"plan\.inner\.depth: .*less than or equal to 9"):
        build(Outer, {"inner": {"depth": 10}}, "plan")


def test_resolved_options_rebuild_the_same_object():
    made = build(Outer, {"count": 7, "sizes": [3], "extra": {"a": 1}}, "plan")
    values = resolved(made)
    assert values == {
        "count": 7,
        "rate": 0.5,
        "kind": "soft",
        "sizes": [3.0],
        "extra": {"a": 1},
        "inner": {"depth": 2},
    }
    assert build(Outer, values, "plan") == made
    with pytest.raises(TypeError):
        resolved(3)


def test_options_are_frozen_and_defaults_are_not_shared():
    one, two = Outer(), Outer()
    with pytest.raises(FrozenInstanceError):
        one.count = 4
    assert one.extra is not two.extra


def test_describe_gives_name_default_unit_and_help():
    rows = describe(Outer)
    assert rows[0] == {"name": "count", "default": "3", "unit": "things", "help": "how many"}
    assert [row["name"] for row in rows] == ["count", "rate", "kind", "sizes", "extra", "inner"]
    assert rows[4]["default"] == "{}"
    assert rows[5]["default"] == "{'depth': 2}"


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_every_option_of_every_method_has_a_sentence_and_round_trips(kind):
    for name in plugins.names(kind):
        cls = plugins.get(kind, name)
        for row in describe(cls):
            assert row["help"], f"{kind} {name}: {row['name']}"
        assert build(cls, resolved(cls()), name) == cls()


def test_nearest_names_a_close_word_or_all():
    assert nearest("gradeint", ["gradient", "sgld"]) == "did you mean 'gradient'?"
    assert nearest("qqq", ["b", "a"]) == "known: a, b."


def test_a_name_that_is_no_line_is_shown_as_python_writes_it():
    for values in ({"\n": 2**53 + 1}, {"extra": {"a\nb": 2**53 + 1}}):
        with pytest.raises(ConfigError, match="too large a number") as caught:
            build(Outer, values, "plan")
        assert "\n" not in str(caught.value)
