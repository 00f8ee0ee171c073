"""Train attacked CIFAR-10 networks and audit them at a calibrated budget; print the tables.

    python benchmarks/vision.py --data $ANOMECH_DATA

Development networks (seed 0) were looked at while the method was made; check networks (seed 1:
other weights, other poisoned images) were looked at once it was settled. No input is filtered by
its true label. A triggered input counts as anomalous if its trigger worked.

FPR is the share of 3,000 clean test images that are flagged, TPR that of triggered inputs, both at
the threshold calibrated on trusted images. "TPR, oracle threshold" is at the one that flags exactly
1 % of those 3,000 images, which no user knows.
"""

import argparse
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress as Bar
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from anomech import Detector, ImageClassifier, from_arrays
from anomech.attribution.mechanisms import find_mechanisms
from anomech.audit.detector import FittedDetector
from anomech.audit.judging import Judged
from anomech.audit.plan import BASELINES, LEAD
from anomech.bench.training import Recipe
from anomech.bench.zoo import Subject, Trained, obtain
from anomech.calibration.excess import LEVEL, chance_of_excess
from anomech.data.archive import read_archive
from anomech.data.images import ImageExamples
from anomech.data.observed import Observed, observe
from anomech.types import silent

BUDGET = 0.01
TRUSTED, CLEAN = 4000, 3000
ANCHOR_SHARE = 0.35
PICKED = 200
"""Flagged inputs of each trigger that are clustered."""

RECIPE = Recipe(epochs=24, bfloat16=True)
LONGER = Recipe(epochs=30, bfloat16=True)

Attacks = tuple[tuple[str, Mapping[str, Any]], ...]


@dataclass(frozen=True)
class Cell:
    """One network: its attacks and how it is trained."""

    name: str
    attacks: Attacks
    recipe: Recipe = RECIPE


CELLS = (
    Cell("BadNets", (("badnets", {"ratio": 0.1}),)),
    Cell("Blended", (("blended", {"ratio": 0.1}),)),
    Cell("SIG", (("sig", {}),)),
    Cell("WaNet", (("wanet", {"ratio": 0.15, "noise_ratio": 0.3}),), LONGER),
    Cell(
        "two triggers",
        (("badnets", {"pattern": "grid", "ratio": 0.08}), ("blended", {"ratio": 0.08})),
    ),
    Cell("clean", ()),
)


@dataclass(frozen=True)
class Data:
    """CIFAR-10 images: a training set, and the test images in their three roles."""

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    trusted: np.ndarray
    clean: np.ndarray
    sources: np.ndarray


def read(folder: Path) -> Data:
    """The archives of an ANOMECH_DATA folder, split with a fixed seed."""
    halves = [read_archive(folder / f"vision/cifar10_train10k_{half}.npz") for half in "ab"]
    train = tuple(np.concatenate(column) for column in zip(*halves, strict=True))
    test = read_archive(folder / "vision/cifar10_test8k.npz")
    order = np.random.default_rng(0).permutation(len(test[1]))
    trusted, clean, sources = np.split(order, [TRUSTED, TRUSTED + CLEAN])
    return Data((train[0], train[1]), test, trusted, clean, sources)


@dataclass(frozen=True)
class Triggered:
    """What detectors said of one trigger's inputs; `fired` are those whose trigger worked."""

    fired: np.ndarray
    judged: dict[str, Judged]
    seen: dict[str, Observed]


def audit(
    trained: Trained,
    data: Data,
    methods: list[str],
    console: Console,
    precision: str = "float32",
    fast: bool = False,
) -> dict[str, Any]:
    """Fit all detectors, judge clean and triggered inputs, time everything."""
    images, labels = data.test
    task = ImageClassifier(trained.model, precision=precision)
    reference = from_arrays(images[data.trusted], labels[data.trusted])
    clean = from_arrays(images[data.clean])
    result: dict[str, Any] = {"judged": {}, "fit": {}, "score": {}, "detectors": {}}
    stamped = []
    for attack in trained.attacks:
        sources = data.sources[labels[data.sources] != attack.goal.target]
        inputs = from_arrays(attack.stamp(images[sources]))
        fired = (observe(task, inputs).answers == attack.goal.target).numpy()
        stamped.append((inputs, fired))
    result["pass"] = _plain_pass(task, clean)
    for name in methods:
        console.log(f"  {name}")
        clock = time.perf_counter()
        options = {"tracer": "last_layer"} if fast and name == LEAD else {}
        detector = Detector(method=name, options=options, budget=BUDGET, anchor_share=ANCHOR_SHARE)
        fitted = detector.fit(task, reference)
        result["fit"][name] = time.perf_counter() - clock
        clock = time.perf_counter()
        seen = observe(task, clean, source=fitted.calibrated.source)
        judged = fitted.calibrated.judge(seen, silent)
        result["score"][name] = time.perf_counter() - clock
        if name == LEAD:
            result["clean"] = seen
        result["judged"][name] = judged
        result["detectors"][name] = fitted
        for place, (inputs, fired) in enumerate(stamped):
            seen = observe(task, inputs, source=fitted.calibrated.source)
            triggered = result.setdefault(f"trigger {place}", Triggered(fired, {}, {}))
            triggered.judged[name] = fitted.calibrated.judge(seen, silent)
            triggered.seen[name] = seen
    return result


def _plain_pass(task: ImageClassifier, inputs: ImageExamples) -> float:
    """Seconds of a plain inference pass, the best of three."""
    times = []
    for _ in range(3):
        clock = time.perf_counter()
        observe(task, inputs)
        times.append(time.perf_counter() - clock)
    return min(times)


def rows(cell: Cell, role: str, trained: Trained, result: dict[str, Any]) -> list[list[str]]:
    """Table rows: one a trigger and detector; a clean network has one a detector."""
    table = []
    for method, clean in result["judged"].items():
        flags = np.array(clean.decisions) == "flag"
        base = [role, f"{trained.accuracy:.3f}"]
        cost = [f"{result['score'][method] / result['pass']:.1f}", f"{result['fit'][method]:.0f}"]
        rate = f"{flags.mean():.2%}"
        if not trained.attacks:
            found = "finding" if _excess(result["detectors"][method], clean) <= LEVEL else "none"
            table.append([cell.name, *base, "-", method, rate, "-", "-", "-", found, *cost])
        for place, success in enumerate(trained.success):
            triggered: Triggered = result[f"trigger {place}"]
            judged = triggered.judged[method]
            rates = _rates(clean, judged, triggered.fired)
            name = cell.name
            if len(trained.success) > 1:
                name += f" ({cell.attacks[place][0]})"
            table.append([name, *base, f"{success:.3f}", method, rate, *rates, "-", *cost])
    return table


def _excess(fitted: FittedDetector, judged: Judged) -> float:
    flags = sum(decision == "flag" for decision in judged.decisions)
    return chance_of_excess(
        flags, len(judged.decisions), len(fitted.calibrated.groups), fitted.calibrated.budget
    )


def _rates(clean: Judged, triggered: Judged, fired: np.ndarray) -> list[str]:
    normal, scores = clean.scores.score.numpy(), triggered.scores.score.numpy()[fired]
    flags = np.array(triggered.decisions) == "flag"
    truth = np.r_[np.zeros(len(normal)), np.ones(len(scores))]
    auroc = roc_auc_score(truth, np.r_[normal, scores])
    oracle = (scores > np.quantile(normal, 1 - BUDGET)).mean()
    return [f"{flags[fired].mean():.3f}", f"{oracle:.3f}", f"{auroc:.4f}"]


def mechanisms(trained: Trained, result: dict[str, Any]) -> str:
    """How well flagged triggered inputs separate into mechanisms, clean false flags among them."""
    residuals, truth = [], []
    lead = result["detectors"][LEAD].calibrated
    for place in range(len(trained.attacks)):
        triggered: Triggered = result[f"trigger {place}"]
        judged = triggered.judged[LEAD]
        flagged = np.flatnonzero((np.array(judged.decisions) == "flag") & triggered.fired)[:PICKED]
        residuals.append(lead.unexplained(triggered.seen[LEAD].take(flagged)))
        truth += [place] * len(flagged)
    clean = result["judged"][LEAD]
    false = np.flatnonzero(np.array(clean.decisions) == "flag")
    residuals.append(lead.unexplained(result["clean"].take(false)))
    clusters = find_mechanisms(torch.cat(residuals), lead.residuals)
    count = len(truth)
    told = f"{int((clusters.labels[:count] >= 0).sum())} of {count} triggered inputs in them"
    if len(trained.attacks) > 1:
        told += f", adjusted Rand index {adjusted_rand_score(truth, clusters.labels[:count]):.3f}"
    sizes = [int((clusters.labels == label).sum()) for label in range(len(clusters.cohesion))]
    noun = "mechanism" if len(sizes) == 1 else "mechanisms"
    return (
        f"{len(sizes)} {noun} of sizes {sizes}, {told}; "
        f"{int((clusters.labels[count:] >= 0).sum())} of {len(false)} flagged clean inputs too"
    )


def main() -> None:
    """Run the cells and print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("ANOMECH_DATA"))
    parser.add_argument("--cache", type=Path, default=Path("build/zoo"))
    parser.add_argument("--cells", nargs="*", default=[cell.name for cell in CELLS])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    parser.add_argument("--lead-only", action="store_true", help="leave the baselines out")
    parser.add_argument("--precision", default="float32", help="bfloat16: low precision")
    parser.add_argument(
        "--fast", action="store_true", help="the lead looks at the last layer alone"
    )
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data, or set ANOMECH_DATA")
    torch.set_num_threads(given.threads)
    console, data = Console(stderr=True), read(given.data)
    methods = [LEAD] if given.lead_only else [LEAD, *BASELINES]
    table, notes = [], []
    for seed in given.seeds:
        for cell in (cell for cell in CELLS if cell.name in given.cells):
            role = "development" if seed == 0 else "check"
            console.log(f"{cell.name}, seed {seed} ({role})")
            trained = _obtain(cell, seed, data, given.cache, console)
            result = audit(trained, data, methods, console, given.precision, given.fast)
            table += rows(cell, role, trained, result)
            notes.append(f"- {cell.name} ({role}): {mechanisms(trained, result)}.")
    _print(table, notes)


def _obtain(cell: Cell, seed: int, data: Data, cache: Path, console: Console) -> Trained:
    subject = Subject(cell.attacks, "resnet14", cell.recipe, seed)
    with Bar(console=console, transient=True) as bar:
        line = bar.add_task("training")
        return obtain(
            subject,
            data.train,
            data.test,
            cache,
            lambda done, total: bar.update(line, completed=done, total=total),
        )


def _print(table: list[list[str]], notes: list[str]) -> None:
    head = ["network", "role", "accuracy", "attack success", "detector", "FPR", "TPR"]
    head += ["TPR, oracle threshold", "AUROC", "model level", "time / plain pass", "fit, s"]
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in table:
        print("| " + " | ".join(row) + " |")
    print()
    print("\n".join(notes))


if __name__ == "__main__":
    main()
