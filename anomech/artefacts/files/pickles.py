"""Pickles: which functions and classes loading would import, by an allow-list.

Deny-lists are evaded by the next function that nobody thought of, so what is not known to stand for
plain values is named (`anomech.artefacts.inert.allowed`). Nothing is run: a machine in a process of
its own follows the instructions and carries none out (`anomech.artefacts.sandbox`).
"""

from collections.abc import Sequence
from typing import Any, BinaryIO

from anomech.artefacts.files.found import Issue
from anomech.artefacts.files.rules import issue
from anomech.artefacts.sandbox import ask
from anomech.artefacts.stored import shown
from anomech.kernel.errors import ModelError

NOT_TORCH = "a pickle of plain values that torch.save did not write"
"""Note on a pickle without tensors."""

NAMED = 8
"""Names that a sentence holds."""

LAYERS = "torch.nn.modules."
"""Where the classes of torch's own layers are."""


def check_pickle(file: BinaryIO, name: str, size: int) -> tuple[tuple[str, ...], list[Issue]]:
    """Look at a pickle, or at all pickles of a file of torch.

    Args:
        file: open, at its beginning.
        name: what messages call it.
        size: its bytes.
    """
    try:
        reply = ask(file, name)
    except ModelError as error:
        return (), [issue("hostile-pickle", name, str(error))]
    if "unsafe" in reply:
        return (), [_unsafe(name, tuple(reply["unsafe"]), str(reply["root"]))]
    if "refused" in reply:
        return _refused(name, reply)
    if "damaged" in reply:
        return (), [issue("damaged-pickle", name, f"It {reply['damaged']}.")]
    return (), []


def _refused(name: str, reply: dict[str, Any]) -> tuple[tuple[str, ...], list[Issue]]:
    what = str(reply["refused"])
    if "TorchScript" in what or "torch.export" in what:
        detail = f"It {what}. Loading it runs what is in it, which is code and not weights."
        return (), [issue("program-in-weights", name, detail, _sentence(reply.get("remedy")))]
    if what == "is a pickle that torch.save did not write":
        return (NOT_TORCH,), []
    return (), [issue("odd-pickle", name, f"It {what}.", _sentence(reply.get("remedy")))]


def _unsafe(name: str, names: Sequence[str], root: str) -> Issue:
    listed = ", ".join(shown(each, 80) for each in names[:NAMED])
    listed += f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    if root in names and all(each.startswith(LAYERS) for each in names):
        detail = f"Loading it builds objects of {listed}. Nothing of it was run."
        return issue("whole-model-pickle", name, detail)
    whole = root in names and any(each.startswith(LAYERS) for each in names)
    also = "It holds a whole model with its classes, not weights alone. " if whole else ""
    detail = f"{also}Loading it would import {listed}. Nothing of it was run."
    return issue("unsafe-pickle", name, detail)


def _sentence(remedy: object) -> str:
    text = str(remedy or "")
    return f"{text[:1].upper()}{text[1:]}." if text else ""
