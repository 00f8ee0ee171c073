"""Screened: what a screen suspects is left out, and the network is trained anew on the rest.

Belief: a network that learned poison shows which examples are poison, and one that never sees
them learns no trigger.
Equation: train on everything, screen all examples by that network's answers and their labels, and
train anew on those that are not suspected.
Source: Chen et al. 2018 (activation clustering) and Tran, Li, Madry 2018 (spectral signatures)
retrain so; the screen is an option.
Needs: images with labels, and a screen that does without trusted examples.
Cost: two trainings and the screen.
Fails when: the screen finds too little, since few poisoned examples are enough for a trigger, or
suspects whole labels, which the network then hardly knows.
"""

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from anomech.kernel import plugins
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import Examples, Progress
from anomech.learning.retraining import retrained
from anomech.learning.session import run_session
from anomech.learning.training import Recipe
from anomech.observing.observed import observe
from anomech.roles.screen import Screened as Suspicion
from anomech.roles.trainer import Keeper, Kept, Trained
from anomech.tasks.image_classifier import ImageClassifier
from anomech.trainers._family import checked


@options
class Screened:
    """Train, screen the training set, and train anew without the suspects."""

    screen: Any = plugins.chosen("screen", "scan", "what suspects examples")
    share: float = option(
        0.0, "of all examples, the most suspicious, left out; 0 leaves out whom the screen names",
        ge=0, le=0.5,
    )  # fmt: skip

    @property
    def exposed(self) -> bool:
        """It has no use for outliers."""
        return False

    def train(
        self,
        network: nn.Module,
        examples: Examples,
        outliers: Examples | None,
        *,
        recipe: Recipe,
        seed: int,
        progress: Progress,
        keep: Keeper | None = None,
    ) -> Trained:
        """See `anomech.roles.trainer.Trainer`; images are uint8 `[n, h, w, c]`.

        Raises:
            DataError: examples without labels, or of one label, or all others are suspected.
            ConfigError: outliers, or a screen that cannot be used here.
            ModelError: the loss is no longer finite.
        """
        checked(examples, outliers, exposed=False)
        self._check()
        place = keep and keep.part("screened")
        kept = place.read() if place else None
        if kept is None:
            suspects = self._suspects(network, examples, recipe, seed, progress, keep)
            kept = Kept({"suspects": suspects}, {})
            if place:
                place.write(kept)
        clean = ~kept.tensors["suspects"].numpy().astype(bool)
        return retrained(
            network, examples, clean, recipe=recipe, seed=seed, progress=progress, keep=keep
        )

    def _check(self) -> None:
        """Refuse a screen that asks for what a training has none of."""
        name = plugins.name_of("screen", self.screen)
        if self.screen.needs_trusted:
            raise ConfigError(
                f"the screen {name} needs trusted examples, and a training has none; screen the "
                "set by `anomech screen`, or choose another, such as scan."
            )

    def _suspects(
        self,
        network: nn.Module,
        examples: Examples,
        recipe: Recipe,
        seed: int,
        progress: Progress,
        keep: Keeper | None,
    ) -> torch.Tensor:
        """Whom the screen suspects, uint8 `[examples]`."""
        labels = np.array(examples.labels)
        twin = copy.deepcopy(network)
        run_session(
            twin,
            examples.load(np.arange(len(examples))),
            labels,
            recipe,
            seed=seed,
            keep=keep and keep.part("first"),
            progress=lambda done, total: progress("training first", done, total),
        )
        device = str(next(twin.parameters()).device)
        task = ImageClassifier(twin, device=device).prepared(examples)
        observed = observe(task, examples, progress=progress)
        found = self.screen.screen(observed, labels, None, seed=seed, progress=progress)
        return self._named(found).to(torch.uint8)

    def _named(self, found: Suspicion) -> torch.Tensor:
        """The suspects, bool `[examples]`: those it names, or the most suspicious share."""
        if self.share:
            count = max(1, round(self.share * len(found.suspicion)))
            named = torch.zeros(len(found.suspicion), dtype=torch.bool)
            named[found.suspicion.topk(count).indices] = True
            return named
        if found.suspects is None:
            name = plugins.name_of("screen", self.screen)
            raise ConfigError(
                f"the screen {name} only ranks; give trainer.share, how many to leave out."
            )
        return found.suspects.cpu()
