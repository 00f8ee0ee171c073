"""The cells of a suite: every detector on every network under every condition."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from anomech.bench.parts import parts_of
from anomech.bench.specs import ConditionSpec, NetworkSpec, SubjectSpec, Suite
from anomech.bench.worlds.known import kind_of
from anomech.bench.worlds.world import Network
from anomech.kernel.errors import ConfigError
from anomech.records.scorecards import Role


@dataclass(frozen=True)
class Cell:
    """One detector on one network under one condition.

    Attributes:
        id: folder of the cell, unique in the suite.
        suite: the part of the suite that it is of, all of it if it has no parts.
        part: name of that part, "" for all.
        kind: name of the kind of network, "" if the suite has one.
        made_with: what the suite says of that kind.
        subject: name of the network in the suite.
        spec: what the suite says of it.
        network: everything that determines it but for the data.
        condition: name of the condition.
        under: what the suite says of it.
        detector: name of the detector.
        options: of the detector, all of them.
    """

    id: str
    suite: Suite
    part: str
    kind: str
    made_with: NetworkSpec
    subject: str
    spec: SubjectSpec
    network: Network
    condition: str
    under: ConditionSpec
    detector: str
    options: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Folder of its network and condition, which cells of other detectors share."""
        return self.id.rpartition("/")[0]

    @property
    def seed(self) -> int:
        """Of network, attack and split."""
        return self.network.seed

    @property
    def role(self) -> Role:
        """Whether the case was looked at while methods were made."""
        return self.under.role or self.made_with.role or self.spec.role

    @property
    def case(self) -> str:
        """Subject, condition, part and kind of network, as tables show them."""
        words = (self.subject, self.condition, self.part, self.kind)
        return " · ".join(word for word in words if word)

    @property
    def trained(self) -> tuple[str, str, str, int]:
        """What cells of one network have in common."""
        return self.part, self.kind, self.subject, self.seed


Case = tuple[Cell, ...]
"""Cells of several detectors on one network under one condition: one piece of work."""


def cases(some: Iterable[Cell]) -> list[Case]:
    """Cells as cases, in their order."""
    found: dict[str, list[Cell]] = {}
    for cell in some:
        found.setdefault(cell.place, []).append(cell)
    return [tuple(each) for each in found.values()]


def cells(suite: Suite) -> list[Cell]:
    """All cells, those of one network together.

    A condition that contaminates the trusted set with triggers is for networks that have one.

    Raises:
        ConfigError: two cells would share a folder, or there is none.
    """
    found = list(_expanded(suite))
    if not found:
        raise ConfigError(
            "the suite has no cells: its conditions contaminate the trusted set with triggers, but "
            "nothing is planted in its networks; give a subject an attack."
        )
    places: dict[str, Cell] = {}
    for cell in found:
        other = places.setdefault(cell.id.lower(), cell)
        if other is not cell:
            raise ConfigError(
                f"'{other.case}' and '{cell.case}' would share the folder {cell.id}; rename one."
            )
    return found


def _expanded(suite: Suite) -> Iterator[Cell]:
    for name, part in parts_of(suite).items():
        yield from _of_part(part, name)


def _of_part(suite: Suite, part: str) -> Iterator[Cell]:
    networks = product(suite.networks.items(), suite.subjects.items(), suite.seeds)
    for (kind, made_with), (subject, spec), seed in networks:
        network = kind_of(suite).network(suite, made_with, spec, seed)
        for (condition, under), (detector, options) in product(
            suite.conditions.items(), suite.detectors.items()
        ):
            if under.contaminated and not network.attacks:
                continue
            place = part or Path(suite.data).stem, kind or network.label
            words = (*place, subject, condition, f"seed{seed}")
            folder = "-".join(_file_name(word) for word in words if word)
            yield Cell(
                id=f"{folder}/{_file_name(detector)}",
                suite=suite,
                part=part,
                kind=kind,
                made_with=made_with,
                subject=subject,
                spec=spec,
                network=network,
                condition=condition,
                under=under,
                detector=detector,
                options=options,
            )


def _file_name(words: str) -> str:
    """Words as part of a file name that any system takes."""
    return re.sub(r"[^A-Za-z0-9._+=]+", "_", words).strip("._") or "_"
