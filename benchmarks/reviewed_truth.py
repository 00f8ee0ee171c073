r"""What a review of a ResNet-20 left of its backdoor, on images that the review never saw.

    export ANOMECH_DATA=PATH
    python benchmarks/reviewed_truth.py make --zoo zoo --out material
    anomech review --model material/network.py:make_model --weights material/network.safetensors \
        --reference material/trusted.npz --inputs material/inputs.npz --out runs/review
    python benchmarks/reviewed_truth.py measure --out material runs/review/repair-1

`make` trains the network of `repair-cifar` with BadNets, or takes it from the zoo, and writes what
a user would have: 1,000 trusted images of CIFAR-10's test set, and 600 inputs, 200 of them with the
trigger. `measure` prints accuracy and attack success on 2,000 and 500 others, before and after.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file
from torch import nn

from anomech.architectures.resnet20 import Resnet20
from anomech.bench.repairs.suite import ROOM, from_mapping, subject_of
from anomech.bench.suite_files import read_suite
from anomech.bench.worlds.images.datasets import load
from anomech.bench.worlds.images.zoo import obtain
from anomech.learning.training import predict

NETWORK = """from anomech.architectures.resnet20 import Resnet20


def make_model():
    return Resnet20().build(classes=10, channels=3)
"""
PARTS = {
    "trusted": slice(0, 1000),
    "clean": slice(1000, 1400),
    "triggered": slice(1400, 1800),
    "unseen clean": slice(2000, 4000),
    "unseen triggered": slice(4000, 4600),
}
"""Of the test images in random order; those of the target class take no trigger."""
TRIGGERED = {"triggered": 200, "unseen triggered": 500}
WEIGHTS, REPAIRED = "network.safetensors", "repaired.safetensors"


def main() -> None:
    """Write the material, or print one row before and one after each repair."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("make", "measure"))
    parser.add_argument("repairs", type=Path, nargs="*", help="folders of repairs")
    parser.add_argument("--zoo", type=Path, default=Path("zoo"))
    parser.add_argument("--out", type=Path, default=Path("material"))
    asked = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    make(asked.zoo, asked.out) if asked.what == "make" else measure(asked.out, asked.repairs)


def make(zoo: Path, out: Path) -> None:
    """What a user would have, and what only this file measures on."""
    suite = from_mapping(read_suite("repair-cifar", ROOM))
    sets = load(suite.data, Path(os.environ["ANOMECH_DATA"])).first(suite.train)
    found = obtain(subject_of(suite, "BadNets", 0), sets.train, sets.test, zoo)
    trigger, (images, labels) = found.attacks[0], sets.test
    order = np.random.default_rng(0).permutation(len(labels))
    parts = {}
    for name, span in PARTS.items():
        places = order[span]
        if name in TRIGGERED:
            able = trigger.goal.tested_on(labels[places], found.classes)
            places = places[able][: TRIGGERED[name]]
        shown = trigger.stamp(images[places]) if name in TRIGGERED else images[places]
        wanted = labels[places]
        if name in TRIGGERED:
            wanted = trigger.goal.labels(wanted, found.classes)
        parts[name] = shown, wanted, [f"{name}-{place}" for place in places]
    out.mkdir(parents=True, exist_ok=True)
    (out / "network.py").write_text(NETWORK)
    save_file(found.model.state_dict(), out / WEIGHTS)
    inputs = [
        np.concatenate([parts["clean"][which], parts["triggered"][which]]) for which in (0, 2)
    ]
    np.savez(out / "trusted.npz", images=parts["trusted"][0], labels=parts["trusted"][1])
    np.savez(out / "inputs.npz", images=inputs[0], ids=inputs[1])
    for name in ("unseen clean", "unseen triggered"):
        np.savez(out / f"{name}.npz", images=parts[name][0], labels=parts[name][1])


def measure(out: Path, repairs: list[Path]) -> None:
    """Accuracy and attack success on images that no review saw."""
    table = Table("weights", "accuracy", "attack success")
    for path in (out / WEIGHTS, *(each / REPAIRED for each in repairs)):
        network = Resnet20().build(classes=10, channels=3)
        network.load_state_dict(load_file(path))
        shares = [_share(network.eval(), out / f"{name}.npz") for name in PARTS if "unseen" in name]
        table.add_row(str(path), *shares)
    Console(width=120).print(table)


def _share(network: nn.Module, path: Path) -> str:
    with np.load(path) as kept, torch.no_grad():
        hits = predict(network, kept["images"]) == kept["labels"]
    return f"{hits.mean():.4f} of {len(hits)}"


if __name__ == "__main__":
    main()
