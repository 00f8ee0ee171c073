"""Whether a class of trusted examples holds a small group of its own kind.

Triggered examples that bear the attacker's label are answered as labeled, so nothing in labels or
answers tells them from honest ones, and what calibrates on them lets inputs with the trigger pass.
They have come another way, though: before the last layer they lie together, apart from the rest of
their class. Each class is parted in two (`anomech.attribution.identities`), and the squared
distance between the parts is compared with those of the other classes. Honest classes part into
halves that lie about as far apart in every class; a part that lies several times as far is none of
them.

It sees what a network keeps together, such as a patch or a blend. It does not see a trigger in a
class with few examples, in features that whoever trained the network made look honest, or among
classes that fall apart by themselves, as ways of writing a digit and many traffic signs do. On
clean networks that its bounds were not settled on it names honest groups as well, such as cars of
one kind by a weak plain network: a person has to look, and no verdict rests on it.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from torch import Tensor

from anomech.attribution.identities import (
    FARTHER,
    STANDS,
    partings,
    plane_of,
    standing,
)
from anomech.records import Finding

Doubtful = Literal["keep", "leave_out"]
"""What becomes of such a group: it stays trusted, or it is left out."""

SMALLEST = 4
"""Examples that make a group."""

SHOWN = 5
"""Examples that are named."""


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
    plane = plane_of(features)
    found = [] if plane is None else partings(plane(features), kinds, seed)
    if not found:
        return None
    farther, stands = standing(found)
    top = int(farther.argmax())
    part = found[top]
    places = part.places[part.lean > 0]
    if farther[top] < FARTHER or stands[top] < STANDS or len(places) < SMALLEST:
        return None
    return Minority(part.kind, places, len(part.places), float(farther[top]))


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
            severity="medium",
            title=f"{count} of {found.size} trusted examples of '{name}' lie together, apart from "
            "the rest of their class",
            detail=f"The two parts of this class lie {found.farther:.1f} times as far apart as is "
            "usual among classes. Examples with a trigger and the attacker's label look so, and a "
            f"rare but honest kind of example may. {consequence}",
            action=f"Look at {named}{more}. {remedy}",
        )
    ]
