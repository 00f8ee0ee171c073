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
_AGAIN = "Get it again, and compare its hash with the one that its maker gives."

RULES: Mapping[str, Rule] = {
    # the folder
    "link-out": Rule("high", "a link that leads out of the folder", _ASK),
    "link": Rule("medium", "a link that was not followed", "Put the file itself in its place."),
    "special-file": Rule("high", "a pipe, socket or device among the files", _ASK),
    "odd-name": Rule("medium", "a name with invisible characters", "Ask who named it so."),
    "deep-folder": Rule("medium", "folders nest too deeply", "Ask for it in a plain folder."),
    "unchecked-file": Rule("high", "a file that cannot be looked through", _SAFE),
    "unreadable-file": Rule("medium", "a file that cannot be read", "Check its permissions."),
    # pickles and arrays
    "unsafe-pickle": Rule("high", "it asks for code when it is loaded", _SAFE),
    "whole-model-pickle": Rule(
        "medium",
        "a whole model with its classes, not weights",
        "Where it is trusted, save the weights alone: torch.save(model.state_dict(), path).",
    ),
    "hostile-pickle": Rule("high", "it cannot be looked through", _SAFE),
    "odd-pickle": Rule("high", "a pickle that no program writes", _SAFE),
    "damaged-pickle": Rule("medium", "a damaged pickle", _AGAIN),
    "object-array": Rule("medium", "an array of objects, which is a pickle", _SAFE),
    "program-in-weights": Rule("high", "a program in the place of weights", _SAFE),
    "second-opinion": Rule("high", "picklescan calls it dangerous, and nothing here did", _SAFE),
    "disguised": Rule("high", "its name says another kind than its bytes", _SAFE),
    # archives
    "path-out": Rule("high", "a path that leads out of the folder", _ASK),
    "archive-link": Rule("high", "an archive with a link in it", _ASK),
    "archive-bomb": Rule("high", "an archive that unpacks to very much", "Do not unpack it."),
    "ambiguous-archive": Rule("high", "an archive that two readers read differently", _SAFE),
    "hidden-archive": Rule("high", "an archive behind another file", _SAFE),
    "locked-archive": Rule("medium", "an encrypted archive", "Ask for it unpacked."),
    "deep-archive": Rule("medium", "archives nest too deeply", "Ask for it unpacked."),
    "unread-archive": Rule("medium", "an archive that is not unpacked here", "Unpack it, and scan "
                           "what comes out."),
    "damaged-archive": Rule("medium", "a damaged archive", _AGAIN),
    "odd-member": Rule("medium", "a checkpoint with more in it than weights", _SAFE),
    # weights
    "odd-header": Rule("high", "a header that does not fit its tensors", _AGAIN),
    "odd-metadata": Rule("medium", "metadata that no program writes", "Look at them."),
    "spoiled-weights": Rule("high", "weights that are not finite", _AGAIN),
    "absurd-weights": Rule("medium", "weights larger than training leaves them", _AGAIN),
    "damaged-weights": Rule("medium", "weights that cannot be read", _AGAIN),
    "odd-index": Rule("high", "an index that does not fit its files", _AGAIN),
    "odd-size": Rule("medium", "a config that does not fit the weights", _AGAIN),
    # what something else would run
    "remote-code": Rule(
        "high",
        "it asks to run code when it is loaded",
        "Read that code, load it only from a copy that is fixed, and never give "
        "trust_remote_code for this model otherwise.",
    ),
    "python-code": Rule("medium", "Python code beside the model", "Read it before it is run."),
    "suspicious-code": Rule("high", "code that starts processes, loads code or reaches out",
                            "Read it before it is run, in a place where it can do no harm."),
    "script": Rule("medium", "a script among the files", "Read it before it is run."),
    "program-file": Rule("high", "a program or library among the files", _ASK),
    "template-code": Rule("high", "a template that reaches for code", "Replace the template by one "
                          "of the model's family."),
    "yaml-code": Rule("high", "YAML that makes objects of code", "Read it with safe_load alone."),
    "xml-entity": Rule("medium", "XML that defines entities", "Read it with a hardened reader."),
    "odd-tokenizer": Rule("medium", "a tokenizer that changes what is read", "Compare it with that "
                          "of the base model."),
    "odd-json": Rule("medium", "JSON that cannot be relied on", _AGAIN),
    "outside-package": Rule("medium", "packages from other places", "Install none of them unread."),
    "private-path": Rule("info", "a path of whoever made it", "Nothing is needed."),
    # other kinds
    "other-format": Rule("low", "a model of another framework", "Ask for safetensors."),
    "keras-code": Rule("high", "a Keras model that runs code of its own", "Do not load it; its "
                       "safe_mode has been evaded."),
    "tensorflow-code": Rule("high", "a graph that reaches files or code", "Do not run it."),
    "lfs-pointer": Rule("medium", "a pointer of Git LFS, not the file", "Fetch it: git lfs pull."),
    "web-page": Rule("medium", "a web page in the place of a file", "Download the file itself."),
    # signatures
    "signed": Rule(
        "info",
        "signed, and all files are as signed",
        "Verify whose signature it is: model_signing verify, with the key you expect.",
    ),
    "partial-signature": Rule("medium", "a signature that leaves files out", _ASK),
    "broken-signature": Rule("high", "a signature that does not fit the files", _AGAIN),
    "odd-signature": Rule("medium", "a signature that cannot be read", _ASK),
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
