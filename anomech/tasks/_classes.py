"""Answers that are classes: a task's words for them, whatever its inputs are."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class ClassAnswers:
    """The part of a task whose answers are indices of classes.

    Attributes:
        class_names: in the order of the logits; indices stand in where it is short.
    """

    class_names: Sequence[str]

    @property
    def _device(self) -> torch.device:
        raise NotImplementedError

    def groups(self, answers: Tensor) -> Tensor:
        """The class itself."""
        return answers

    def group_words(self, groups: Tensor) -> list[str]:
        """As `words`."""
        return self.words(groups)

    def agrees(self, answers: Tensor, labels: np.ndarray) -> Tensor:
        """Whether the predicted class is the labeled one."""
        return answers.cpu() == torch.tensor(labels)

    def words(self, answers: Tensor) -> list[str]:
        """Class names, or class indices where no names are known."""
        names = self.class_names
        return [names[i] if i < len(names) else str(i) for i in answers.tolist()]

    def label_words(self, labels: np.ndarray) -> list[str]:
        """As `words`."""
        return self.words(torch.tensor(labels))

    def targets(self, labels: np.ndarray) -> Tensor:
        """Labels as a tensor on the model's device."""
        return torch.tensor(labels, device=self._device)
