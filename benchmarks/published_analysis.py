"""One problem for several methods, the published scores of recorded losses, and rates.

A problem is a trusted reference, clean inputs, and other test images with the trigger of one
attack. Its images are CIFAR-10, or, where the name begins with "digits", scikit-learn's digits, on
which the published method takes minutes instead of hours. The four scores are those of
`anomech/attribution/couplings.py` and `scores.py`, which `tests/detectors/test_published_scores.py`
holds against plain numpy.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from cifar import CELLS, Data, trained_cell
from published_environment import weights
from rich.console import Console
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from anomech import ImageClassifier, from_arrays
from anomech.architectures._digits import DigitsNet
from anomech.architectures._resnet import ResNet
from anomech.architectures.digits import Digits
from anomech.attribution.couplings import COUPLINGS
from anomech.attribution.scores import SCORES
from anomech.audit.judge.trusted import TrustedSplit, split_trusted
from anomech.bench.demo import ATTACKS, RECIPE
from anomech.bench.worlds.images.subjects import Subject
from anomech.bench.worlds.images.zoo import Trained, obtain
from anomech.calibration.conformal import threshold
from anomech.data.digits import load_digits
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import silent
from anomech.observing.observed import Observed, observe

BUDGET = 0.01
DIGITS = ("digits BadNets", "digits Blended")
DIGITS_TRAINED = 600
ANCHOR_SHARE = 0.35

PUBLISHED_SCORES = {
    "mean correlation": ("pearson", "mean"),
    "best-class correlation": ("pearson", "best_class"),
    "mean concordance": ("concordance", "mean"),
    "best-class concordance": ("concordance", "best_class"),
}


@dataclass(frozen=True)
class Problem:
    """A network, a reference, and inputs: the clean ones first, then the triggered.

    Attributes:
        name: of the network.
        trained: the network and its one attack.
        reference: uint8 images and labels.
        inputs: uint8 images.
        truth: true labels of the inputs before the trigger, for the published filter only.
        triggered: bool `[inputs]`.
    """

    name: str
    trained: Trained
    reference: tuple[np.ndarray, np.ndarray]
    inputs: np.ndarray = field(repr=False)
    truth: np.ndarray = field(repr=False)
    triggered: np.ndarray = field(repr=False)

    def split(self) -> tuple[TrustedSplit, Observed]:
        """Anchors and calibration as `anomech.Auditor` makes them, and the inputs' answers."""
        task = ImageClassifier(self.trained.model)
        split = split_trusted(
            task,
            from_arrays(*self.reference),
            share=ANCHOR_SHARE,
            most=2000,
            seed=0,
            progress=silent,
        )
        return split, observe(task, from_arrays(self.inputs))

    def roles(self, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Clean inputs, clean inputs the model answers rightly, and those whose trigger fired."""
        clean = ~self.triggered
        fired = self.triggered & (answers == self.trained.attacks[0].goal.target)
        return clean, clean & (answers == self.truth), fired


def problem(name: str, data: Data | None, cache: Path, *, trusted: int, inputs: int) -> Problem:
    """A development network (seed 0) of `cifar.py`, or one of digits; half of it is triggered."""
    if name in DIGITS:
        return _digits(name, cache, trusted=trusted, inputs=inputs)
    if data is None:
        raise SystemExit(f"{name} needs CIFAR-10 images: give --data, or set ANOMECH_DATA")
    cell = next(cell for cell in CELLS if cell.name == name)
    trained = trained_cell(cell, 0, data, cache, Console(stderr=True))
    images, labels = data.test
    attack = trained.attacks[0]
    reference, clean = data.trusted[:trusted], data.clean[: inputs - inputs // 2]
    sources = data.sources[labels[data.sources] != attack.goal.target][: inputs // 2]
    return Problem(
        name,
        trained,
        (images[reference], labels[reference].astype(np.int64)),
        np.concatenate([images[clean], attack.stamp(images[sources])]),
        np.concatenate([labels[clean], labels[sources]]),
        np.arange(inputs) >= len(clean),
    )


def _digits(name: str, cache: Path, *, trusted: int, inputs: int) -> Problem:
    images, labels = load_digits()
    order = numpy_generator(0, "published").permutation(len(labels))
    images, labels = images[order], labels[order].astype(np.int64)
    train, rest = slice(0, DIGITS_TRAINED), np.arange(DIGITS_TRAINED, len(labels))
    reference, others = rest[: min(trusted, len(rest) // 2)], rest[len(rest) // 2 :]
    attack = name.removeprefix("digits ").lower()
    subject = Subject(((attack, ATTACKS[attack]),), Digits(), RECIPE, 0)
    pair = (images[train], labels[train])
    trained = obtain(subject, pair, (images[others], labels[others]), cache)
    target = trained.attacks[0].goal.target
    clean = others[: min(inputs - inputs // 2, len(others) // 2)]
    sources = others[len(others) // 2 :]
    sources = sources[labels[sources] != target][: inputs // 2]
    return Problem(
        name,
        trained,
        (images[reference], labels[reference]),
        np.concatenate([images[clean], trained.attacks[0].stamp(images[sources])]),
        np.concatenate([labels[clean], labels[sources]]),
        np.arange(len(clean) + len(sources)) >= len(clean),
    )


def chain_arrays(given: Problem, split: TrustedSplit, examples: list[Observed]) -> dict:
    """A request to `published_chain.py`: who drives the chain, and who is evaluated at its draws.

    The images of the anchors' share drive it with their true labels, right and wrong ones, as the
    published sampling set does; the calibration images must not.
    """
    images, labels = given.reference
    calibrating = set(split.calibration.examples.ids)
    driving = np.array([name not in calibrating for name in split.everything.examples.ids])
    every = [each.examples.load(np.arange(len(each))) for each in examples]
    return weights(given.trained.model) | {
        "sampling_images": images[driving],
        "sampling_labels": labels[driving],
        "evaluated_images": np.concatenate(every),
        "own_labels": torch.cat([each.answers for each in examples]).numpy(),
    }


def network_settings(given: Problem) -> dict:
    """Where `published_chain.py` finds the network; its file imports nothing but torch."""
    small = given.name in DIGITS
    return {
        "network_file": inspect.getfile(DigitsNet if small else ResNet),
        "network": "DigitsNet" if small else "ResNet",
        "known_as": "digits" if small else "resnet14",
        "network_options": {
            "classes": 10,
            "channels": given.inputs.shape[-1],
            **({} if small else {"blocks": 2}),
        },
    }


def published_scores(
    queries: np.ndarray, anchors: np.ndarray, predicted: torch.Tensor
) -> Mapping[str, np.ndarray]:
    """Anomaly `[queries]` by score (minus the published support), of losses `[n, draws]`."""
    rows, known = (
        torch.from_numpy(np.ascontiguousarray(part)).double() for part in (queries, anchors)
    )
    coupled = {name: COUPLINGS[name](rows, known) for name in ("pearson", "concordance")}
    own = torch.zeros(len(rows), dtype=torch.int64)  # no published score asks for it
    return {
        name: -SCORES[score](coupled[coupling], own, predicted).numpy()
        for name, (coupling, score) in PUBLISHED_SCORES.items()
    }


@dataclass(frozen=True)
class Rates:
    """How well scores tell fired triggers from clean inputs."""

    auroc: float
    false_positives: float
    calibrated: float
    oracle: float

    def cells(self) -> list[str]:
        """For a table."""
        return [
            f"{self.auroc:.4f}",
            f"{self.calibrated:.3f}",
            f"{self.false_positives:.2%}",
            f"{self.oracle:.3f}",
        ]


HEAD = [
    "AUROC",
    "TPR, calibrated threshold",
    "FPR at it",
    "TPR, oracle threshold at 1 % FPR",
]


def rates(scores: np.ndarray, limit: float | None, clean: np.ndarray, fired: np.ndarray) -> Rates:
    """Rates at a calibrated limit (none: nothing is flagged) and at one that no user knows."""
    normal, planted = scores[clean], scores[fired]
    truth = np.r_[np.zeros(len(normal)), np.ones(len(planted))]
    limit = np.inf if limit is None else limit
    return Rates(
        float(roc_auc_score(truth, np.r_[normal, planted])),
        float((normal > limit).mean()),
        float((planted > limit).mean()),
        float((planted > np.quantile(normal, 1 - BUDGET)).mean()),
    )


def calibrated_limit(scores: np.ndarray) -> float | None:
    """Split conformal, as for ours."""
    return threshold(torch.from_numpy(scores), BUDGET)


def agreement(one: np.ndarray, two: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return float(spearmanr(one, two).statistic)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
