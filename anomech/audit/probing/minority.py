"""Whether a class of trusted examples holds a small group of its own kind.

Triggered examples that bear the attacker's label are answered as labeled, so nothing in labels or
answers tells them from honest ones, and what calibrates on them lets inputs with the trigger pass.
They have come another way, though: before the last layer they lie together, apart from the rest of
their class. Each class is parted in two as SCAn parts it (`anomech.attribution.identities`), and
the squared distance between the parts, in units of the variation within the *other* classes, is
compared with those of the other classes. In units that the group itself has a share in, as SCAn
measures, it hides behind the width that it gives its class. Honest classes part into halves that
lie about as far apart in every class; a part that lies several times as far is none of them.

It sees what a network keeps together, such as a patch or a blend. It does not see a trigger in a
class with few examples, in features that whoever trained the network made look honest, or among
classes that fall apart by themselves, as ways of writing a digit do.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from anomech.attribution.identities import parted, principal, variation
from anomech.kernel.randomness import torch_generator
from anomech.records import Finding

Doubtful = Literal["keep", "leave_out"]
"""What becomes of such a group: it stays trusted, or it is left out."""

DIRECTIONS = 48
"""Principal directions of the features that are looked at."""

STARTS = 4
"""Random halves that a class is parted from, besides the principal direction."""

FEWEST, CLASSES = 50, 5
"""Examples of a class, and classes with so many, that are enough to compare."""

SMALLEST = 4
"""Examples that make a group."""

FARTHER, STANDS = 3.0, 4.5
"""How far apart the parts of a class lie, as a part of what is usual among classes, and the robust
deviations of its logarithm, that both take for a finding. Settled on nine networks for digits,
nine for traffic signs and eight for CIFAR-10, each with 0 to 5 % of poison."""

SHOWN = 5
"""Examples that are named."""

TRIFLE = 1e-6
"""Deviation of logarithms below which classes are all alike."""


class Minority(NamedTuple):
    """A small group within a class.

    Attributes:
        kind: the class.
        places: of the group, ascending int64.
        size: examples of the class.
        farther: how far it lies from the rest, as a part of what is usual among classes.
    """

    kind: int
    places: Tensor
    size: int
    farther: float


def minority(features: Tensor, kinds: Tensor, seed: int) -> Minority | None:
    """The class that parts into a small group and the rest unlike all others, if there is one.

    Args:
        features: before the last layer `[n, d]`.
        kinds: classes of the examples, int64 `[n]`.
        seed: of the halves that parting starts from.
    """
    names, counts = kinds.unique(return_counts=True)
    names = names[counts >= FEWEST]
    rows = features.double()
    if len(names) < CLASSES or not bool(rows.isfinite().all()):
        return None
    rows = rows @ principal(rows, DIRECTIONS)
    rows = rows - rows.mean(dim=0)
    parts = [_parted(rows, kinds, int(name), seed) for name in names]
    logs = torch.tensor([squared for _, squared in parts], dtype=torch.float64).log()
    above = logs - logs.median()
    spread = (1.4826 * above.abs().median()).clamp_min(TRIFLE)
    top = int(above.argmax())
    farther = float(above[top].exp())
    places = parts[top][0]
    if farther < FARTHER or float(above[top] / spread) < STANDS or len(places) < SMALLEST:
        return None
    return Minority(int(names[top]), places, int((kinds == names[top]).sum()), farther)


def probe(found: Minority, ids: Sequence[str], name: str, *, kept: bool) -> list[Finding]:
    """What to say of a group, whether it was kept or left out.

    Args:
        found: the group.
        ids: of all trusted examples.
        name: of its class.
        kept: whether its examples are trusted all the same.
    """
    named = ", ".join(ids[place] for place in found.places[:SHOWN].tolist())
    count, more = len(found.places), " and the others" if len(found.places) > SHOWN else ""
    consequence = (
        "They calibrate, so inputs that carry what they carry pass as usual ones."
        if kept
        else "They were left out, so inputs that resemble them are judged as what they are: unlike "
        "all that is trusted."
    )
    remedy = (
        "If something is in them that does not belong there, audit again with "
        "--set doubtful=leave_out."
        if kept
        else "If they are honest, audit again with --set doubtful=keep."
    )
    return [
        Finding(
            code="trusted-minority",
            severity="high" if kept else "medium",
            title=f"{count} of {found.size} trusted examples of '{name}' lie together, apart from "
            "the rest of their class",
            detail=f"The two parts of this class lie {found.farther:.1f} times as far apart as is "
            "usual among classes. Examples with a trigger and the attacker's label look so, and a "
            f"rare but honest kind of example may. {consequence}",
            action=f"Look at {named}{more}. {remedy}",
        )
    ]


def _parted(rows: Tensor, kinds: Tensor, name: int, seed: int) -> tuple[Tensor, float]:
    """Places of the smaller part of a class, and the squared distance of its parts."""
    mine = kinds == name
    places, own, others = torch.nonzero(mine)[:, 0], rows[mine], rows[~mine]
    metric = torch.linalg.inv(variation(others, kinds[~mine], others.mean(dim=0)))
    _, lean = parted(own, metric, STARTS, torch_generator(seed, "minority", name))
    first = lean > 0
    if bool(first.all()) or not bool(first.any()):
        return places[:0], TRIFLE
    apart = own[first].mean(dim=0) - own[~first].mean(dim=0)
    smaller = first if int(first.sum()) <= len(first) / 2 else ~first
    return places[smaller], float(apart @ metric @ apart)
