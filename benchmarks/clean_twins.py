"""What networks that never learned a trigger say of inputs that carry it.

    anomech demo --out runs/demo
    python benchmarks/clean_twins.py runs/demo

The digits that the demo poisons are learned here as they are, and the demo's inputs are audited
with each such network at the default settings. Printed is how many are flagged, and why: a second
audit of a repaired network is to be read beside it.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import anomech
from anomech.architectures.digits import Digits
from anomech.bench.demo import RECIPE, SHARES
from anomech.data.digits import load_digits
from anomech.data.images import from_arrays
from anomech.data.splits import stratified
from anomech.learning.training import train


def main() -> None:
    """Print one row a network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a demo with seed 0")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    images, labels = load_digits()
    learned = stratified(labels, SHARES, seed=0, purpose="demo")[0]
    kept = [np.load(asked.run / "material" / f"{name}.npz") for name in ("trusted", "inputs")]
    trusted = from_arrays(kept[0]["images"], kept[0]["labels"])
    inputs, triggered = kept[1]["images"], np.char.startswith(kept[1]["ids"], "triggered")
    table = Table("seed", "triggered flagged", "others flagged", "causes")
    for seed in asked.seeds:
        network = train(
            Digits().build(classes=10, channels=1),
            images[learned],
            labels[learned],
            RECIPE,
            seed=seed,
        )
        auditor = anomech.Auditor().fit(anomech.ImageClassifier(network), trusted)
        verdicts = list(auditor.score(from_arrays(inputs)))
        flagged = np.array([verdict.decision == "flag" for verdict in verdicts])
        causes = Counter(
            verdict.cause
            for verdict, mine in zip(verdicts, triggered, strict=True)
            if mine and verdict.decision == "flag"
        )
        table.add_row(
            str(seed),
            f"{(flagged & triggered).sum()} of {triggered.sum()}",
            f"{(flagged & ~triggered).sum()} of {(~triggered).sum()}",
            ", ".join(f"{cause}: {count}" for cause, count in causes.most_common()),
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
