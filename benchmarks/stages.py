"""What the early stages of the default detector save, and which flags they lose.

    python benchmarks/stages.py --suite architectures-small --zoo ZOO --cells 'digits-*600*'

For each network: the detector is fitted once; its inputs are judged in full and in stages, without
what planted triggers would tell. Printed are the share of triggered inputs and of clean ones that
are flagged both ways, flags that stages lost, forward passes of a normal input (a backward pass as
two; the mean over trusted examples) and the time over that of judging in full. The second number of
passes is that with the last layer settling, too, as it does where planted triggers allow it, and
the flags that this would lose stand in brackets.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import Tensor

from anomech.audit.judge.calibrated import Calibrated
from anomech.audit.judge.fitting import fit
from anomech.audit.plan import from_mapping as plan_from
from anomech.bench.cells import Cell, cells
from anomech.bench.places import Bench
from anomech.bench.runner import _bench
from anomech.bench.suite import from_mapping
from anomech.bench.suite_files import read_suite
from anomech.calibration.stopping import limits_for
from anomech.kernel.errors import AnomechError
from anomech.kernel.types import Examples, silent
from anomech.observing.observed import observe
from anomech.roles.task import Task

LEAD = "functional_attribution"


@dataclass(frozen=True)
class Found:
    """One network's numbers: triggered and clean inputs, flagged in full, staged, and daring."""

    case: str
    role: str
    triggered: Tensor
    clean: Tensor
    full: Tensor
    staged: Tensor
    daring: Tensor
    passes: tuple[float, float, float]
    seconds: tuple[float, float]

    @property
    def row(self) -> tuple[str, ...]:
        """Its line of the table."""
        caught = (self.full & self.triggered).sum()
        lost, dared = (int(caught - (each & self.triggered).sum()) for each in self.flags[1:])
        return (
            self.case,
            self.role,
            *(f"{float(each[self.triggered].double().mean()):.3f}" for each in self.flags[:2]),
            f"{lost} ({dared}) of {int(caught)}",
            *(f"{float(each[self.clean].double().mean()):.2%}" for each in self.flags[:2]),
            f"{self.passes[0]:.2f}, {self.passes[1]:.2f}",
            f"{self.passes[2]:g}",
            f"{self.seconds[1] / self.seconds[0]:.2f}",
        )

    @property
    def flags(self) -> tuple[Tensor, Tensor, Tensor]:
        """In full, staged and daring."""
        return self.full, self.staged, self.daring


def judged(lead: Calibrated, task: Task, inputs: Examples) -> tuple[Tensor, float]:
    """Flags `[inputs]`, and the seconds that answering and judging took."""
    clock = time.monotonic()
    decisions = lead.judge(observe(task, inputs, sources=lead.sources), silent).decisions
    return torch.tensor([each == "flag" for each in decisions]), time.monotonic() - clock


def measured(bench: Bench, cell: Cell) -> Found:
    """Fit on one network and judge its inputs."""
    staged = bench.world(cell).stage(cell, bench.zoo, silent)
    plan = plan_from({"detectors": {LEAD: {}}, "seed": cell.seed})
    assert staged.loaded.reference is not None
    fitted = fit(plan, staged.loaded.task, staged.loaded.reference, silent)
    lead, inputs = fitted.lead, staged.loaded.inputs
    given = [stage.limit for stage in lead.fitted.stages]  # type: ignore[attr-defined]
    ways = (
        replace(lead, limits=()),
        lead,
        replace(lead, limits=limits_for(given, lead.budget)),
    )
    answers = observe(fitted.task, inputs)
    flags, seconds = zip(*(judged(way, fitted.task, inputs) for way in ways), strict=True)
    truth = [row.anomalous for row in staged.truth(answers.answers.numpy())]
    return Found(
        cell.case,
        cell.role,
        torch.tensor([each is True for each in truth]),
        torch.tensor([each is False for each in truth]),
        *flags,
        (1 + ways[1].evaluations, 1 + ways[2].evaluations, 1 + ways[0].evaluations),
        (seconds[0], seconds[1]),
    )


def wanted(suite: str, patterns: Sequence[str], zoo: Path, data: Path) -> tuple[Bench, list[Cell]]:
    """The bench and its cases; networks that are not in the zoo are trained."""
    bench = _bench(from_mapping(read_suite(suite)), zoo / "none", zoo, data, silent)
    found = [
        cell
        for cell in cells(bench.suite)
        if cell.detector == LEAD and any(fnmatchcase(cell.place, pattern) for pattern in patterns)
    ]
    return bench, found


def main() -> None:
    """Print a row a network, as it is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="architectures-small")
    parser.add_argument("--zoo", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--cells", nargs="+", default=["*"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    bench, found = wanted(given.suite, given.cells, given.zoo, given.data)
    print(
        "| case | role | TPR, full | TPR | lost | FPR, full | FPR | passes | passes, full | time |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for cell in found:
        try:
            print(f"| {' | '.join(measured(bench, cell).row)} |", flush=True)
        except AnomechError as error:
            print(f"| {cell.case} | {cell.role} | {error} |", flush=True)


if __name__ == "__main__":
    main()
