"""How well each screen finds the poison of a training set: digits, seven sets, one network each.

    python benchmarks/screening.py

For each set a small network is trained on it, and 300 test digits are trusted. Printed is the area
under the curve of each screen's ranking, and the F1 of its suspects where it decides. SIG is left
out: its wave does not take in digits of 8x8 pixels.
"""

import warnings
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.metrics import f1_score, roc_auc_score

from anomech.architectures.digits import DigitsNet
from anomech.bench.worlds.images.datasets import load
from anomech.data.images import from_arrays
from anomech.kernel import plugins
from anomech.kernel.config import build
from anomech.kernel.types import silent
from anomech.learning.training import Recipe, train
from anomech.observing.observed import Observed, observe
from anomech.observing.preparing import prepared
from anomech.tasks.image_classifier import ImageClassifier

TRUSTED = 300
RECIPE = Recipe(epochs=40)
ALL_TO_ALL = {"goal": {"map": "all_to_all"}}
SETS: dict[str, tuple[str, dict[str, Any]] | None] = {
    "BadNets 10 %": ("badnets", {"ratio": 0.1}),
    "BadNets 5 %": ("badnets", {"ratio": 0.05}),
    "BadNets all to all": ("badnets", {"ratio": 0.1, **ALL_TO_ALL}),
    "Blended 10 %": ("blended", {"ratio": 0.1}),
    "Blended 5 %": ("blended", {"ratio": 0.05}),
    "WaNet": ("wanet", {"ratio": 0.25, "noise_ratio": 0.1, "strength": 2.0}),
    "clean": None,
}


def main() -> None:
    """Print one table."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    names = plugins.names("screen")
    table = Table(title="AUROC, and F1 of the suspects (share suspected on the clean set)")
    table.add_column("training set")
    table.add_column("attack works")
    for name in names:
        table.add_column(name.replace("_", " "))
    sets = load("digits", None)
    for words, spec in SETS.items():
        observed, labels, trusted, truth, works = _made(sets, spec)
        row = [words, "" if works is None else f"{works:.0%}"]
        row += [_judged(name, observed, labels, trusted, truth) for name in names]
        table.add_row(*row)
    Console(width=200).print(table)


def _made(
    sets: Any, spec: tuple[str, dict[str, Any]] | None
) -> tuple[Observed, np.ndarray, Observed, np.ndarray, float | None]:
    """A training set with the answers of a network trained on it, and what is known about it."""
    (images, labels), (test, test_labels) = sets.train, sets.test
    truth, attack = np.zeros(len(labels), bool), None
    if spec is not None:
        attack = build(plugins.get("attack", spec[0]), spec[1], spec[0])
        made = attack.poison(images, labels, seed=0)
        images, labels, truth = made.inputs, made.labels, made.poisoned
    network = train(DigitsNet(), images, labels.copy(), RECIPE, seed=0)
    trusted = from_arrays(test[:TRUSTED], test_labels[:TRUSTED])
    task = prepared(ImageClassifier(network), trusted)
    works = None
    if attack is not None:
        wanted = attack.goal.labels(test_labels, 10)
        led = wanted != test_labels
        answers = task.respond({}, attack.stamp(test[led])).answers.numpy()
        works = float((answers == wanted[led]).mean())
    observed = observe(task, from_arrays(images, labels))
    return observed, labels, observe(task, trusted), truth, works


def _judged(
    name: str, observed: Observed, labels: np.ndarray, trusted: Observed, truth: np.ndarray
) -> str:
    found = plugins.get("screen", name)().screen(observed, labels, trusted, seed=0, progress=silent)
    if not truth.any():
        return "" if found.suspects is None else f"({float(found.suspects.double().mean()):.1%})"
    area = roc_auc_score(truth, found.suspicion.numpy())
    if found.suspects is None:
        return f"{area:.3f}"
    return f"{area:.3f}, {f1_score(truth, found.suspects.numpy(), zero_division=0):.2f}"


if __name__ == "__main__":
    main()
