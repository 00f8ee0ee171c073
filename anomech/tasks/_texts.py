"""A text classifier: batches are texts, answers are class indices."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.data.texts import Text
from anomech.kernel.errors import ConfigError, DataError, ModelError
from anomech.kernel.types import Examples, Overlay, Response
from anomech.roles.black_box import Movable, Sureness
from anomech.roles.task import (
    Ability,
    Activations,
    DifferentiableInputs,
    Features,
    Layers,
    Logits,
    Preparation,
    Remark,
    Training,
)
from anomech.roles.worded import Worded
from anomech.tasks._language_blocks import matrices_in
from anomech.tasks._language_passes import capacity, passes_of
from anomech.tasks._language_points import nearest_tokens
from anomech.tasks._openings import opened, openings
from anomech.tasks._outputs import as_classes, check_finite, response_of
from anomech.tasks._sighting import spread_over
from anomech.tasks._texts_network import Reader
from anomech.tasks._twin import overlaid
from anomech.tasks._watching import watched_modules, watched_parameters

AT_ONCE = 1024
"""Texts that are made tokens of at once."""

FEW = 8
"""Trusted texts by which it shows what the model can do."""


@dataclass(frozen=True)
class Seen:
    """What a few trusted texts showed.

    Attributes:
        points: whether embeddings can stand for tokens.
        cut: texts that are too long, of those looked at.
        looked: at so many.
    """

    points: bool = False
    cut: int = 0
    looked: int = 0


@dataclass(frozen=True)
class TextClassifier:
    """A sequence classifier of the transformers library with its tokenizer.

    The model given is never changed: the task works on a twin that shares its tensors.

    Args:
        model: such as `AutoModelForSequenceClassification` gives.
        tokenizer: such as `AutoTokenizer` gives.
        class_names: in the order of the logits; indices stand in where it is short.
        watch: which parameters move: "linear" (every matrix), "all", "last" or a glob of names.
        device: where to run; empty means where the model is.
        memory: bytes that the activations of one pass may take.
        seen: what trusted texts showed; `prepared` fills it.
    """

    model: nn.Module
    tokenizer: Any
    class_names: Sequence[str] = ()
    watch: str = "linear"
    device: str = ""
    memory: int = 2**30
    seen: Seen | None = None
    kind: str = field(default="text classifier", init=False, repr=False)

    def __post_init__(self) -> None:
        config = getattr(self.model, "config", None)
        if getattr(config, "problem_type", None) == "regression":
            raise ModelError(
                "the model gives a number and no class; only classifiers can be audited as "
                "text_classifier."
            )

    @property
    def provides(self) -> frozenset[Ability]:
        """Features if one layer gives the logits; points once they are known to work."""
        given: set[Ability] = {Preparation, Sureness, Movable, Logits, Layers, Training}
        given |= {Activations, Worded}
        if self._reader.head:
            given.add(Features)
        if self.seen is not None and self.seen.points:
            given.add(DifferentiableInputs)
        return frozenset(given)

    @property
    def network(self) -> nn.Module:
        """The twin in evaluation mode, without gradients of its own."""
        return self._reader.network

    @cached_property
    def watched(self) -> Mapping[str, Tensor]:
        """Parameters that move, by name, in the order the network lists them."""
        if self.watch != "linear":
            head = self._reader.head
            last = [f"{head}.{name}" for name in ("weight", "bias")] if head else None
            return watched_parameters(self.network, self.watch, last)
        wanted = {f"{name}.weight" for name in matrices_in(self.network, "")}
        return {n: p.detach() for n, p in self.network.named_parameters() if n in wanted}

    @property
    def classes(self) -> int:
        """Logits of a response."""
        return max(2, int(self.model.config.num_labels))  # type: ignore[union-attr,arg-type]

    @property
    def feature_layer(self) -> str:
        """Name of the layer that gives the logits; empty if none does by itself."""
        return self._reader.head

    @property
    def remarks(self) -> Sequence[Remark]:
        """See `anomech.roles.task.Preparation.remarks`."""
        if self.seen is None or not self.seen.cut:
            return ()
        return (
            Remark(
                "texts-cut",
                f"{self.seen.cut} of {self.seen.looked} trusted texts looked at are too long",
                f"The model reads {self._reader.room} tokens; what is over is cut off.",
                "Give shorter texts, or judge parts of long ones.",
            ),
        )

    @torch.no_grad()
    def prepared(self, examples: Examples) -> "TextClassifier":
        """See `anomech.roles.task.Preparation.prepared`."""
        batch = examples.load(spread_over(len(examples), FEW))
        own = self.respond({}, batch)
        try:
            there = self.respond_at({}, self.embed(batch), batch, own.answers)
            points = bool(torch.allclose(there.log_odds, own.log_odds, rtol=1e-3, atol=1e-3))
        except ModelError:  # it takes no embeddings
            points = False
        lengths = [len(each) for each in self._reader.read(batch)["input_ids"]]
        cut = sum(length >= self._reader.room for length in lengths)
        return replace(self, seen=Seen(points, cut, len(batch)))

    def knowledge(self) -> Any:
        """See `anomech.roles.task.Preparation.knowledge`."""
        return None if self.seen is None else asdict(self.seen)

    def knowing(self, facts: Any) -> "TextClassifier":
        """See `anomech.roles.task.Preparation.knowing`."""
        return replace(self, seen=Seen(**facts))

    def layers(self) -> Mapping[str, nn.Module]:
        """The network and modules that own a watched parameter themselves; tied ones all."""
        return watched_modules(self.network, self.watched)

    def precise(self) -> "TextClassifier":
        """The same task; it is in float32 already."""
        return self

    def cut(self, examples: Examples) -> list[str]:
        """See `anomech.roles.sequences.Cutting.cut`: texts that fill all that the model reads."""
        room = self._reader.room
        return [i for i, n in zip(examples.ids, self._lengths(examples), strict=True) if n >= room]

    def passes(self, examples: Examples) -> Iterator[np.ndarray]:
        """See `anomech.roles.task.Task.passes`: texts of like lengths, short ones first."""
        lengths = self._lengths(examples)
        most = capacity(getattr(self.model, "config", None), self.memory, self._device, 4)
        return passes_of(lengths, most)

    def with_(self, overlay: Overlay) -> "TextClassifier":
        """See `anomech.roles.task.Task.with_`."""
        return replace(self, model=overlaid(self.network, self._device, overlay))

    def state(self) -> Mapping[str, Tensor]:
        """See `anomech.roles.task.Task.state`."""
        return self.network.state_dict()

    def respond(self, overlay: Overlay, batch: Any, answers: Tensor | None = None) -> Response:
        """See `anomech.roles.task.Task.respond`; the batch is texts."""
        return self._response(overlay, batch, answers, None)

    def groups(self, answers: Tensor) -> Tensor:
        """The class itself."""
        return answers

    def agrees(self, answers: Tensor, labels: np.ndarray) -> Tensor:
        """Whether the predicted class is the labeled one."""
        return answers.cpu() == self.targets(labels).cpu()

    def words(self, answers: Tensor | np.ndarray) -> list[str]:
        """Class names, or class indices where no names are known."""
        names = self.class_names
        return [names[i] if i < len(names) else str(i) for i in answers.tolist()]

    group_words = words

    def label_words(self, labels: np.ndarray) -> list[str]:
        """Each label as a person would read it."""
        return self.words(labels) if labels.ndim == 1 else [str(each) for each in labels[:, 0]]

    def targets(self, labels: np.ndarray) -> Tensor:
        """Labels as class numbers, on the model's device.

        Raises:
            DataError: the model has no class of such a name.
        """
        if labels.ndim == 1:
            return torch.tensor(labels, device=self._device)
        known = {name.casefold(): number for number, name in enumerate(self.class_names)}
        names = [str(each).casefold() for each in labels[:, 0]]
        if unknown := sorted(set(names) - set(known)):
            raise DataError(
                f"the model has no class '{unknown[0]}' (it has {', '.join(self.class_names[:5])}"
                "); give its names or numbers from 0."
            )
        return torch.tensor([known[name] for name in names], device=self._device)

    def training_losses(
        self, overlay: Overlay, batch: Any, answers: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy `[batch]`, nats; without dropout."""
        logits, _ = self._reader.scores(overlay, batch)
        return functional.cross_entropy(as_classes(logits), answers, reduction="none"), {}

    def batch_statistics(self, overlay: Overlay, batch: Any) -> dict[str, Tensor]:
        """None: nothing in such a model depends on the batch."""
        return {}

    def points(self) -> Sequence[str]:
        """See `anomech.roles.task.Activations.points`."""
        return openings(self.network)

    def respond_with(
        self,
        overlay: Overlay,
        batch: Any,
        changes: Mapping[str, Callable[[Tensor], Tensor]],
        answers: Tensor | None = None,
    ) -> Response:
        """See `anomech.roles.task.Activations.respond_with`."""
        with opened(self.network, changes):
            return self.respond(overlay, batch, answers)

    def embed(self, batch: Any) -> Tensor:
        """Embeddings of the texts' tokens `[batch, width, features]`, padded on the right."""
        return self._table[self._reader.padded(self._reader.read(batch)["input_ids"])]

    def respond_at(
        self, overlay: Overlay, points: Tensor, batch: Any, answers: Tensor | None = None
    ) -> Response:
        """See `anomech.roles.task.DifferentiableInputs.respond_at`; logits can be followed too."""
        return self._response(overlay, batch, answers, points)

    def project(self, points: Tensor) -> Tensor:
        """The nearest embeddings of tokens."""
        return self._table[nearest_tokens(self._table, points)]

    def realize(self, points: Tensor, batch: Any) -> Any:
        """Texts of the nearest tokens; those that are as they were stay what they are."""
        found = nearest_tokens(self._table, points).tolist()
        rows = self._reader.read(batch)["input_ids"]
        result = []
        for item, own, row in zip(batch, rows, found, strict=True):
            tokens = row[: len(own)]
            words = str(self.tokenizer.decode(tokens))
            result.append(item if tokens == own else Text(words, tokens=tuple(tokens)))
        return tuple(result)

    def worded(self, batch: Any) -> list[list[str]]:
        """See `anomech.roles.worded.Worded.worded`; of pairs the first text."""
        return [each.text.split() for each in batch]

    def reworded(self, batch: Any, words: Sequence[Sequence[str]]) -> tuple[Text, ...]:
        """See `anomech.roles.worded.Worded.reworded`."""
        pairs = zip(batch, words, strict=True)
        return tuple(Text(" ".join(some), each.pair) for each, some in pairs)

    def _response(
        self, overlay: Overlay, batch: Any, answers: Tensor | None, points: Tensor | None
    ) -> Response:
        scores, features = self._reader.scores(overlay, batch, points)
        logits = as_classes(scores)
        if not overlay:  # of other parameters, who moved them judges
            check_finite(logits, "check the weights")
        kind = getattr(self.model.config, "problem_type", None)  # type: ignore[union-attr]
        answers = None if answers is None else answers.to(logits.device)
        several = kind == "multi_label_classification"
        found = response_of(logits, features, answers, alone=several)
        return found if points is None else found._replace(logits=logits)

    def _lengths(self, examples: Examples) -> list[int]:
        """Tokens of each text."""
        return [
            len(tokens)
            for start in range(0, len(examples), AT_ONCE)
            for tokens in self._reader.read(
                examples.load(np.arange(start, min(start + AT_ONCE, len(examples))))
            )["input_ids"]
        ]

    @property
    def _table(self) -> Tensor:
        if not hasattr(self.network, "get_input_embeddings"):
            raise ConfigError("the model has no table of embeddings.")
        return self.network.get_input_embeddings().weight  # type: ignore[operator]

    @cached_property
    def _device(self) -> torch.device:
        if self.device:
            return torch.device(self.device)
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.model, self.tokenizer, self._device)
