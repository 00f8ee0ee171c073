"""What running a network on trusted images shows of it, found once and kept with the task.

Everything else about a network rests on it: whether its outputs are logits, which layer gives them,
how large they are, and how images must lie in memory.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from anomech.kernel.errors import ConfigError, ModelError
from anomech.roles.task import Remark
from anomech.tasks._arithmetic import Layout
from anomech.tasks._catching import Caught, Head
from anomech.tasks._head import find_head
from anomech.tasks._outputs import LABELS, Kind, as_classes, inverted

LARGEST = 60.0
"""Median log-odds of trusted answers, in nats, from which on outputs are scaled down: all but the
runner-up then weigh nothing in a response, and soon nothing in float32."""

USUAL = 10.0
"""What the median becomes."""


@dataclass(frozen=True)
class Sighting:
    """What is known of a network's outputs.

    Attributes:
        kind: what they mean.
        width: how many there are.
        layout: of images in memory: where a network cannot take channels last, they are copied.
        head: the layer that gives the logits, or None if none does by itself.
        scale: logits are divided by it.
        beside: outputs beside the one that is taken.
    """

    kind: Kind
    width: int
    layout: Layout
    head: Head | None
    scale: float = 1.0
    beside: int = 0

    @property
    def classes(self) -> int:
        """Classes that answers can be."""
        return max(self.width, 2)

    def logits(self, scores: Tensor, caught: Caught) -> Tensor:
        """Logits `[batch, classes]` of outputs `[batch, outputs]`.

        Args:
            scores: the outputs as they are.
            caught: what the head gave in the same call.

        Raises:
            ModelError: there are more or fewer outputs than there were.
        """
        if scores.shape[1] != self.width:
            raise ModelError(
                f"the model gives {scores.shape[1]} outputs now and gave {self.width} before; a "
                "classifier needs a fixed number."
            )
        if self.kind != "logits" and self.head is not None and self.head.exact:
            assert caught.output is not None
            own = caught.output.float()
        else:
            own = inverted(scores, self.kind)
        own = as_classes(own)
        return own if self.scale == 1 else own / self.scale


class Asked(TorchDispatchMode):
    """Notices whether an operator of a name is called.

    Attributes:
        seen: whether it was.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.seen = name, False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call it, and look at its name."""
        self.seen |= func.overloadpacket.__name__ == self.name
        return func(*args, **(kwargs or {}))


def layout_of(call: Callable[[Layout, int], Any], count: int) -> Layout:
    """How images must lie in memory: channels last is faster, and not every network takes it.

    One with group normalization does, but torch 2.13 then ends the process where the gain of the
    first of them is asked for a gradient and its input is not (a backward pass to the gains alone).

    Args:
        call: runs the network on so many images in this layout.
        count: images there are; one alone may lie otherwise than several.

    Raises:
        ModelError: the network cannot be run.
    """
    try:
        with Asked("native_group_norm") as grouped:
            call("channels_last", count)
        taken = not grouped.seen
    except ModelError:
        taken = False
    if not taken:
        call("contiguous", count)  # what this raises is what is wrong with the network
        return "contiguous"
    try:
        call("channels_last", 1)
    except ModelError:
        with suppress(ModelError):  # it takes no image alone, which is found out elsewhere
            call("contiguous", 1)
            return "contiguous"
    return "channels_last"


def sight(network: nn.Module, call: Callable[[], Tensor], layout: Layout, kind: Kind) -> Sighting:
    """Look for the layer that gives the outputs.

    Args:
        network: in evaluation mode.
        call: runs it on a few images in this layout and gives outputs `[batch, outputs]`.
        layout: of images in memory.
        kind: what outputs mean.
    """
    scores, head = find_head(network, call, kind)
    if scores.shape[1] == 1 and kind in LABELS:
        kind = "logits" if kind == "labels" else "probabilities"
    return Sighting(kind, scores.shape[1], layout, head)


def scaled(sighting: Sighting, log_odds: Tensor) -> Sighting:
    """The same, with outputs of an extreme scale brought to a usual one.

    Args:
        sighting: whose scale is one.
        log_odds: of trusted answers `[examples]`, nats.
    """
    median = float(log_odds.median())
    return replace(sighting, scale=median / USUAL) if median > LARGEST else sighting


def check_precision(sighting: Sighting, precision: str) -> None:
    """Refuse low precision where the layer that must not have it is not known.

    Raises:
        ConfigError: no layer gives the logits.
    """
    if precision != "float32" and sighting.head is None:
        raise ConfigError(
            f"task.precision={precision} keeps the layer that gives the logits in float32, and no "
            "single layer of this model gives them; use float32."
        )


def remarks(sighting: Sighting, converted: str) -> Sequence[Remark]:
    """What a person should know of it.

    Args:
        sighting: of the network.
        converted: other precisions that its parameters had.
    """
    found = [_outputs(sighting)] if sighting.kind != "logits" else []
    if sighting.width == 1:
        found.append(
            Remark(
                "one-output",
                "The model's one output is taken as that of the second of two classes",
                "Its logit x stands for the logits 0 and x.",
                "Label trusted examples 0 and 1; nothing else is needed.",
            )
        )
    if sighting.beside:
        found.append(
            Remark(
                "first-output",
                f"The model gives {sighting.beside + 1} outputs, and the first is taken",
                f"Its {sighting.width} numbers stand for the classes; what else the model gives is "
                "not looked at.",
                "Nothing is needed if this is right; otherwise return the logits alone.",
            )
        )
    if sighting.scale != 1:
        found.append(
            Remark(
                "outputs-rescaled",
                f"The model's outputs are divided by {sighting.scale:.3g}",
                f"Trusted answers had median log-odds of {sighting.scale * USUAL:.3g} nats, at "
                "which all classes but two weigh nothing. Divided, they have "
                f"{USUAL:g}. The order of classes is the same.",
                "If the model multiplies its logits by a constant, audit it without.",
            )
        )
    if sighting.head is None:
        found.append(
            Remark(
                "no-feature-layer",
                "No single layer of the model gives its logits",
                "Methods that look at that layer's input are left out, and the judgment of "
                "unfamiliar inputs is weaker.",
                "If the model ends in one linear layer, let nothing but a scale follow it.",
            )
        )
    if converted:
        found.append(
            Remark(
                "precision-converted",
                f"The model's parameters were {converted} and are used in float32",
                "Answers may differ from those of the model as it is deployed by its rounding.",
                "Nothing is needed.",
            )
        )
    return found


SAID: dict[Kind, str] = {
    "probabilities": "probabilities",
    "log_probabilities": "logarithms of probabilities",
    "labels": "one logit a label",
    "label_probabilities": "one probability a label",
}


def _outputs(sighting: Sighting) -> Remark:
    if sighting.head is not None and sighting.head.exact:
        how = f"Logits are taken from '{sighting.head.layer}', whose output they are."
    else:
        how = (
            "Logits are computed back from them. What rounding took from probabilities near 0 and "
            "1 is lost, and so is how much an input excites all classes together."
        )
    if sighting.kind in LABELS:
        how += " Each input is judged by its strongest label, against that label being absent."
    return Remark(
        "not-logits",
        f"The model gives {SAID[sighting.kind]}, not logits of classes",
        how,
        "Nothing is needed if this is right; otherwise say what its outputs are by task.outputs.",
    )


def spread_over(count: int, most: int) -> np.ndarray:
    """At most so many places among `count`, evenly from the first to the last, int64."""
    return np.linspace(0, max(count - 1, 0), min(count, most)).round().astype(np.int64)
