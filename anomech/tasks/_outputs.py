"""What a classifier's outputs mean, and how logits are had from them.

A response rests on logits. Many networks end in something else: probabilities, their logs, one
value for two classes, one probability a label. What they are shows on a few hundred outputs, and
the way back is exact up to rounding: the log of probabilities differs from the logits by a constant
an example, which no log-odds see.
"""

from dataclasses import is_dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.errors import ModelError
from anomech.kernel.types import Response

Kind = Literal["logits", "probabilities", "log_probabilities", "labels", "label_probabilities"]
"""Of softmax: its inputs, its outputs, their logs. Of labels that do not exclude each other: their
logits, their probabilities. One output alone is the second of two classes."""

Outputs = Literal[
    "auto", "logits", "probabilities", "log_probabilities", "labels", "label_probabilities"
]

LABELS = ("labels", "label_probabilities")
SUMS_TO_ONE = 1e-3
"""How far the sum of probabilities may be from one: those of bfloat16 have three digits."""

ROUNDING = 2**-25
"""What a probability of one may have lost: half the distance to the next float32 below it."""

LEAST = 8
"""Outputs that must agree before they are taken for anything but logits."""


def scores_of(output: Any, count: int) -> Tensor:
    """What a network gave, as float32 `[batch, outputs]`.

    Args:
        output: a tensor, an object or mapping that holds one as `logits`, or several outputs of
            which it is the first.
        count: examples in the batch.

    Raises:
        ModelError: it holds no score of each class for each example.
    """
    found = _logits_in(output)
    if isinstance(found, Tensor) and found.ndim == 1 and count == len(found):
        found = found[:, None]
    if isinstance(found, Tensor) and found.ndim > 2 and found.shape[2:].numel() == 1:
        found = found.flatten(1)
    if not isinstance(found, Tensor) or found.ndim != 2 or found.shape[0] != count:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ModelError(
            f"the model must return logits [batch, classes], or an object with `logits`, but "
            f"returned {shape} for {count} images; wrap it so that it does."
        )
    return found.float()


def _logits_in(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output
    if isinstance(output, dict):
        return output.get("logits", output)
    if is_dataclass(output) or hasattr(output, "logits"):
        return getattr(output, "logits", output)
    return output[0] if beside(output) else output


def beside(output: Any) -> int:
    """Outputs beside the first, which is taken, of a network that returns several unnamed."""
    if not isinstance(output, tuple | list) or hasattr(output, "logits") or len(output) < 2:
        return 0
    first = output[0]
    return len(output) - 1 if isinstance(first, Tensor) and first.ndim in (1, 2) else 0


def kind_of(scores: Tensor) -> Kind:
    """What outputs `[examples, outputs]` look like; logits unless all of them say otherwise."""
    if len(scores) < LEAST or bool((scores == scores[:1]).all()):
        return "logits"
    inside = bool(((scores >= 0) & (scores <= 1 + SUMS_TO_ONE)).all())
    if scores.shape[1] == 1:
        return "probabilities" if inside else "logits"
    if inside:
        return "probabilities" if _one(scores.sum(dim=1)) else "label_probabilities"
    if bool((scores <= SUMS_TO_ONE).all()) and _one(scores.exp().sum(dim=1)):
        return "log_probabilities"
    return "logits"


def _one(sums: Tensor) -> bool:
    return bool(((sums - 1).abs() <= SUMS_TO_ONE).all())


def inverted(scores: Tensor, kind: Kind) -> Tensor:
    """Logits up to a constant an example, of the outputs as they are `[batch, outputs]`.

    Those of probabilities are float64, so that the constant, which is known, is exact.
    """
    if kind in ("logits", "labels"):
        return scores
    if kind == "log_probabilities":
        return scores.double().log_softmax(dim=1)
    tiny = torch.finfo(torch.float32).tiny
    wide = scores.double()
    if kind == "label_probabilities" or scores.shape[1] == 1:
        return wide.clamp_min(tiny).log() - (1 - wide).clamp_min(ROUNDING).log()
    return wide.clamp_min(tiny).log().log_softmax(dim=1)


def as_classes(logits: Tensor) -> Tensor:
    """Logits `[batch, classes]`; of one output those of "no" and "yes"."""
    if logits.shape[1] > 1:
        return logits
    return torch.cat([torch.zeros_like(logits), logits], dim=1)


def check_finite(
    logits: Tensor,
    remedy: str = "check the weights and the normalization (--set task.mean=... task.std=...)",
) -> None:
    """Refuse logits that are not finite.

    Args:
        logits: of any shape.
        remedy: what to do about it.

    Raises:
        ModelError: some are not.
    """
    if not bool(torch.isfinite(logits.detach()).all()):
        raise ModelError(f"the model returned NaN or infinite logits; {remedy}.")


def response_of(
    logits: Tensor, features: Tensor | None, answers: Tensor | None, *, alone: bool
) -> Response:
    """A response.

    Args:
        logits: `[batch, classes]`.
        features: `[batch, features]`, if there are any.
        answers: those to judge `[batch]`; None is the largest logit's.
        alone: whether log-odds are the answer's own logit, and not against all other classes.
    """
    if answers is None:
        answers = logits.detach().argmax(dim=1)
    log_odds = logits.gather(1, answers[:, None]).squeeze(1)
    if not alone:
        mask = functional.one_hot(answers, logits.shape[1]).bool()
        # log p/(1-p) without forming 1-p: stays exact where cross-entropy underflows to zero.
        log_odds = log_odds - logits.masked_fill(mask, -torch.inf).logsumexp(dim=1)
    features = None if features is None else features.detach()
    return Response(answers, log_odds, functional.softplus(-log_odds), logits, features)
