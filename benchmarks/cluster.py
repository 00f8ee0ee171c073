"""Judge the same inputs serially, in worker processes and on a Ray cluster; compare and time.

    python benchmarks/cluster.py
    python benchmarks/cluster.py --data $ANOMECH_DATA

A flagship detector is fitted once and judges seeded inputs chunk by chunk: digits with a small
network, or CIFAR-10 with a ResNet-14. Every engine uses one thread a worker. Start-up is the time
to the first results, less what judging alone takes: processes, imports, and the detector's way to
the workers. Throughput is measured from there on. Where other programs use the cores too, the ratio
of throughputs says little; that of processor time, which pieces take in workers and here, says what
idle cores would give: 1.0 is nothing lost.
All scores and p-values must agree to the last bit, or the exit code is 1.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from anomech import Auditor, ImageClassifier, from_arrays
from anomech.architectures.digits import DigitsNet
from anomech.architectures.resnet14 import Resnet14
from anomech.audit.auditor import FittedAuditor
from anomech.audit.judge.chunks import bounds
from anomech.data.archive import read_archive
from anomech.data.digits import load_digits
from anomech.data.images import ImageExamples
from anomech.data.subset import Subset
from anomech.engines._parcels import pack_job
from anomech.kernel import plugins
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Engine, silent
from anomech.learning.training import Recipe, train
from anomech.observing.observed import observe
from anomech.roles.task import Task

WORKERS = 2
TRUSTED = 600


@dataclass(frozen=True)
class Shared:
    """What every chunk needs."""

    fitted: FittedAuditor
    inputs: ImageExamples


def judge(shared: Shared, places: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Scores and p-values of one chunk, and the processor seconds they took."""
    clock = time.process_time()
    calibrated = shared.fitted.calibrated
    chunk = Subset(shared.inputs, places)
    observed = observe(shared.fitted.task, chunk, sources=calibrated.sources)
    judged = calibrated.judge(observed, silent)
    return judged.scores.score, judged.p_values, time.process_time() - clock


@dataclass(frozen=True)
class Timed:
    """One engine: seconds to the first results and from there to the end, and all numbers."""

    first: float
    rest: float
    numbers: list[tuple[torch.Tensor, torch.Tensor, float]]

    @property
    def processor(self) -> float:
        """Processor seconds of all pieces but the first ones, which warm up caches."""
        return sum(seconds for *_, seconds in self.numbers[WORKERS:])


def timed(engine: Engine, shared: Shared, chunks: list[np.ndarray]) -> Timed:
    """Judge all chunks; the clock is read when as many as there are workers are done."""
    clock = time.perf_counter()
    results = engine.map(judge, shared, chunks)
    numbers = [next(results) for _ in range(WORKERS)]
    between = time.perf_counter()
    numbers += results
    return Timed(between - clock, time.perf_counter() - between, numbers)


def digits(count: int) -> tuple[Task, ImageExamples, ImageExamples]:
    """A small network, trusted digits, and digits with seeded noise to judge."""
    images, labels = load_digits()
    recipe = Recipe(epochs=10, batch=50, peak=0.1, augment="none")
    network = train(DigitsNet(), images[:1000], labels[:1000], recipe, seed=0)
    rng = numpy_generator(0, "noise")
    chosen = images[rng.integers(1000, len(images), count)]
    noisy = np.clip(chosen + rng.integers(-20, 21, chosen.shape), 0, 255).astype(np.uint8)
    trusted = from_arrays(images[-TRUSTED:], labels[-TRUSTED:])
    return ImageClassifier(network), trusted, from_arrays(noisy)


def cifar10(folder: Path, count: int) -> tuple[Task, ImageExamples, ImageExamples]:
    """A ResNet-14 after two epochs, and test images as they are."""
    images, labels = read_archive(folder / "vision/cifar10_train10k_a.npz")
    network = Resnet14().build(classes=10, channels=3)
    network = train(network, images, labels, Recipe(epochs=2, bfloat16=True), seed=0)
    images, labels = read_archive(folder / "vision/cifar10_test8k.npz")
    trusted = from_arrays(images[:TRUSTED], labels[:TRUSTED])
    return ImageClassifier(network), trusted, from_arrays(images[TRUSTED:][:count])


def report(name: str, found: Timed, serial: Timed, sizes: list[int]) -> list[str]:
    """A table row."""
    rate, base = (sum(sizes[WORKERS:]) / each.rest for each in (found, serial))
    start = found.first - serial.first / (1 if found is serial else WORKERS)
    whole = (serial.first + serial.rest) / (found.first + found.rest)
    same = all(
        torch.equal(*pair)
        for one, other in zip(found.numbers, serial.numbers, strict=True)
        for pair in zip(one[:2], other[:2], strict=True)
    )
    cost = found.processor / serial.processor
    ratios = [f"{rate:.0f}", f"{rate / base:.2f}", f"{cost:.2f}", f"{start:.1f}", f"{whole:.2f}"]
    return [name, *ratios, "yes" if same else "NO"]


def main() -> int:
    """Fit, judge with every engine, print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with CIFAR-10; digits without it")
    parser.add_argument("--inputs", type=int, default=0, help="how many are judged")
    parser.add_argument("--chunk", type=int, default=256, help="inputs in a piece of work")
    parser.add_argument("--engines", nargs="*", default=["processes", "ray"])
    parser.add_argument("--address", default="", help="Ray cluster; empty starts one here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(stderr=True)
    console.log("training and fitting")
    count = given.inputs or (7400 if given.data else 60_000)
    task, trusted, inputs = cifar10(given.data, count) if given.data else digits(count)
    shared = Shared(Auditor().fit(task, trusted), inputs)
    chunks = list(bounds(len(inputs), given.chunk))
    sizes = [len(chunk) for chunk in chunks]
    load = os.getloadavg()[0]
    print(f"{len(inputs)} inputs in {len(chunks)} pieces, {WORKERS} workers of one thread each;")
    print(f"shared with each worker: {len(pack_job(judge, shared)) / 1e6:.1f} MB;", end=" ")
    print(f"load of the machine before: {load:.1f} on {os.cpu_count()} cores.\n")
    options: dict[str, dict[str, Any]] = {
        "processes": {"workers": WORKERS},
        "ray": {"address": given.address},
    }
    serial = timed(plugins.get("engine", "serial")(), shared, chunks)
    rows = [report("serial", serial, serial, sizes)]
    for name in given.engines:
        console.log(name)
        engine = plugins.get("engine", name)(**options[name])
        rows.append(report(name, timed(engine, shared, chunks), serial, sizes))
    head = ["engine", "inputs/s", "over serial", "processor time over serial", "start-up, s"]
    head += ["over serial with start-up", "same numbers"]
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    return int(any(row[-1] != "yes" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
