"""What a screening found, as rows, manifests, pictures and findings."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anomech.audit.write.pictures import keep
from anomech.records import Finding, ScreenResult, TrainingRow, write_text
from anomech.roles.screen import Screened
from anomech.screening.opening import Subject

SHOWN = 48
"""Most suspicious examples that get a picture."""

NOTABLE = 0.002
"""Share of a training set that is worth a finding, if suspects are as many."""


def rows(
    found: Mapping[str, Screened], lead: str, subject: Subject, out: Path
) -> list[TrainingRow]:
    """Every example, suspects of the lead first, the most suspicious first of each.

    Args:
        found: what each screen that ran said.
        lead: the screen that orders them.
        subject: what was screened.
        out: the folder, for pictures.
    """
    order = _order(found[lead])
    examples, task = subject.observed.examples, subject.observed.task
    labels, answers = task.label_words(subject.labels), task.words(subject.observed.answers)
    made = []
    for rank, place in enumerate(order.tolist()):
        suspected_by = tuple(
            name
            for name, each in found.items()
            if each.suspects is not None and bool(each.suspects[place])
        )
        made.append(
            TrainingRow(
                id=examples.ids[place],
                place=place,
                label=labels[place],
                answer=answers[place],
                suspicion={name: float(each.suspicion[place]) for name, each in found.items()},
                suspected_by=suspected_by,
                preview=keep(out, examples.preview(place)) if rank < SHOWN else None,
            )
        )
    return made


def _order(lead: Screened) -> Tensor:
    order = lead.suspicion.argsort(descending=True, stable=True)
    if lead.suspects is None:
        return order
    suspected = lead.suspects[order]
    return torch.cat([order[suspected], order[~suspected]])


def write_manifests(out: Path, listed: Sequence[TrainingRow], lead: str) -> int:
    """Write `suspects.csv` and `clean.csv` by the lead; how many are suspects."""
    suspects = [row for row in listed if lead in row.suspected_by]
    clean = [row for row in listed if lead not in row.suspected_by]
    for name, some in (("suspects.csv", suspects), ("clean.csv", clean)):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["place", "id", "label"])
        writer.writerows(
            [row.place, row.id, row.label] for row in sorted(some, key=lambda row: row.place)
        )
        write_text(out / name, text.getvalue())
    return len(suspects)


def findings(results: Sequence[ScreenResult], lead: str, subject: Subject) -> list[Finding]:
    """Whether the lead suspects poison, and what was left out."""
    made = [
        Finding(code="note", severity="info", title=text, detail="", action="Nothing is needed.")
        for text in subject.notes
    ]
    for each in results:
        if each.status == "left out":
            made.append(
                Finding(
                    code="screen-left-out",
                    severity="low",
                    title=f"The screen {each.name} was left out",
                    detail=each.why,
                    action="Give what it needs, or leave it out of the plan.",
                )
            )
        made += [
            Finding(
                code="screen-doubtful",
                severity="low",
                title=f"The screen {each.name} has a problem",
                detail=problem,
                action="Give more examples, or rely on another screen.",
            )
            for problem in each.problems
        ]
        if each.name == lead and each.status == "done":
            made.append(_verdict(each, len(subject.labels)))
    return made


def _verdict(lead: ScreenResult, examples: int) -> Finding:
    suspects = lead.suspects or 0
    where = ", ".join(
        f"{row.suspects} of {row.examples} of '{row.label}'"
        for row in lead.labels[:3]
        if row.suspects
    )
    if suspects < max(2, NOTABLE * examples):
        return Finding(
            code="no-poison-found",
            severity="info",
            title=f"{suspects} of {examples} training examples are suspected by {lead.name}",
            detail="That is no more than single odd examples. Poison that no screen sees may "
            "still be there.",
            action="Nothing is needed; the most suspicious examples are in the report.",
        )
    promised = lead.discovery is not None
    rate = (
        f"About {lead.discovery:.0%} of them at the most are expected to be false, if honest "
        "training examples respond as trusted ones do; what a model was fitted to does so nearly."
        if promised
        else "This screen promises no rate of false suspects: clean sets have some as well."
    )
    return Finding(
        code="poison-suspected",
        severity="high" if promised else "medium",
        title=f"{suspects} of {examples} training examples are suspected by {lead.name}",
        detail=f"Most are {where}. {rate}",
        action="Look at the pictures, train on clean.csv, and compare the two models.",
    )


def agreement(subject: Subject) -> float:
    """Share of the training examples that the model answers as they are labeled."""
    task = subject.observed.task
    right = task.agrees(subject.observed.answers, np.asarray(subject.labels))
    return float(right.double().mean())
