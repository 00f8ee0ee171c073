"""A model behind a purifier: the same task, whose inputs are purified before they are answered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from anomech.kernel.types import Examples, Overlay, Response
from anomech.roles.purifier import FittedPurifier
from anomech.roles.task import Ability, Features, Logits, Task, able

SERVED = frozenset({Logits, Features})
"""Abilities that lie in the response; all others would go around the purifier."""


@dataclass(frozen=True)
class Purified:
    """A task behind a purifier, which is itself a task: `observe` and detectors take it.

    Attributes:
        inner: the task that answers.
        purifier: what its inputs go through; it asks the model without any overlay.
    """

    inner: Task
    purifier: FittedPurifier

    @property
    def kind(self) -> str:
        """That of the model."""
        return self.inner.kind

    @property
    def watched(self) -> Mapping[str, Tensor]:
        """Parameters of the model."""
        return self.inner.watched

    @property
    def provides(self) -> frozenset[Ability]:
        """What a response holds, if the model gives it."""
        return self.inner.provides & SERVED

    @property
    def classes(self) -> int:
        """See `anomech.roles.task.Logits`."""
        return able(self.inner, Logits).classes

    @property
    def feature_layer(self) -> str:
        """See `anomech.roles.task.Features`."""
        return able(self.inner, Features).feature_layer

    def passes(self, examples: Examples) -> Iterator[np.ndarray]:
        """Passes of the model."""
        return self.inner.passes(examples)

    def respond(self, overlay: Overlay, batch: Any, answers: Tensor | None = None) -> Response:
        """The model's response to purified inputs."""
        return self.inner.respond(overlay, self.purifier.purified(self.inner, batch), answers)

    def with_(self, overlay: Overlay) -> "Purified":
        """The model with other weights, behind the same purifier."""
        return replace(self, inner=self.inner.with_(overlay))

    def state(self) -> Mapping[str, Tensor]:
        """Tensors of the model."""
        return self.inner.state()

    def groups(self, answers: Tensor) -> Tensor:
        """Kinds of the model's answers."""
        return self.inner.groups(answers)

    def group_words(self, groups: Tensor) -> list[str]:
        """As the model's."""
        return self.inner.group_words(groups)

    def agrees(self, answers: Tensor, labels: np.ndarray) -> Tensor:
        """As the model's."""
        return self.inner.agrees(answers, labels)

    def words(self, answers: Tensor) -> list[str]:
        """As the model's."""
        return self.inner.words(answers)

    def label_words(self, labels: np.ndarray) -> list[str]:
        """As the model's."""
        return self.inner.label_words(labels)
