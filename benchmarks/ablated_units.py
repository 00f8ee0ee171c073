"""What silencing the units that explainers find takes from an attack, and from the accuracy.

    python benchmarks/ablated_units.py

Digits, three attacks, two architectures, three seeds each, all of them networks of development.
Explainers get 60 triggered test images that are led to the attacker's label, as if an audit had
flagged exactly these, and 300 trusted ones. The top 1, 3, 5 and 10 per cent of all units are
silenced by each ranking, and by chance. Printed are means over networks of the attack success that
is left, as a share of what it was, and of the accuracy; and on how many networks the top 3 per cent
cut success by 90 per cent.
"""

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anomech.bench.worlds.images import datasets
from anomech.bench.worlds.images.subjects import Subject
from anomech.bench.worlds.images.zoo import fetch
from anomech.data.images import from_arrays
from anomech.kernel import plugins
from anomech.kernel.types import silent
from anomech.learning.masks import masked, pruning
from anomech.learning.training import Recipe
from anomech.observing.observed import Observed, observe
from anomech.observing.preparing import prepared
from anomech.tasks.image_classifier import ImageClassifier

ATTACKS = {
    "BadNets": ("badnets", {"ratio": 0.1, "size": 2}),
    "Blended": ("blended", {"ratio": 0.1}),
    "WaNet": ("wanet", {"ratio": 0.25, "noise_ratio": 0.1, "strength": 2.0}),
}
NETWORKS = {"digits": {}, "resnet14": {"width": 8}}
EXPLAINERS = (
    *("ablation_effect", "patching_effect", "conductance"),
    *("activation_difference", "activation_frequency", "mutual_information"),
)
SHARES = (0.01, 0.03, 0.05, 0.1)
FLAGGED, TRUSTED, SEEDS, CHANCES = 60, 300, 3, 5


def main() -> None:
    """Print one table an architecture and attack, and one of all."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    sets = datasets.load("digits", None)
    rows: dict[str, list[np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as zoo:
        for network, options in NETWORKS.items():
            for name, attack in ATTACKS.items():
                mine: dict[str, list[np.ndarray]] = {}
                for seed in range(SEEDS):
                    recipe = Recipe(epochs=40, augment="none", peak=0.1, batch=64)
                    built = plugins.get("architecture", network)(**options)
                    subject = Subject((attack,), built, recipe, seed)
                    for ranking, left in measured(subject, sets, Path(zoo), seed).items():
                        mine.setdefault(ranking, []).append(left)
                for ranking, left in mine.items():
                    rows.setdefault(ranking, []).extend(left)
                said(f"{network}, {name}, {SEEDS} seeds", mine)
    said(f"all {len(NETWORKS) * len(ATTACKS) * SEEDS} networks", rows)


def measured(
    subject: Subject, sets: datasets.ImageSets, zoo: Path, seed: int
) -> dict[str, np.ndarray]:
    """By ranking, success left as a share and accuracy `[shares, 2]`."""
    network, (trigger,) = fetch(subject, sets.train, zoo)
    images, labels = sets.test
    known = from_arrays(images[:TRUSTED], labels[:TRUSTED])
    task = prepared(ImageClassifier(network), known)
    trusted = observe(task, known)
    images, labels = images[TRUSTED:], labels[TRUSTED:]
    tested = trigger.goal.tested_on(labels, sets.classes)
    wanted = torch.from_numpy(trigger.goal.labels(labels[tested], sets.classes))
    stamped = trigger.stamp(images[tested])
    answers = observe(task, from_arrays(stamped)).answers
    led = np.flatnonzero((answers == wanted).numpy())
    flagged = observe(task, from_arrays(stamped[led[:FLAGGED]]))
    judged = led[FLAGGED:]  # units are found on some triggered images and measured on others
    units = task.units(images[:4])
    state = task.state()

    def left(scores: Mapping[str, Tensor]) -> np.ndarray:
        found = []
        for share in SHARES:
            twin = task.with_(masked(state, units, pruning(scores, share)))
            said_ = twin.respond({}, stamped[judged]).answers
            right = twin.respond({}, images).answers.numpy() == labels
            found.append([float((said_ == wanted[judged]).double().mean()), right.mean()])
        return np.array(found)

    rankings = {name: left(ranked(name, flagged, trusted, units, seed)) for name in EXPLAINERS}
    generator = torch.Generator().manual_seed(seed)
    chance = [
        left({each.place: torch.rand(each.count, generator=generator) for each in units})
        for _ in range(CHANCES)
    ]
    return {**rankings, "chance": np.mean(chance, axis=0)}


def ranked(
    name: str, flagged: Observed, trusted: Observed, units: object, seed: int
) -> dict[str, Tensor]:
    """What an explainer says of the units that can be silenced."""
    found = plugins.get("explainer", name)().explain(flagged, trusted, seed=seed, progress=silent)
    return {
        each.place: found.units[each.place].double()
        for each in units  # type: ignore[attr-defined]
        if each.place in found.units and len(found.units[each.place]) == each.count
    }


def said(title: str, rows: Mapping[str, list[np.ndarray]]) -> None:
    """Print a table."""
    heads = [f"top {share:.0%}" for share in SHARES]
    print(f"\n{title}: success left / accuracy\n")
    print(f"| units by | {' | '.join(heads)} | cut by 90 % at 3 % |")
    print("| --- " * (len(heads) + 2) + "|")
    for name, found in rows.items():
        mean = np.mean(found, axis=0)
        cells = [f"{success:.2f} / {accuracy:.2f}" for success, accuracy in mean]
        cut = sum(float(each[SHARES.index(0.03), 0]) <= 0.1 for each in found)
        print(f"| {name} | {' | '.join(cells)} | {cut} of {len(found)} |")


if __name__ == "__main__":
    main()
