"""What can be wrong with a file: one rule for each stable code.

A rule says how grave it is, what it is in one line, and what to do. What was seen in a certain file
is the detail of an issue.
"""

from collections.abc import Mapping
from typing import NamedTuple

from anomech.artefacts.files.found import Grade, Issue
from anomech.artefacts.stored import REMEDY, shown


class Rule(NamedTuple):
    """How grave it is, what it is, and what to do."""

    grade: Grade
    title: str
    action: str


_SAFE = f"Do not load it; {REMEDY}."
_ASK = "Remove it, and ask where it comes from."

RULES: Mapping[str, Rule] = {
    # the folder
    "link-out": Rule("high", "a link that leads out of the folder", "Remove the link, or put the "
                     "file itself in its place."),
    "link": Rule("medium", "a link that was not followed", "Put the file itself in its place."),
    "special-file": Rule("high", "a pipe, socket or device among the files", _ASK),
    "odd-name": Rule("medium", "a name with invisible characters", "Rename it, and ask who named "
                     "it so."),
    "deep-folder": Rule("medium", "folders nest too deeply", "Ask for it in a plain folder."),
    "unreadable-file": Rule("medium", "a file that cannot be read", "Check its permissions, or get "
                            "it again."),
    # pickles
    "unsafe-pickle": Rule("high", "it asks for code when it is loaded", _SAFE),
    "whole-model-pickle": Rule("medium", "a whole model with its classes, not weights", "Where it "
                               "is trusted, save the weights alone: torch.save(model.state_dict(), "
                               "path)."),
    "hostile-pickle": Rule("high", "it cannot be looked through", _SAFE),
    "odd-pickle": Rule("high", "a pickle that no program writes", _SAFE),
    "damaged-pickle": Rule("medium", "a damaged pickle", "Get it again."),
    "program-in-weights": Rule("high", "a program in the place of weights", "Where it is trusted, "
                               "load it there and save its state dict."),
}  # fmt: skip
"""Every rule by its code; codes stay."""


def issue(code: str, where: str, detail: str, action: str = "") -> Issue:
    """An issue of a file by its rule.

    Args:
        code: of the rule.
        where: path of the file.
        detail: what was seen in it, as sentences.
        action: what to do where the rule's own is too general.
    """
    rule = RULES[code]
    return Issue(code, rule.grade, shown(where), rule.title, detail, action or rule.action)
