"""The published method against ours on the same network, reference and inputs; print the tables.

    python benchmarks/published.py --data $ANOMECH_DATA --cells BadNets Blended SIG WaNet

The published side is devinterp 1.3.2 itself with the published settings, in an environment of its
own that the first run makes under `build/` (see `published_environment.py` and
`published_chain.py`). Both sides run one after the other on this machine, each in a process of its
own with the same number of threads. No input is filtered by its true label; a triggered input
counts if its trigger fired. The last column has the published filter: of the clean inputs only
those that the model answers rightly.

- *Calibrated threshold*: split conformal at 1 % on trusted images kept out of the anchors, the same
  split on both sides. *Oracle threshold*: exactly 1 % of the clean inputs pass it.
- *Evaluations an input*: forward passes for one more input (a backward pass counts as two), the one
  that answers it included. *All evaluations* are those of the whole job, the reference included,
  over the number of inputs; steps of the chain count three passes an example, and our tracer's
  checks of itself (some dozens of examples) are left out.
- *Seconds*: the whole job from a loaded network on. Published: the chain, and evaluating trusted
  images and inputs at every draw; its analysis of the losses is not counted. Ours: observing,
  fitting and judging.
- *Peak memory*: largest resident set of each process (VmHWM), the Python libraries included.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from cifar import read
from published_analysis import (
    ANCHOR_SHARE,
    BUDGET,
    HEAD,
    Problem,
    calibrated_limit,
    chain_arrays,
    network_settings,
    problem,
    published_scores,
    rates,
    table,
)
from published_environment import PUBLISHED, dropped, interpreter, run_chain, weights
from rich.console import Console

OURS = "anomech, functional_attribution"
COST_HEAD = ["network", "quantity", "published", "ours", "published / ours"]


def run_ours(given: Problem, threads: int) -> dict[str, np.ndarray]:
    """The default detector in a process of its own."""
    settings = network_settings(given) | {
        "threads": threads,
        "budget": BUDGET,
        "anchor_share": ANCHOR_SHARE,
    }
    arrays = weights(given.trained.model) | {
        "reference_images": given.reference[0],
        "reference_labels": given.reference[1],
        "inputs": given.inputs,
    }
    script = Path(__file__).with_name("published_ours.py")
    with tempfile.TemporaryDirectory() as place:
        request, answer = Path(place, "request.npz"), Path(place, "answer.npz")
        np.savez(request, settings=json.dumps(settings), **arrays)
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, str(script), str(request), str(answer)]
        subprocess.run(command, env=environment, check=True)
        with np.load(answer) as found:
            return dict(found)


def compare(
    given: Problem, draws: int, threads: int, console: Console
) -> tuple[list[list[str]], list[list[str]]]:
    """Rows of the table of rates and of the table of costs."""
    split, observed = given.split()
    console.log(f"{given.name}: ours")
    ours = run_ours(given, threads)
    examples = [split.anchors, split.calibration, observed]
    arrays = chain_arrays(given, split, examples)
    console.log(f"{given.name}: published, {draws} draws of {len(arrays['own_labels'])} images")
    settings = network_settings(given) | {"draws": draws, "threads": threads}
    chain = run_chain(settings, arrays)
    clean, right, fired = given.roles(observed.answers.numpy())
    scored = {OURS: (ours["scores"], float(ours["limit"]))}
    losses = chain["losses"][dropped(draws) :].T
    anchors, calibration, inputs = np.split(
        losses, np.cumsum([len(split.anchors), len(split.calibration)])
    )
    predicted = split.anchors.groups
    own = published_scores(calibration, anchors, predicted)
    for name, scores in published_scores(inputs, anchors, predicted).items():
        scored[f"published, {name}"] = (scores, calibrated_limit(own[name]))
    rows = [
        [
            given.name,
            method,
            *rates(scores, limit, clean, fired).cells(),
            f"{rates(scores, limit, right, fired).auroc:.4f}",
        ]
        for method, (scores, limit) in scored.items()
    ]
    return rows, _costs(given, draws, chain, ours, len(losses), len(arrays["sampling_labels"]))


def _costs(
    given: Problem,
    draws: int,
    chain: dict[str, np.ndarray],
    ours: dict[str, np.ndarray],
    evaluated: int,
    driving: int,
) -> list[list[str]]:
    count, each = len(given.inputs), float(ours["evaluations"])
    batches = -(-driving // int(PUBLISHED["batch"]))
    steps = 3 * draws * driving / batches  # examples an average minibatch, forward and backward
    everything = len(given.reference[1]) + count
    pairs = {
        "evaluations an input": (draws + 1, each),
        "all evaluations over inputs": (
            (draws * evaluated + steps + everything) / count,
            each * everything / count,
        ),
        "seconds": (float(chain["seconds"]), float(ours["seconds"])),
        "peak memory, MiB": (float(chain["peak_kib"]) / 1024, float(ours["peak_kib"]) / 1024),
    }
    full = int(PUBLISHED["draws"])
    if draws < full:
        pairs[f"seconds at {full} draws, EXTRAPOLATED in proportion, not measured"] = (
            float(chain["seconds"]) * full / draws,
            float(ours["seconds"]),
        )
    return [
        [given.name, name, f"{one:,.1f}", f"{two:,.1f}", f"{one / two:,.1f}"]
        for name, (one, two) in pairs.items()
    ]


def main() -> None:
    """Run the networks and print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("ANOMECH_DATA"))
    parser.add_argument("--cache", type=Path, default=Path("build/zoo"))
    parser.add_argument("--cells", nargs="*", default=["BadNets", "Blended", "SIG", "WaNet"])
    parser.add_argument("--draws", type=int, default=PUBLISHED["draws"], help="fewer: reduced")
    parser.add_argument("--trusted", type=int, default=2000)
    parser.add_argument("--inputs", type=int, default=900, help="half of them triggered")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    console, data = Console(stderr=True), read(given.data) if given.data else None
    console.log(f"devinterp in {interpreter().parents[1]}")
    rows, costs = list[list[str]](), list[list[str]]()
    for name in given.cells:
        made = problem(name, data, given.cache, trusted=given.trusted, inputs=given.inputs)
        found = compare(made, given.draws, given.threads, console)
        rows += found[0]
        costs += found[1]
    print(
        f"up to {given.trusted} trusted images and {given.inputs} inputs, "
        f"{given.threads} thread(s), {given.draws} draws of which the first "
        f"{dropped(given.draws)} are dropped.\n"
    )
    if given.draws < PUBLISHED["draws"]:
        print(
            f"**Reduced run**: {given.draws} draws instead of the published {PUBLISHED['draws']}. "
            "Rates, seconds and memory of the published side are those of the reduced chain; the "
            "row that says so is extrapolated from its seconds.\n"
        )
    print(table(["network", "method", *HEAD, "AUROC, published filter"], rows))
    print()
    print(table(COST_HEAD, costs))


if __name__ == "__main__":
    main()
