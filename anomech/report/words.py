"""Numbers, names and times in plain words."""

import math
import re

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
# Controls, and the marks that make text read in another order than it is written.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

STATUS = {
    "running": "Still running when this page was made",
    "interrupted": "Interrupted: what was finished is shown",
    "complete": "Complete",
    "inconclusive": "Inconclusive: too little evidence for an answer",
    "failed": "Failed",
}


def clean(text: str) -> str:
    """Text without terminal sequences, control characters and marks that turn its direction."""
    return _CONTROL.sub("", _ESCAPE.sub("", text))


def clip(text: str, length: int) -> str:
    """Text of at most this many characters; what is cut is marked."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def count(number: int, noun: str) -> str:
    """A number and its noun: "1 input", "1,000 inputs"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def percent(share: float) -> str:
    """A share as percent with up to two significant decimals, such as "0.5 %"."""
    return f"{float(f'{100 * share:.3g}'):g}\N{NO-BREAK SPACE}%"


def number(value: float | None) -> str:
    """A number with three significant digits and no exponent where it can be avoided."""
    if value is None:
        return "–"
    if value != 0 and not 1e-6 <= abs(value) < 1e7:
        return f"{value:.2g}"
    rounded = float(f"{value:.3g}")
    places = 0 if rounded == 0 else max(0, 2 - math.floor(math.log10(abs(rounded))))
    text = f"{rounded:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def p_value(value: float | None) -> str:
    """A p-value with three decimals, more if it is smaller than that shows."""
    return f"{value:.3f}" if value is not None and value >= 0.001 else number(value)


def moment(stamp: str) -> str:
    """A UTC time to the minute; what is not in ISO 8601 stays as it is."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)\S*?(?:Z|\+00:00)", stamp)
    return f"{found[1]} {found[2]} UTC" if found else stamp


def tail(name: str) -> str:
    """The last part of a path-like id, for narrow captions."""
    return clean(name).rstrip("/").rpartition("/")[2] or clean(name)


def seconds(value: float) -> str:
    """A duration for people."""
    if value < 0.01:
        return "<\N{NO-BREAK SPACE}0.01\N{NO-BREAK SPACE}s"
    if value < 60:
        return f"{number(value)}\N{NO-BREAK SPACE}s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}\N{NO-BREAK SPACE}h {minutes}\N{NO-BREAK SPACE}min"
        if hours
        else (f"{minutes}\N{NO-BREAK SPACE}min {rest}\N{NO-BREAK SPACE}s")
    )
