"""What is said to a model behind a program and what it may answer, as JSON: docs/black-box.md.

An answer is a stranger's: its size is bounded before it is read, and every number is looked at
before anything rests on it.
"""

import base64
import json
from typing import Any, NoReturn

import numpy as np

from anomech.kernel.errors import ModelError, shown
from anomech.roles.black_box import Said

LONGEST = 2**26
"""Bytes of an answer at the most."""

CLASSES = 2**17
"""Classes at the most."""

ROUNDED = 0.02
"""How far probabilities may sum to something else than one: services round them."""

FORMS = ("probabilities", "logits", "labels")


def request(images: np.ndarray) -> bytes:
    """The question about images, uint8 `[batch, height, width, channels]`: one line of JSON."""
    pixels = base64.b64encode(np.ascontiguousarray(images).tobytes()).decode()
    return json.dumps({"shape": list(images.shape), "pixels": pixels}).encode() + b"\n"


def reply(text: bytes, count: int, who: str) -> Said:
    """What an answer says of so many images.

    Args:
        text: JSON, an object with `probabilities`, `logits` or `labels`.
        count: of the images.
        who: what the model is called in messages.

    Raises:
        ModelError: it is no JSON, or does not answer each image.
    """
    try:
        found = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise ModelError(
            f"{who} answered {shown(text[:60])}, which is no JSON; let it answer one object a "
            "question and nothing else (docs/black-box.md)."
        ) from None
    given = [each for each in FORMS if isinstance(found, dict) and each in found]
    if len(given) != 1:
        what = "an error: " + shown(found["error"]) if _failed(found) else f"{shown(found)}"
        raise ModelError(
            f"{who} answered {what}; an answer is an object with 'probabilities', 'logits' or "
            "'labels', one of them (docs/black-box.md)."
        )
    rows, model = found[given[0]], found.get("model", "")
    if not isinstance(rows, list) or len(rows) != count:
        size = f"{len(rows)} {given[0]}" if isinstance(rows, list) else f"no list of {given[0]}"
        raise ModelError(f"{who} gave {size} for {count} images; one for each is needed.")
    if not isinstance(model, str):
        raise ModelError(f"{who} calls itself {shown(model)}; 'model' is a text or left out.")
    if given[0] == "labels":
        return Said(None, _labels(rows, who), model[:200])
    table = _table(rows, given[0], who)
    return Said(_probabilities(table, given[0], who), tuple(table.argmax(axis=1).tolist()), model)


def _refused(constant: str) -> NoReturn:
    raise ValueError(constant)


def _failed(found: Any) -> bool:
    return isinstance(found, dict) and "error" in found


def _labels(rows: list[Any], who: str) -> tuple[int | str, ...]:
    for each in rows:
        if isinstance(each, bool) or not isinstance(each, int | str):
            raise ModelError(
                f"{who} gave the label {shown(each)}; a label is a whole number or a class's name."
            )
        if isinstance(each, int) and not 0 <= each < CLASSES:
            raise ModelError(f"{who} gave the label {shown(each)}; labels count from 0.")
    return tuple(rows)


def _table(rows: list[Any], form: str, who: str) -> np.ndarray:
    """Numbers float64 `[batch, classes]`."""
    width = len(rows[0]) if isinstance(rows[0], list) else 0
    plain = all(
        isinstance(row, list)
        and len(row) == width
        and all(isinstance(each, int | float) and not isinstance(each, bool) for each in row)
        for row in rows
    )
    if not plain or not 2 <= width <= CLASSES:
        raise ModelError(
            f"{who} gave {form} that are no table; each image needs one number for each class, two "
            "at the least."
        )
    try:
        table = np.array(rows, dtype=np.float64)
    except OverflowError:
        table = np.full((1, 1), np.inf)
    if not np.isfinite(table).all():
        raise ModelError(f"{who} gave {form} that are not finite; nothing can be judged by them.")
    return table


def _probabilities(table: np.ndarray, form: str, who: str) -> np.ndarray:
    if form == "logits":
        shifted = np.exp(table - table.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
    sums = table.sum(axis=1, keepdims=True)
    if (table < 0).any() or (np.abs(sums - 1) > ROUNDED).any():
        raise ModelError(
            f"{who} gave probabilities that are negative or sum to {shown(float(sums.max()))}; "
            "give those of a softmax, or call them 'logits'."
        )
    return np.asarray(table / sums)
