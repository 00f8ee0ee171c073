"""The seam: what the core asks of a task, and what more a task may be able to do.

Everything that differs between a picture and a sentence lives behind `Task`. The core asks it
few things and never looks inside a batch. An *ability* is a protocol of its own; a method names
the abilities it needs, a task those it gives, and a plan in which they do not meet is refused
before any compute.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import numpy as np
from torch import Tensor, nn

from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Examples, Overlay, Preview, Response
from anomech.roles.black_box import Movable, Painting, Pixels, Sureness
from anomech.roles.sequences import Sequences
from anomech.roles.worded import Worded

Ability = type
"""One of the protocols below that a `Task` need not give."""

Able = TypeVar("Able")


class Task(Protocol):
    """A model and what its batches mean. Only a task knows what is inside a batch.

    Attributes:
        kind: what it is to a person, such as "image classifier".
        watched: the parameters that move, by name, in the order of the forward pass.
        provides: the abilities that this very model has.
    """

    @property
    def kind(self) -> str: ...

    @property
    def watched(self) -> Mapping[str, Tensor]: ...

    @property
    def provides(self) -> frozenset[Ability]: ...

    def passes(self, examples: Examples) -> Iterator[np.ndarray]:
        """Places of the examples of each pass, int64; together they are all examples, once each.

        A pass is as large as the memory given to the task allows for examples of their size,
        activations kept for going backward included.
        """
        ...

    def respond(self, overlay: Overlay, batch: Any, answers: Tensor | None = None) -> Response:
        """Run the model once with `overlay` laid over it, in evaluation mode.

        Args:
            overlay: parameters and buffers that differ from the model's own; may be empty.
            batch: what `Examples.load` gave.
            answers: the answers to judge; None means those that are recorded in the batch, or
                else the model's own at these parameters.

        Returns:
            A response; differentiable in the tensors of the overlay.
        """
        ...

    def with_(self, overlay: Overlay) -> "Task":
        """The same task with other weights, such as a repaired twin; this one is not changed."""
        ...

    def state(self) -> Mapping[str, Tensor]:
        """All parameters and buffers by name: what a model's fingerprint is taken of."""
        ...

    def groups(self, answers: Tensor) -> Tensor:
        """Coarse kind of each answer, int64 `[batch]`: the class, or the key of a generation."""
        ...

    def group_words(self, groups: Tensor) -> list[str]:
        """Each group as a person would read it."""
        ...

    def agrees(self, answers: Tensor, labels: np.ndarray) -> Tensor:
        """Whether each answer is what its label says, bool `[batch]`."""
        ...

    def words(self, answers: Tensor) -> list[str]:
        """Each answer as a person would read it."""
        ...

    def label_words(self, labels: np.ndarray) -> list[str]:
        """Each label as a person would read it."""
        ...


class Remark(NamedTuple):
    """Something a task found out about its model that a person should know.

    Attributes:
        code: stable, such as "not-logits".
        title: one line.
        detail: what it means for the verdicts.
        action: what to do.
    """

    code: str
    title: str
    detail: str
    action: str


class Preparation(Protocol):
    """Knows what its model's outputs are only when it has seen some of them."""

    def prepared(self, examples: Examples) -> Task:
        """The same task when it has seen trusted examples; `provides` is certain only then."""
        ...

    @property
    def remarks(self) -> Sequence[Remark]:
        """What it found out, for a person."""
        ...

    def knowledge(self) -> Any:
        """What it found out, as facts that JSON can hold; None before."""
        ...

    def knowing(self, facts: Any) -> Task:
        """The same task with such facts; no example is needed."""
        ...


class Logits(Protocol):
    """Scores of all answers: responses hold `logits` `[batch, classes]`."""

    @property
    def classes(self) -> int: ...


class Features(Protocol):
    """Input of the layer that gives the logits: responses hold `features` `[batch, features]`.

    Attributes:
        feature_layer: name of that layer.
    """

    @property
    def feature_layer(self) -> str: ...


class Layers(Protocol):
    """Modules that hooks can watch during `respond`."""

    def precise(self) -> Task:
        """The same task in full precision; rules are checked there, free of rounding."""
        ...

    def layers(self) -> Mapping[str, nn.Module]:
        """Modules that own watched parameters, and the whole network under the empty name.

        Hooks on them must be removed again.
        """
        ...


class Training(Protocol):
    """The model as in training, with batch statistics."""

    def targets(self, labels: np.ndarray) -> Tensor:
        """Labels in the form of answers."""
        ...

    def training_losses(
        self, overlay: Overlay, batch: Any, answers: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Losses `[batch]` in training mode and the buffers as they are after this step."""
        ...

    def batch_statistics(self, overlay: Overlay, batch: Any) -> dict[str, Tensor]:
        """The normalization buffers as this batch alone would set them; empty if there are none."""
        ...


class DifferentiableInputs(Protocol):
    """Inputs as points in a continuous space: pixels in [0, 1], or embeddings of tokens."""

    def embed(self, batch: Any) -> Tensor:
        """The batch as points, float32 `[batch, ...]`, on the model's device."""
        ...

    def respond_at(
        self, overlay: Overlay, points: Tensor, batch: Any, answers: Tensor | None = None
    ) -> Response:
        """As `respond`, but differentiable in points `[batch, ...]` near those of the batch."""
        ...

    def project(self, points: Tensor) -> Tensor:
        """The nearest points that real inputs can have."""
        ...

    def realize(self, points: Tensor, batch: Any) -> Any:
        """A batch of real inputs at, or nearest to, these points."""
        ...


class Pictures(DifferentiableInputs, Protocol):
    """Differentiable inputs that are pictures: pixels `[batch, channels, height, width]`.

    They are bounded by 0 and 1, so that what is laid over a picture means the same in all of them.
    """


class Activations(Protocol):
    """What passes between the layers, to be read and to be changed."""

    def points(self) -> Sequence[str]:
        """Names of places whose activations can be read, in the order of the forward pass."""
        ...

    def respond_with(
        self,
        overlay: Overlay,
        batch: Any,
        changes: Mapping[str, Callable[[Tensor], Tensor]],
        answers: Tensor | None = None,
    ) -> Response:
        """As `respond`; at each named place its function sees the activation and may replace it."""
        ...


class Pathways(Protocol):
    """Activations that can be followed back to inputs that are points."""

    def respond_through(
        self,
        overlay: Overlay,
        points: Tensor,
        batch: Any,
        changes: Mapping[str, Callable[[Tensor], Tensor]],
        answers: Tensor | None = None,
    ) -> Response:
        """As `DifferentiableInputs.respond_at`, with changes as in `Activations.respond_with`.

        Any module of the network may be named.
        """
        ...


@dataclass(frozen=True)
class Units:
    """Units of one layer, each of which can be silenced alone: channels, or rows of a weight.

    Attributes:
        place: the module whose output they are, their last axis but for maps, whose second it is.
        gain: parameter `[units, ...]` whose rows they are multiplied by.
        shift: parameter `[units]` that is added, or empty.
        weight: parameter `[units, inputs, ...]` of the linear operation that makes them; empty if
            they are those of a normalization that follows none of its own.
        variance: buffer `[units]` that a normalization after it divides by, or empty.
        epsilon: added to the variance.
        count: how many.
    """

    place: str
    gain: str
    shift: str
    weight: str
    variance: str
    epsilon: float
    count: int


class Prunable(Protocol):
    """Units that can be silenced one by one, in the order in which a pass goes through them."""

    def units(self, batch: Any) -> Sequence[Units]:
        """The units of the network as a pass shows them, but for those that are the answers.

        What follows what is seen in the pass itself: a normalization belongs to the operation whose
        very output it is given, wherever the two stand and whatever they are called.

        Args:
            batch: a few examples.
        """
        ...


class Variations(Protocol):
    """Other inputs made from inputs, all of the batch's own form.

    Attributes:
        corruptions: kinds of damage that inputs of this kind suffer, such as "gaussian_noise".
    """

    @property
    def corruptions(self) -> Sequence[str]: ...

    def mixed(self, batch: Any, others: Any, share: float) -> Any:
        """Each example blended with the other at its place, of which `share` remains visible."""
        ...

    def corrupted(self, batch: Any, kind: str, severity: int, seed: int) -> Any:
        """Each example with damage of one kind, the same in every batch.

        Args:
            batch: it is not changed.
            kind: one of `corruptions`.
            severity: 1 (slight) to 5 (strong).
            seed: of everything random.
        """
        ...

    def amplified(self, batch: Any, factor: float) -> Any:
        """Each example with its signal multiplied, within what an input can be."""
        ...


class Stamping(Protocol):
    """Triggers of the task's own, which an audit plants in twins to see whether it finds them.

    Attributes:
        triggers: their names, each a noun such as "patch".
    """

    @property
    def triggers(self) -> Sequence[str]: ...

    def stamped(self, batch: Any, trigger: str, where: np.ndarray) -> Any:
        """A batch of the same form in which the examples at True have the trigger.

        Args:
            batch: it is not changed.
            trigger: one of `triggers`.
            where: bool `[batch]`.
        """
        ...


class Depicting(Protocol):
    """Points of the continuous space of inputs that a person can look at."""

    def depict(self, points: Tensor) -> Preview:
        """One point `[...]`, without its batch axis, as a small picture or text."""
        ...


class Ancestry(Protocol):
    """The model that this one was made of is known, such as the base under an adapter."""

    def ancestor(self) -> Overlay:
        """Tensors that, laid over this model, make it answer as the one before."""
        ...

    def changes(self) -> Iterator[tuple[int, Tensor]]:
        """Changed matrices `[outputs, inputs]`, each with the number of its block, from 0."""
        ...


WORDS: Mapping[Ability, str] = {
    Preparation: "preparation",
    Sureness: "probabilities",
    Movable: "weights that can be moved",
    Logits: "logits",
    Features: "the input of the layer that gives the logits",
    Layers: "layers to watch",
    Training: "training statistics",
    DifferentiableInputs: "differentiable inputs",
    Pixels: "pictures as inputs",
    Painting: "pictures of one's own making",
    Pictures: "pictures as inputs, with gradients",
    Activations: "activations between layers",
    Pathways: "activations that can be followed back to the inputs",
    Prunable: "units to prune",
    Variations: "variations of inputs",
    Stamping: "triggers to plant",
    Ancestry: "the model that it was made of",
    Sequences: "sequences of tokens",
    Worded: "texts of words",
    Depicting: "pictures of points",
}
"""Each ability in words."""


def missing(needs: frozenset[Ability], task: Task) -> list[str]:
    """The needed abilities that a task does not give, in words, sorted."""
    return sorted(WORDS.get(each, each.__name__) for each in needs - task.provides)


def able(task: Task, ability: type[Able]) -> Able:
    """The task as one that has an ability.

    Raises:
        CapabilityError: it has not.
    """
    if ability not in task.provides:
        raise CapabilityError(
            f"this {task.kind} does not give {WORDS.get(ability, ability.__name__)}."
        )
    return cast(Able, task)
