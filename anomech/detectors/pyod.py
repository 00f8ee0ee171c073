"""PyOD: any outlier detector of that library, over states (baselines: isolation forest and others).

Belief: states of anomalous inputs are outliers among those of trusted ones, in the sense of the
method that is chosen: trees that isolate them early (`IForest`), sparse surroundings (`LOF`), tails
of each coordinate (`ECOD`), and fifty more.
Equation: at every place the decision function of the library's `model`, fitted to the anchors,
standardized by its mean and spread on them; the mean over places.
Source: Zhao, Nasrullah, Li 2019 (PyOD); Liu, Ting, Zhou 2008 (isolation forest).
Needs: what its tracer needs, activations; and `pip install 'anomech[outliers]'`.
Cost: one forward pass, and what the method takes.
Fails when: the chosen method does. What it has learned cannot be kept in a profile.
"""

import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from anomech.detectors._places import by_place, mean_over_places
from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError, ConfigError, answered
from anomech.kernel.plugins import chosen
from anomech.kernel.randomness import key
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability
from anomech.roles.tracer import Health, Tracer, TraceSource

TINY = 1e-12


@options
class Pyod:
    """An outlier detector of the library PyOD, over states."""

    model: str = option("IForest", "class of the library's models: IForest, LOF, ECOD, HBOS, ...")
    tracer: Tracer = chosen("tracer", "states", "what is looked at")

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of the tracer."""
        return self.tracer.needs

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedPyod":
        """Fit one model a place to the anchors.

        Raises:
            CapabilityError: the library is not installed, or the model refuses these anchors.
            ConfigError: it has no such model.
        """
        cls = _model(self.model)
        source = anchors.source(self.tracer, seed=seed, progress=progress)
        places = dict[str, Outliers]()
        for name, rows in by_place(anchors, source, progress).items():
            fitted = answered(partial(_fitted, cls, rows, key(seed, "pyod", name)), _refused)
            usual = torch.from_numpy(fitted.decision_function(rows.numpy())).double()
            places[name] = Outliers(fitted, float(usual.mean()), float(usual.std()) + TINY)
        return FittedPyod(source, places)


@dataclass(frozen=True)
class Outliers:
    """A fitted model of the library, and mean and spread of its numbers on the anchors."""

    model: Any
    mean: float
    spread: float

    def __call__(self, rows: Tensor) -> Tensor:
        """How far rows `[n, d]` are out, standardized `[n]`."""
        if not len(rows):  # of which the library wants none
            return rows.new_zeros(0)
        found = torch.from_numpy(self.model.decision_function(rows.numpy())).double()
        return (found - self.mean) / self.spread


@dataclass(frozen=True)
class FittedPyod:
    """Fitted models by place."""

    source: TraceSource
    places: Mapping[str, Outliers]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def health(self) -> Health:
        """That of the traces."""
        return self.source.health

    @property
    def evaluations(self) -> float:
        """That of the traces."""
        return self.source.evaluations

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Mean over places of the models' numbers."""
        rows = by_place(observed, self.source, progress)
        return Scores(
            mean_over_places({name: self.places[name](each) for name, each in rows.items()}), {}
        )


def _model(name: str) -> Any:
    """A class of the library by its name.

    Raises:
        CapabilityError: the library is not installed.
        ConfigError: it has no such class.
    """
    try:
        importlib.import_module("pyod")
    except ImportError:
        raise CapabilityError(
            "detector pyod uses the library PyOD, which is not installed; run pip install "
            "'anomech[outliers]'."
        ) from None
    try:
        if not re.fullmatch(r"\w+", name):
            raise ImportError
        return getattr(importlib.import_module(f"pyod.models.{name.lower()}"), name)
    except (ImportError, AttributeError):
        raise ConfigError(
            f"PyOD has no model '{name}', or it needs a library more; give the name of a class in "
            "pyod.models, such as IForest or ECOD."
        ) from None


def _fitted(cls: Any, rows: Tensor, seed: int) -> Any:
    """A model that learned rows `[n, d]`; those that draw, draw by the seed."""
    seeded = "random_state" in inspect.signature(cls).parameters
    model = cls(random_state=seed % 2**32) if seeded else cls()
    return model.fit(rows.numpy())


def _refused(what: str) -> CapabilityError:
    return CapabilityError(f"PyOD's model refused these anchors ({what}); choose another model.")
