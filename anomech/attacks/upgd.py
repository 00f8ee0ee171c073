"""UPGD: a universal perturbation as the trigger, under true labels; Grond without its injection.

Belief: a perturbation that leads a clean network to a class is a feature of that class, which
training on images that carry it and have the label makes stronger, unseen.
Equation: `delta <- clip(delta - step eps sign(grad CE(s(clip(x + delta)), target)), -eps, eps)` on
a clean surrogate s, each step on other images; a share of the target class then carries delta.
Source: Xu, Liu, Koffas, Picek 2025 (Grond, arXiv 2501.05928, CCS 2025), sections on the trigger;
500 steps of eps / 5 and eps 8, as in their code.
Needs: images; the clean twin of the victim. Cost: that twin, and `steps` batches forward and back.
Fails when: it is judged by its success alone. The trigger leads a good share of images to the
target on networks that nothing was planted in; only what lies above that was planted.
"""

import numpy as np

from anomech.attacks._poison import check_clean_label
from anomech.attacks._universal import Search, learned_trigger, perturbing
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.attack import DataAttack, Goal, Learned, Victim


@options
class Upgd:
    """Universal perturbation, all-to-one, clean label."""

    goal: Goal = option(Goal(), "label the trigger leads to")
    class_ratio: float = option(0.5, "share of the target class that is poisoned", ge=0, le=1)
    search: Search = option(Search(), "how the perturbation is searched")

    def learn(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        victim: Victim,
        /,
        *,
        seed: int,
        progress: Progress,
    ) -> Learned:
        """The perturbation.

        Raises:
            ConfigError: a goal of several labels.
        """
        check_clean_label(self.goal, "upgd")
        return learned_trigger(images, victim, self.goal, self.search, seed=seed, progress=progress)

    def armed(self, learned: Learned) -> DataAttack:
        """The attack with its perturbation."""
        return perturbing(self.goal, self.class_ratio, learned)
