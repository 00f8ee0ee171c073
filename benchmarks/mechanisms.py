"""How well flagged inputs separate into mechanisms, false flags among them.

    python benchmarks/mechanisms.py --data $ANOMECH_DATA

Attacked CIFAR-10 networks are audited by the default detector at a calibrated 1 %. Up to 200
flagged inputs of each trigger are clustered together with all clean images that are flagged,
without telling which is which. A triggered input counts as anomalous if its trigger worked; no
input is chosen by its true label.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from cifar import CELLS, Cell, Data, read, trained_cell
from rich.console import Console
from sklearn.metrics import adjusted_rand_score

from anomech import Auditor, ImageClassifier, from_arrays
from anomech.attribution.mechanisms import find_mechanisms
from anomech.bench.worlds.images.zoo import Trained
from anomech.kernel.types import silent
from anomech.observing.observed import Observed, observe

BUDGET = 0.01
ANCHOR_SHARE = 0.35
PICKED = 200
"""Flagged inputs of each trigger that are clustered."""


def mechanisms(trained: Trained, data: Data) -> str:
    """Audit a network and cluster its flags; a line about them."""
    images, labels = data.test
    task = ImageClassifier(trained.model)
    auditor = Auditor(budget=BUDGET, anchor_share=ANCHOR_SHARE)
    lead = auditor.fit(task, from_arrays(images[data.trusted], labels[data.trusted])).calibrated

    def flagged(chosen: np.ndarray) -> tuple[Observed, np.ndarray, np.ndarray]:
        """Inputs observed, whether each is flagged, and the answers."""
        seen = observe(task, from_arrays(chosen), sources=lead.sources)
        flags = np.array(lead.judge(seen, silent).decisions) == "flag"
        return seen, flags, seen.answers.numpy()

    seen, false, _ = flagged(images[data.clean])
    residuals, truth = [], list[int]()
    told = [f"FPR {false.mean():.2%}"]
    for place, trigger in enumerate(trained.attacks):
        tested = trigger.goal.tested_on(labels[data.sources], trained.classes)
        sources = data.sources[tested]
        stamped, flags, answers = flagged(trigger.stamp(images[sources]))
        fired = answers == trigger.goal.labels(labels[sources], trained.classes)
        told.append(f"TPR {flags[fired].mean():.3f}")
        found = np.flatnonzero(flags & fired)[:PICKED]
        residuals.append(lead.unexplained(stamped.take(found)))
        truth += [place] * len(found)
    residuals.append(lead.unexplained(seen.take(np.flatnonzero(false))))
    clusters = find_mechanisms(
        torch.cat(residuals), lead.residuals, calibration=len(lead.groups), budget=BUDGET
    )
    sizes = [int((clusters.labels == label).sum()) for label in range(len(clusters.cohesion))]
    triggered, normal = clusters.labels[: len(truth)], clusters.labels[len(truth) :]
    told.append(f"{len(sizes)} {'mechanism' if len(sizes) == 1 else 'mechanisms'} of sizes {sizes}")
    told.append(f"{int((triggered >= 0).sum())} of {len(truth)} triggered inputs in them")
    if len(trained.attacks) > 1:
        told.append(f"adjusted Rand index {adjusted_rand_score(truth, triggered):.3f}")
    told.append(f"{int((normal >= 0).sum())} of {len(normal)} flagged clean inputs too")
    return ", ".join(told)


def main() -> None:
    """Audit the networks and print a line about each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("ANOMECH_DATA"))
    parser.add_argument("--cache", type=Path, default=Path("build/zoo"))
    parser.add_argument("--cells", nargs="*", default=[cell.name for cell in CELLS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data, or set ANOMECH_DATA")
    torch.set_num_threads(given.threads)
    console, data = Console(stderr=True), read(given.data)
    for cell in (cell for cell in CELLS if cell.name in given.cells):
        print(f"- {cell.name}: {_line(cell, given.seed, data, given.cache, console)}.", flush=True)


def _line(cell: Cell, seed: int, data: Data, cache: Path, console: Console) -> str:
    return mechanisms(trained_cell(cell, seed, data, cache, console), data)


if __name__ == "__main__":
    main()
