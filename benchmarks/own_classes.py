"""What scanners find without clean networks: p-values from the classes of each network itself.

    python benchmarks/own_classes.py runs/bench-scan-small maximum_margin universal_perturbation ...

It reads a bench of whole models and prints, by role, how many clean and attacked networks have a
p-value within the level, by kind of backdoor, and how often the right class comes first; then all
named scanners together, as `anomech scan` does it: the smallest p-value times their number.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from anomech.audit.plan import read_plan
from anomech.bench.models.suite import from_mapping
from anomech.calibration.models import combined, from_own_classes
from anomech.records import read_record
from anomech.records.modelcards import CLEAN, ModelBench, ModelCard, NetworkCard

TOGETHER = "together"


class Said(NamedTuple):
    """Of one network: the p-value, and the class that comes first."""

    chance: float
    first: int


def main() -> None:
    """Read the bench's folder and print a table for each role."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", type=Path, help="folder of a bench of whole models")
    parser.add_argument("scanners", nargs="+", help="names of scanners that compare classes")
    asked = parser.parse_args()
    bench = read_record(asked.bench / "models.json", ModelBench)
    level = from_mapping(read_plan(asked.bench / "suite.yaml")).level
    every = [each for each in bench.networks if each.status == "done"]
    said = {each.name: _said(asked.bench, each.name, asked.scanners) for each in every}
    for role in ("check", "development"):
        some = [each for each in every if each.role == role and len(said[each.name]) > 1]
        kinds = sorted({each.kind for each in some} - {CLEAN})
        print(f"\n{role}, level {level:g}\n")
        print(
            "| scanner | clean flagged | attacked flagged |", " | ".join(kinds), "| target right |"
        )
        print("| --- " * (4 + len(kinds)) + "|")
        for name in (*asked.scanners, TOGETHER):
            print(f"| {name} |", " | ".join(_row(some, kinds, said, name, level)), "|")


def _said(bench: Path, network: str, scanners: Sequence[str]) -> dict[str, Said]:
    """What each scanner says of a network, and all of them together."""
    found = {}
    for name in scanners:
        path = bench / "networks" / network / f"{name}.json"
        card = read_record(path, ModelCard) if path.exists() else None
        if card is None or card.status != "done" or card.problems:
            continue
        statistic = torch.tensor(card.statistic, dtype=torch.float64)
        if (chance := from_own_classes(statistic, card.usual)) is not None:
            found[name] = Said(chance.value, card.groups[int(statistic.argmax())])
    if found:
        best = min(found.values())
        found[TOGETHER] = Said(combined([each.chance for each in found.values()]), best.first)
    return found


def _row(
    some: Sequence[NetworkCard],
    kinds: Sequence[str],
    said: Mapping[str, Mapping[str, Said]],
    scanner: str,
    level: float,
) -> list[str]:
    """The cells of one scanner's row."""
    some = [each for each in some if scanner in said[each.name]]

    def flagged(among: Sequence[NetworkCard]) -> str:
        count = sum(said[each.name][scanner].chance <= level for each in among)
        return f"{count} of {len(among)}"

    bad = [each for each in some if each.kind != CLEAN]
    aimed = [each for each in bad if each.target is not None]
    right = sum(said[each.name][scanner].first == each.target for each in aimed)
    return [
        flagged([each for each in some if each.kind == CLEAN]),
        flagged(bad),
        *(flagged([each for each in bad if each.kind == kind]) for kind in kinds),
        f"{right} of {len(aimed)}",
    ]


if __name__ == "__main__":
    main()
