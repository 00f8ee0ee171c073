"""Which inputs of a run are explained, by what a person says."""

from collections.abc import Sequence
from dataclasses import dataclass

from anomech.kernel.config import nearest
from anomech.kernel.errors import ConfigError, DataError
from anomech.records import Run, Verdict

MOST = 200
"""Inputs that are looked at; of more the first ones."""


@dataclass(frozen=True)
class Chosen:
    """Inputs to explain.

    Attributes:
        ids: of the inputs.
        words: whom it is about.
    """

    ids: tuple[str, ...]
    words: str


def choose(run: Run, verdicts: Sequence[Verdict], what: Sequence[str]) -> Chosen:
    """The inputs that were asked for.

    Args:
        run: the top record.
        verdicts: of all inputs.
        what: nothing for the largest mechanism or else all flags, "mechanism N", "flags", or ids.

    Raises:
        ConfigError: there is no such mechanism or input.
        DataError: nothing was flagged.
    """
    flags = [each.id for each in verdicts if each.decision == "flag"]
    if what and what[0] == "mechanism":
        return _mechanism(verdicts, what[1:])
    if what and list(what) != ["flags"]:
        known = {each.id for each in verdicts}
        for name in what:
            if name not in known:
                raise ConfigError(f"the run has no input '{name}': {nearest(name, sorted(known))}")
        return Chosen(tuple(what), f"input {what[0]}" if len(what) == 1 else f"{len(what)} inputs")
    if not flags:
        raise DataError(
            f"no input of {run.title} was flagged, so there is nothing to explain; name inputs by "
            "their ids."
        )
    grouped = [each.mechanism for each in verdicts if each.mechanism is not None]
    if grouped and not what:
        return _mechanism(verdicts, [str(max(set(grouped), key=grouped.count))])
    return Chosen(tuple(flags[:MOST]), "all flagged inputs")


def _mechanism(verdicts: Sequence[Verdict], given: Sequence[str]) -> Chosen:
    numbers = sorted({each.mechanism for each in verdicts if each.mechanism is not None})
    if len(given) != 1 or not given[0].isdigit() or int(given[0]) not in numbers:
        there = ", ".join(map(str, numbers)) or "none"
        raise ConfigError(f"give the number of a mechanism of the run; it has: {there}.")
    number = int(given[0])
    members = [each.id for each in verdicts if each.mechanism == number]
    return Chosen(tuple(members[:MOST]), f"mechanism {number}")
