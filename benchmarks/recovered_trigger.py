"""Draw what Neural Cleanse recovers of a planted patch beside the patch itself.

    python benchmarks/recovered_trigger.py scan-small --zoo runs/zoo --subject BadNets \
        --out docs/images/recovered-trigger.png

From left to right: an image as it is, with the attacker's trigger, with the recovered one, and the
mask that was recovered, white where it covers.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from anomech.bench.models.suite import ROOM, from_mapping, networks
from anomech.bench.suite_files import read_suite
from anomech.bench.worlds.images import datasets
from anomech.bench.worlds.images.zoo import fetch
from anomech.data.images import from_arrays
from anomech.kernel import plugins
from anomech.kernel.types import silent
from anomech.learning.inversion import Inverted
from anomech.observing.observed import observe
from anomech.tasks.image_classifier import ImageClassifier

SCALE, GAP, IMAGES = 12, 6, 200


def main() -> None:
    """Scan one network and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite")
    parser.add_argument("--zoo", type=Path, required=True)
    parser.add_argument("--subject", default="BadNets")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    suite = from_mapping(read_suite(asked.suite, ROOM))
    made = next(each for each in networks(suite) if each.subject == asked.subject)
    sets = datasets.load(suite.data, datasets.data_folder())
    model, triggers = fetch(made.network, sets.train, asked.zoo)
    images, labels = (each[:IMAGES] for each in sets.test)
    examples = from_arrays(images, labels)
    task = ImageClassifier(model).prepared(examples)
    options = {"use": "neural_cleanse", **suite.scanners["neural_cleanse"]}
    scanner = plugins.make("scanner", options, "neural_cleanse")
    scan = scanner.scan(task, observe(task, examples), seed=0, progress=silent)
    top = int(scan.statistic.argmax())
    found = scan.candidates[top]
    assert isinstance(found, Inverted)
    first = images[:1]
    point = task.embed(first)
    tiles = [
        first[0],
        triggers[0].stamp(first)[0],
        _bytes(found.apply(point)[0]),
        _bytes(found.mask.expand_as(point[0])),
    ]
    _drawn(tiles).save(asked.out)
    print(f"class {top} (the target is {made.target}), statistic {float(scan.statistic.max()):.2f}")


def _bytes(picture: torch.Tensor) -> np.ndarray:
    """uint8 `[h, w, c]` of a picture `[c, h, w]` in [0, 1]."""
    return (255 * picture).round().to(torch.uint8).permute(1, 2, 0).numpy()


def _drawn(tiles: list[np.ndarray]) -> Image.Image:
    """Tiles side by side, each pixel as a square."""
    large = [np.kron(tile[..., 0], np.ones((SCALE, SCALE), np.uint8)) for tile in tiles]
    bar = np.full((large[0].shape[0], GAP), 128, np.uint8)
    rows = [part for tile in large for part in (tile, bar)][:-1]
    return Image.fromarray(np.concatenate(rows, axis=1))


if __name__ == "__main__":
    main()
