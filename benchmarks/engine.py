"""What tracing costs over plain inference, in one run on one machine; print the tables.

    python benchmarks/engine.py

Times are wall-clock, of whole passes over the same inputs, in rounds: every kind of work once a
round, ratios within a round, the median over rounds. Peak memory is that of a process of its own
which does nothing else. Weights are random, for speed does not depend on what they say.

Kinds of work: `plain` is inference at the batch size asked for; `plain, own passes` the same in
passes of the size the task chooses; `floor` one forward and one backward pass over activations by
the framework itself, which no tracer of all layers can do without; `gradient` answers and traces
over all layers; `last_layer` answers and the fast mode's traces; `verdicts` all that an audit does
to an input with the flagship detector, and `fast verdicts` the same in the fast mode.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from anomech import ImageClassifier, from_arrays
from anomech import architectures as networks
from anomech.audit.judge.calibrated import calibrate
from anomech.audit.judge.detectors import make_detector
from anomech.data.images import ImageExamples
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.tracing.gradient import Gradient
from anomech.tracing.last_layer import LastLayer

ANCHORS, CALIBRATION = 500, 200
Work = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """One network and how it is run."""

    network: str
    precision: str
    batch: int
    inputs: int
    device: str


def works(setting: Setting, wanted: list[str]) -> dict[str, Work]:
    """The kinds of work by name, each a function that does all of it once."""
    torch.manual_seed(0)
    model = networks.get(setting.network)(classes=10, channels=3).eval()
    own = ImageClassifier(model, precision=setting.precision, device=setting.device)
    plain = replace(own, batch=setting.batch)
    images, trusted = _images(setting.inputs, 0), _images(ANCHORS + CALIBRATION, 1)
    answers = observe(own, trusted.take(slice(0, 8))).answers
    some = trusted.take(slice(0, 8))
    made: dict[str, Callable[[], Work]] = {
        "plain": lambda: lambda: observe(plain, images),
        "plain, own passes": lambda: lambda: observe(own, images),
        "floor": lambda: lambda: _floor(own, images),
        "gradient": lambda: _answering(
            Gradient().fit(own, some, answers, seed=0, progress=silent), images
        ),
        "last_layer": lambda: _answering(
            LastLayer().fit(own, some, answers, seed=0, progress=silent), images
        ),
        "verdicts": lambda: _judging(own, trusted, images, {}),
        "fast verdicts": lambda: _judging(own, trusted, images, {"tracer": "last_layer"}),
    }
    return {name: made[name]() for name in wanted}


def _images(count: int, seed: int) -> ImageExamples:
    values = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return from_arrays(values)


def _floor(task: ImageClassifier, images: ImageExamples) -> None:
    for places in task.passes(images):
        with torch.enable_grad():
            batch = task._prepare(images.load(places)).requires_grad_()
            with torch.autocast(batch.device.type, torch.bfloat16, task.precision != "float32"):
                logits = task.network(batch)
            torch.autograd.grad(logits.float().logsumexp(1).sum(), batch)


def _answering(source: object, images: ImageExamples) -> Work:
    return lambda: source.answer(images, silent)


def _judging(
    task: ImageClassifier,
    trusted: ImageExamples,
    images: ImageExamples,
    options: Mapping[str, object],
) -> Work:
    seen = observe(task, trusted)
    fitted = calibrate(
        "functional_attribution",
        make_detector("functional_attribution", options),
        seen.take(np.arange(ANCHORS)),
        seen.take(np.arange(ANCHORS, len(trusted))),
        budget=0.01,
        per_class=False,
        seed=0,
        progress=silent,
    )
    return lambda: fitted.judge(observe(task, images, sources=fitted.sources), silent)


def timed(setting: Setting, rounds: int, wanted: list[str]) -> dict[str, list[float]]:
    """Seconds of each kind of work in each round, after one that does not count."""
    doing = works(setting, wanted)
    seconds: dict[str, list[float]] = {name: [] for name in doing}
    for turn in range(rounds + 1):
        for name, work in doing.items():
            clock = time.perf_counter()
            work()
            if setting.device.startswith("cuda"):
                torch.cuda.synchronize()
            if turn:
                seconds[name].append(time.perf_counter() - clock)
    return seconds


def peak(setting: Setting, work: str) -> float:
    """Peak memory in MiB of a process that does this alone; on a GPU that of its tensors."""
    values = [setting.network, setting.precision, setting.batch, setting.inputs, setting.device]
    command = [sys.executable, __file__, "--alone", work, *(str(each) for each in values)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _alone(work: str, values: list[str]) -> None:
    torch.set_num_threads(1)
    network, precision, batch, inputs, device = values
    setting = Setting(network, precision, int(batch), int(inputs), device)
    works(setting, [work])[work]()
    if device.startswith("cuda"):
        print(torch.cuda.max_memory_allocated() / 2**20)
    else:
        print(_high_water())


def _high_water() -> float:
    """Peak resident memory in MiB; `ru_maxrss` would count the parent's at the fork too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 2**10
    raise RuntimeError("this system does not tell the peak memory of a process")


def shares(setting: Setting) -> dict[str, float]:
    """Where a gradient pass spends its time, by kind of operation, as shares."""
    work = works(setting, ["gradient"])["gradient"]
    work()
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        work()
    found: dict[str, float] = {}
    for event in seen.key_averages(group_by_input_shape=True):
        kind = _kind(event.key, event.input_shapes)
        found[kind] = found.get(kind, 0.0) + event.self_cpu_time_total
    total = sum(found.values())
    return {kind: time / total for kind, time in sorted(found.items(), key=lambda each: -each[1])}


def _kind(name: str, shapes: list[list[int]]) -> str:
    name = name.removeprefix("aten::")
    if name == "convolution_backward":
        return "convolutions, backward"
    if "convolution" in name:
        depthwise = len(shapes) > 1 and len(shapes[1]) == 4 and shapes[1][1] == 1
        return "projection of patches" if depthwise else "convolutions, forward"
    if name in ("bmm", "mm"):
        return "products over positions"
    if name in ("clamp_min", "relu", "threshold_backward"):
        return "rectifiers"
    if name in ("addcmul", "mul", "native_batch_norm", "sum"):
        return "normalizations and sums"
    return "everything else"


def main() -> None:
    """Run the settings and print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=["resnet20", "preactresnet18"])
    parser.add_argument("--precisions", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--inputs", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--alone", nargs=6, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        _alone(given.alone[0], given.alone[1:])
        return
    torch.set_num_threads(given.threads)
    kinds = ["plain", "plain, own passes", "floor", "gradient", "last_layer"]
    kinds += ["verdicts", "fast verdicts"]
    print(f"batch {given.batch}, {given.inputs} inputs, {given.rounds} rounds, {given.device}\n")
    print("| network | precision | work | inputs/s | time / plain | least | peak / plain |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for network in given.networks:
        for precision in given.precisions:
            setting = Setting(network, precision, given.batch, given.inputs, given.device)
            seconds = timed(setting, given.rounds, kinds)
            peaks = {kind: peak(setting, kind) for kind in kinds}
            for kind in kinds:
                ratios = [a / b for a, b in zip(seconds[kind], seconds["plain"], strict=True)]
                print(
                    f"| {network} | {precision} | {kind} "
                    f"| {given.inputs / statistics.median(seconds[kind]):.0f} "
                    f"| {statistics.median(ratios):.2f} "
                    f"| {min(seconds[kind]) / min(seconds['plain']):.2f} "
                    f"| {peaks[kind] / peaks['plain']:.2f} |",
                    flush=True,
                )
    print("\nWhere a gradient pass spends its time:\n")
    for network in given.networks:
        setting = Setting(network, "float32", given.batch, given.batch, given.device)
        told = ", ".join(f"{kind} {share:.0%}" for kind, share in shares(setting).items())
        print(f"- {network}: {told}.")


if __name__ == "__main__":
    main()
