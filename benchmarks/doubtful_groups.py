"""Which groups an audit finds in trusted sets that hold a share of poison, and in clean ones.

    python benchmarks/doubtful_groups.py vision-small --zoo runs/zoo --trusted 1000 --seeds 1 2

Trusted sets are drawn from the test images of the networks of a suite; a share of them gets the
network's trigger and the attacker's label, where that works. One line a network: for every share
how many of the draws name a group, and of the poison and of honest images how many are in it.
Networks that the zoo does not hold are left out.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from anomech.audit.probing.minority import minority
from anomech.bench.cells import cells
from anomech.bench.suite import from_mapping
from anomech.bench.suite_files import read_suite
from anomech.bench.worlds.images import datasets
from anomech.bench.worlds.images.subjects import Subject
from anomech.bench.worlds.images.zoo import fetch
from anomech.data.images import from_arrays
from anomech.observing.observed import observe
from anomech.roles.attack import Trigger
from anomech.tasks.image_classifier import ImageClassifier

Images = tuple[np.ndarray, np.ndarray]


def main() -> None:
    """Go through the networks of a suite."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite")
    parser.add_argument("--zoo", type=Path, required=True)
    parser.add_argument("--trusted", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--shares", type=float, nargs="+", default=[0, 0.01, 0.02, 0.05])
    asked = parser.parse_args()
    suite, done = from_mapping(read_suite(asked.suite)), set()
    print("| network | " + " | ".join(f"{share:.1%} poison" for share in asked.shares) + " |")
    print("| --- " * (1 + len(asked.shares)) + "|")
    for cell in cells(suite):
        sets = datasets.load(cell.suite.data, datasets.data_folder()).first(cell.suite.train)
        assert isinstance(cell.network, Subject), "suites of images train networks"
        known = asked.zoo / f"{cell.network.fingerprint(*sets.train)}.safetensors"
        if cell.trained in done or not known.exists():
            continue
        done.add(cell.trained)
        told = _told(cell.network, sets, asked.zoo, asked.trusted, asked.seeds, asked.shares)
        print(f"| {cell.subject} {cell.kind} | " + " | ".join(told) + " |", flush=True)


def _told(
    network: Subject,
    sets: datasets.ImageSets,
    zoo: Path,
    trusted: int,
    seeds: list[int],
    shares: list[float],
) -> list[str]:
    """For each share what is found in trusted sets of one network."""
    model, triggers = fetch(network, sets.train, zoo)
    task, told = ImageClassifier(model), []
    for share in shares:
        if share and not triggers:
            told.append("-")
            continue
        named = hit = planted = honest = 0
        for seed in seeds:
            order = np.random.default_rng(seed).permutation(len(sets.test[1]))[:trusted]
            drawn = sets.test[0][order].copy(), sets.test[1][order].copy()
            poison = _poison(task, drawn, triggers, round(share * trusted), sets.classes)
            seen = observe(task, from_arrays(*drawn))
            found = minority(seen.features, torch.from_numpy(drawn[1].astype(np.int64)), 0)
            planted += int(poison.sum())
            if found is not None:
                named += 1
                hit += int(poison[found.places.numpy()].sum())
                honest += int((~poison[found.places.numpy()]).sum())
        told.append(f"{named} of {len(seeds)}: {hit} of {planted}, {honest} honest")
    return told


def _poison(
    task: ImageClassifier, drawn: Images, triggers: list[Trigger], count: int, classes: int
) -> np.ndarray:
    """Poison so many images in place, where the trigger works; which they are, bool `[n]`."""
    images, labels = drawn
    poison = np.zeros(len(labels), bool)
    if not count:
        return poison
    goal = triggers[0].goal
    places = np.flatnonzero(goal.tested_on(labels, classes))
    stamped, wanted = triggers[0].stamp(images[places]), goal.labels(labels[places], classes)
    works = observe(task, from_arrays(stamped, wanted)).groups.numpy() == wanted
    kept = np.flatnonzero(works)[:count]
    images[places[kept]], labels[places[kept]] = stamped[kept], wanted[kept]
    poison[places[kept]] = True
    return poison


if __name__ == "__main__":
    main()
