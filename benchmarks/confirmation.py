"""How well the numbers of a confirmation tell planted triggers from those found on clean networks.

    python benchmarks/confirmation.py scan-small --zoo runs/zoo --role development --seeds 0

For every network of the suite the trigger of the most suspicious class of Neural Cleanse is laid
over held-out trusted images, and all that a confirmation says of it is printed, one line of JSON a
network; networks that `--out` already has are not run again.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from anomech.bench.models.suite import ROOM, Made, ModelSuite, from_mapping, networks
from anomech.bench.suite_files import read_suite
from anomech.bench.worlds.images import datasets
from anomech.bench.worlds.images.datasets import ImageSets
from anomech.bench.worlds.images.zoo import ZooVictim, fetch
from anomech.data.images import from_arrays
from anomech.data.splits import stratified
from anomech.kernel import plugins
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.scan.attributing import witness
from anomech.scan.confirming import success
from anomech.tasks.image_classifier import ImageClassifier

HELD_OUT = 0.3


def main() -> None:
    """Go through the networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite")
    parser.add_argument("--zoo", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/confirmation.jsonl"))
    parser.add_argument("--role", default="development")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    asked = parser.parse_args()
    suite = from_mapping(read_suite(asked.suite, ROOM))
    sets = datasets.load(suite.data, datasets.data_folder())
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    lines = asked.out.read_text().splitlines() if asked.out.exists() else []
    known = {json.loads(line)["network"] for line in lines}
    for made in networks(suite):
        wanted = made.spec.role == asked.role and made.network.seed in asked.seeds
        if wanted and made.name not in known:
            line = json.dumps(confirmation(suite, made, sets, asked.zoo))
            print(line, flush=True)
            with asked.out.open("a") as file:
                file.write(line + "\n")


def confirmation(suite: ModelSuite, made: Made, sets: ImageSets, zoo: Path) -> dict[str, object]:
    """All that a confirmation says of the most suspicious trigger of a network."""
    seed = made.network.seed
    model, _ = fetch(made.network, sets.train, zoo)
    images, labels = sets.test
    share = suite.trusted / len(labels)
    places = stratified(labels, (share, 1 - share), seed=seed, purpose="models")[0]
    order = np.random.default_rng(seed).permutation(places)
    cut = round(HELD_OUT * len(order))
    parts = [from_arrays(images[part], labels[part]) for part in (order[cut:], order[:cut])]
    task = ImageClassifier(model).prepared(parts[0])
    trusted, held_out = (observe(task, part) for part in parts)
    options = {"use": "neural_cleanse", **suite.scanners["neural_cleanse"]}
    scanner = plugins.make("scanner", options, "neural_cleanse")
    scan = scanner.scan(task, trusted, seed=seed, progress=silent)
    again = scanner.scan(task, trusted, seed=seed + 1, progress=silent)
    top = int(scan.statistic.argmax())
    trigger = scan.candidates.get(top)
    found: dict[str, object] = {
        "network": made.name,
        "kind": made.kind,
        "target": made.target,
        "top": top,
        "statistic": round(float(scan.statistic.max()), 3),
        "same class at another seed": int(again.statistic.argmax()) == top,
    }
    if trigger is None:
        return found
    other = ZooVictim(made.network, sets.train, zoo).surrogate()
    independent = ImageClassifier(other).prepared(parts[0])
    found["success"] = success(task, trigger, top, held_out)[0]
    if made.spec.attacks:
        found["success on a clean network"] = success(independent, trigger, top, held_out)[0]
    if top in again.candidates:
        masks = [each.candidates[top].mask.flatten() for each in (scan, again)]
        found["overlap of masks"] = float(torch.cosine_similarity(*masks, dim=0))
    seen = witness(task, trusted, seed, silent)
    return found if seen is None else {**found, **seen.facts(trigger, top, held_out)}


if __name__ == "__main__":
    main()
