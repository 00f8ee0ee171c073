"""Whether labels follow the order of the model's classes.

Folders named 0 to 42 and sorted as text come as 0, 1, 10, 11, ...: nearly all labels are then
wrong, and so is everything that is learned from them. Where fewer than half of the labels are
answered, the order that fits best is looked for: the natural one of the names, and the best of all
(an assignment problem over the table of labels and answers).
"""

import re
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from anomech.records import Finding

LEAST = 0.5
"""Share of labels that must be answered."""

USUAL = 0.7
"""Share of labels below which it is said that few are answered."""

ENOUGH = 3
"""Trusted examples a class from which on an order of classes can be told."""

SETTINGS = (
    "Check that the weights belong to the model, and the normalization (task.mean, task.std)."
)

NEARLY = 0.95
"""The natural order is named where it fits nearly as well as the best of all."""


def probe(answers: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> list[Finding]:
    """A finding if labels and answers do not belong together.

    Args:
        answers: class indices that the model gave `[examples]`.
        labels: class indices of the trusted set `[examples]`.
        names: of the model's classes, in the order of the labels.
    """
    agreement = float((answers == labels).mean())
    if agreement >= LEAST:
        return []
    detail, action = _told(answers, labels, names)
    return [
        Finding(
            code="class-order",
            severity="high",
            title=f"The model answers only {agreement:.0%} of {len(labels)} trusted examples as "
            "labeled",
            detail=detail,
            action=action,
        )
    ]


def _told(answers: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> tuple[str, str]:
    """What would explain it, and what to do."""
    natural = natural_order(names)
    best = best_order(answers, labels, len(names))
    fits, could = (_agreement(answers, labels, order) for order in (natural, best))
    if len(labels) < ENOUGH * len(np.unique(labels)):
        return (
            "They are too few to tell whether another order of the classes fits.",
            f"{SETTINGS} If these are right, give more trusted examples.",
        )
    if fits >= max(LEAST, NEARLY * could):
        first = ", ".join(f"'{names[i]}'" for i in np.argsort(natural)[:4])
        return (
            f"With the classes in natural order ({first}, ...) instead of that of their names as "
            f"text it would answer {fits:.0%}.",
            "Name the class folders so that both orders are one: 00, 01, 02, ... 10.",
        )
    if could >= LEAST and (gaps := _gaps(labels, best, len(names))):
        shown = ", ".join(map(str, gaps[:6])) + (", ..." if len(gaps) > 6 else "")
        return (
            f"The trusted set has {labels.max() + 1} classes and the model {len(names)}. If it has "
            f"no folder for class {shown} of the model, counted from 0, and the others follow in "
            f"their order, it would answer {could:.0%}.",
            "Make an empty folder, with a name that sorts to its place, for each class without "
            "trusted examples; in an .npz, number labels as the model does.",
        )
    if could >= LEAST:
        moved = [f"label {i} as {best[i]}" for i in np.unique(labels) if best[i] != i]
        shown = ", ".join(moved[:6]) + (", ..." if len(moved) > 6 else "")
        return (
            f"In another order of the classes it would answer {could:.0%}: {shown}.",
            "Bring labels and the model's outputs into one order.",
        )
    return f"No order of the classes fits; the best would give {could:.0%}.", SETTINGS


def few_right(answers: np.ndarray, labels: np.ndarray) -> list[Finding]:
    """A finding if the model answers few of the labels, though enough to be judged by.

    Args:
        answers: class indices that the model gave `[examples]`.
        labels: class indices of the trusted set `[examples]`.
    """
    agreement = float((answers == labels).mean())
    if not LEAST <= agreement < USUAL:
        return []
    return [
        Finding(
            code="few-right",
            severity="low",
            title=f"The model answers {agreement:.0%} of {len(labels)} trusted examples as labeled",
            detail="Only these are learned from. A model that does better on its own test set is "
            "fed otherwise here; one that is as weak as that has mechanisms that are hard to tell "
            "apart.",
            action="Compare with the accuracy that it is known for; if that is higher, check the "
            "normalization (task.mean, task.std), the size of images and the order of classes.",
        )
    ]


def _gaps(labels: np.ndarray, best: np.ndarray, classes: int) -> list[int]:
    """Classes of the model that are left out, if labels are the others in their order."""
    present = best[np.unique(labels)]
    if labels.max() + 1 >= classes or (np.diff(present) <= 0).any():
        return []
    return np.setdiff1d(np.arange(present.max()), present).tolist()


def natural_order(names: Sequence[str]) -> np.ndarray:
    """Place of each name if numbers in names count as numbers, int64 `[names]`."""
    keys = [
        [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in _parts(name)]
        for name in names
    ]
    order = sorted(range(len(names)), key=lambda place: keys[place])
    return np.argsort(np.array(order, np.int64))


def _parts(name: str) -> list[str]:
    return re.split(r"(\d{1,18})", name)


def best_order(answers: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The answer that stands for each label if they are matched one to one, int64 `[classes]`."""
    size = max(classes, int(answers.max(initial=0)) + 1, int(labels.max(initial=0)) + 1)
    table = np.zeros((size, size))
    np.add.at(table, (labels, answers), 1)
    table += 1e-6 * np.eye(size)  # labels without examples keep their place
    return np.asarray(linear_sum_assignment(-table)[1], np.int64)


def _agreement(answers: np.ndarray, labels: np.ndarray, order: np.ndarray) -> float:
    inside = labels < len(order)
    return float((order[labels[inside]] == answers[inside]).sum() / len(labels))
