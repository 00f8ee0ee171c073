"""Gaussian draws that agree with the published chain as well as the chain with its own repeat.

    python benchmarks/draws.py --data $ANOMECH_DATA

Two runs of the published chain (devinterp 1.3.2, seeds 0 and 1; see `published.py`) score the same
inputs against the same anchors; Spearman's correlation of the two is the agreement that the
published method has with itself. Then the `gaussian` tracer at K draws is compared with each run
(the mean is printed) and with its own repeat, score by score. The smallest K whose agreement with
the chain reaches the chain's own is printed with its ratio to the published 2,000 draws.

Settings of the tracer were chosen on the BadNets and Blended networks; SIG and WaNet are checks, to
be looked at afterwards. Losses of chains are kept in `--keep` and used again.
"""

import argparse
import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from cifar import read
from published_analysis import (
    PUBLISHED_SCORES,
    Problem,
    agreement,
    chain_arrays,
    network_settings,
    problem,
    published_scores,
    table,
)
from published_environment import PUBLISHED, dropped, run_chain
from rich.console import Console

from anomech import ImageClassifier
from anomech.kernel.config import build
from anomech.kernel.types import silent
from anomech.observing.observed import Observed
from anomech.tracing.gaussian import Gaussian

COUNTS = (12, 25, 50, 100, 133, 200, 400)
SETTINGS = (
    "observable=loss,sigma=0.0101,antithetic=false",
    "observable=loss,sigma=0.0101,antithetic=false,normalization=lagged",
)
"""The width of the chain where its loss is flat: `1 / sqrt(gamma)`, and 1 % for its step size."""
CHOSEN_ON = ("BadNets", "Blended")
Scored = dict[str, np.ndarray]


def chain_losses(
    given: Problem, settings: dict, arrays: dict[str, np.ndarray], keep: Path
) -> np.ndarray:
    """Losses `[images, kept draws]` of one published chain, from disk where they are."""
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    path = keep / f"{digest.hexdigest()[:16]}.npz"
    if not path.exists():
        losses = run_chain(settings, arrays)["losses"]
        keep.mkdir(parents=True, exist_ok=True)
        np.savez(path, losses=losses)
    with np.load(path) as found:
        losses = found["losses"]
    return losses[dropped(len(losses)) :].T


def gaussian_losses(
    given: Problem, anchors: Observed, inputs: Observed, options: dict, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The observable of inputs and anchors `[n, draws]`."""
    task = ImageClassifier(given.trained.model)
    tracer = build(Gaussian, {"draws": max(COUNTS), "least": 0} | options, "gaussian")
    source = tracer.fit(task, anchors.examples, anchors.answers, seed=seed, progress=silent)
    queries, known = (
        source.observe(each.examples, each.answers, silent).numpy() for each in (inputs, anchors)
    )
    return queries, known


def study(
    given: Problem, draws: int, most_anchors: int, options: list[dict], keep: Path, console: Console
) -> tuple[list[list[str]], list[list[str]]]:
    """Rows: agreement by K; and the smallest K that is enough."""
    split, inputs = given.split()
    anchors = split.anchors.take(np.arange(min(most_anchors, len(split.anchors))))
    arrays, predicted = chain_arrays(given, split, [anchors, inputs]), anchors.groups
    chains = list[Scored]()
    for seed in (0, 1):
        console.log(f"{given.name}: published chain, seed {seed}, {draws} draws")
        settings = network_settings(given) | {"draws": draws, "seed": seed}
        losses = chain_losses(given, settings, arrays, keep)
        chains.append(published_scores(losses[len(anchors) :], losses[: len(anchors)], predicted))
    rows, smallest = list[list[str]](), list[list[str]]()
    for chosen in options:
        said = ", ".join(f"{name} {value}" for name, value in chosen.items()) or "defaults"
        console.log(f"{given.name}: gaussian, {said}")
        repeats = [gaussian_losses(given, anchors, inputs, chosen, seed) for seed in (0, 1)]
        for name in PUBLISHED_SCORES:
            own = agreement(chains[0][name], chains[1][name])
            found = {count: _at(count, repeats, predicted, chains, name) for count in COUNTS}
            enough = next((count for count in COUNTS if found[count][0] >= own), None)
            cells = [f"{one:.3f} ({two:.3f})" for one, two in found.values()]
            role = "development" if given.name in CHOSEN_ON else "check"
            rows.append([given.name, role, said, name, f"{own:.3f}", *cells])
            ratio = "-" if enough is None else f"1/{int(PUBLISHED['draws']) / enough:.0f}"
            told = f"more than {max(COUNTS)}" if enough is None else str(enough)
            smallest.append([given.name, role, said, name, told, ratio])
    return rows, smallest


def _at(
    count: int,
    repeats: list[tuple[np.ndarray, np.ndarray]],
    predicted: torch.Tensor,
    chains: list[Scored],
    name: str,
) -> tuple[float, float]:
    """Mean agreement with the chains, and with the own repeat, at this many draws."""
    scored = [
        published_scores(queries[:, :count], known[:, :count], predicted)[name]
        for queries, known in repeats
    ]
    across = [agreement(ours, chain[name]) for ours in scored for chain in chains]
    return float(np.mean(across)), agreement(*scored)


def _option(text: str) -> dict:
    """`observable=loss,antithetic=false` to options; the plan's checks read the values."""
    return dict(part.split("=", 1) for part in text.split(",") if part)


def main() -> None:
    """Run the networks and print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("ANOMECH_DATA"))
    parser.add_argument("--cache", type=Path, default=Path("build/zoo"))
    parser.add_argument("--keep", type=Path, default=Path("build/published"))
    parser.add_argument("--cells", nargs="*", default=["BadNets", "Blended", "SIG", "WaNet"])
    parser.add_argument("--draws", type=int, default=PUBLISHED["draws"], help="fewer: reduced")
    parser.add_argument("--trusted", type=int, default=2000)
    parser.add_argument("--anchors", type=int, default=2000, help="at the most; fewer: faster")
    parser.add_argument("--inputs", type=int, default=900, help="half of them triggered")
    parser.add_argument(
        "--options", nargs="*", type=_option, default=[_option(part) for part in SETTINGS],
        help="settings of the tracer to compare, such as observable=loss,sigma=0.01",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    console, data = Console(stderr=True), read(given.data) if given.data else None
    rows, smallest = list[list[str]](), list[list[str]]()
    for name in given.cells:
        made = problem(name, data, given.cache, trusted=given.trusted, inputs=given.inputs)
        found = study(made, given.draws, given.anchors, given.options, given.keep, console)
        rows += found[0]
        smallest += found[1]
    if given.draws < PUBLISHED["draws"]:
        print(
            f"**Reduced run**: chains of {given.draws} draws instead of the published "
            f"{PUBLISHED['draws']}, which agree less with their own repeat than whole ones do.\n"
        )
    print(
        "Spearman's correlation with the chain, and in brackets with the own repeat, at K draws.\n"
    )
    head = ["network", "role", "tracer", "score", "chain with its repeat"]
    print(table([*head, *(f"K = {count}" for count in COUNTS)], rows))
    print()
    print(table([*head[:4], "smallest K", f"of {PUBLISHED['draws']} draws"], smallest))


if __name__ == "__main__":
    main()
