"""Which access to a model a method takes, told by the abilities that it needs.

Whoever has more access has all that stands below it; every model can be asked, and answers at
least with labels.
"""

from enum import StrEnum

from anomech.roles.black_box import Movable, Painting, Sureness
from anomech.roles.sequences import Sequences
from anomech.roles.task import (
    Ability,
    Activations,
    Ancestry,
    DifferentiableInputs,
    Features,
    Layers,
    Logits,
    Pathways,
    Pictures,
    Prunable,
    Stamping,
    Training,
    Variations,
)


class Access(StrEnum):
    """What of a model can be seen, from the least to the most."""

    labels = "labels"
    probabilities = "probabilities"
    activations = "activations"
    gradients = "gradients"
    weights = "weights"


QUERIES = "queries"
"""Beside what is seen of answers: that the model answers inputs of the method's own making."""

SEEN: dict[Ability, Access] = {
    **dict.fromkeys((Logits, Sureness, Sequences), Access.probabilities),
    **dict.fromkeys((Features, Activations), Access.activations),
    **dict.fromkeys((DifferentiableInputs, Pictures, Pathways), Access.gradients),
    **dict.fromkeys((Layers, Training, Movable, Prunable, Ancestry), Access.weights),
}
"""What must be seen of a model that has an ability; of one that is not named here, labels."""

ASKING = frozenset({Variations, Stamping, Painting})
"""Abilities that make inputs for the model to answer."""

ORDER = tuple(Access)


def highest(needs: frozenset[Ability]) -> Access:
    """The most that a method must see of a model."""
    return max((SEEN.get(each, Access.labels) for each in needs), key=ORDER.index, default=ORDER[0])


def access(needs: frozenset[Ability]) -> tuple[str, ...]:
    """All that a method takes, in words, the most first: `("probabilities", "queries")`."""
    seen = sorted({SEEN.get(each, Access.labels) for each in needs}, key=ORDER.index, reverse=True)
    beyond = tuple(str(each) for each in seen if each is not Access.labels)
    asked = (QUERIES,) if needs & ASKING else ()
    return (*(beyond or (str(Access.labels),)), *asked)


def within(needs: frozenset[Ability], given: Access) -> bool:
    """Whether a method makes do with this access."""
    return ORDER.index(highest(needs)) <= ORDER.index(given)
