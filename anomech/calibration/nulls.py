"""What clean networks look like to a scanner: p-values by their largest statistics.

With n clean networks a rank tells no p-value below `1 / (n + 1)`, and a scan of several scanners
needs smaller ones. So the statistic is taken to be normal over clean networks, on the scale
`asinh(statistic)`, which draws in long tails and keeps order: the p-value is the tail of Student's
distribution with n - 1 degrees of freedom at `(a - mean) / (deviation sqrt(1 + 1 / n))`, exact if a
clean network's would be one more such number. A p-value below `1 / (n + 1)` is an extrapolation,
and is never taken beyond a tenth of that.

The table that comes with the package (`nulls.json`) holds statistics of clean networks by scanner,
its options and the family of the architecture. `benchmarks/scanner_nulls.py` makes it of a bench.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from scipy import stats

FEWEST = 4
"""Clean networks below which their spread tells nothing."""

FARTHEST = 0.1
"""The smallest p-value, in those that ranks could tell."""

NARROW = 0.02
"""Deviation that statistics of clean networks have at least, on the scale of `asinh`."""


class Null(NamedTuple):
    """Largest statistics of clean networks.

    Attributes:
        values: one for each network.
        of: what they are, such as "convolutional networks with batch normalization on digits".
    """

    values: tuple[float, ...]
    of: str


def tail(statistic: float, clean: Sequence[float]) -> float | None:
    """The chance that a clean network's statistic is as large; None if too few are known.

    Args:
        statistic: the largest of the model.
        clean: the largest of each clean network.
    """
    count = len(clean)
    if count < FEWEST:
        return None
    drawn = [math.asinh(each) for each in clean]
    mean = sum(drawn) / count
    spread = math.sqrt(sum((each - mean) ** 2 for each in drawn) / (count - 1))
    step = (math.asinh(statistic) - mean) / (max(spread, NARROW) * math.sqrt(1 + 1 / count))
    found = float(stats.t.sf(step, count - 1))
    return min(1.0, max(found, FARTHEST / (count + 1)))


def options_key(options: Mapping[str, Any]) -> str:
    """A hash of a scanner's options: what was measured with others says nothing."""
    text = json.dumps(options, sort_keys=True, default=list)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def shipped(scanner: str, options: Mapping[str, Any], family: str) -> Null | None:
    """What the table of the package knows of a scanner with these options; None if nothing.

    Args:
        scanner: its name.
        options: all of them.
        family: of the architecture, see `anomech.learning.families`.
    """
    entry = _table().get(f"{scanner} {options_key(options)}", {}).get(family)
    return None if entry is None else Null(tuple(entry["values"]), str(entry["of"]))


@cache
def _table() -> dict[str, Any]:
    text = (files("anomech.calibration") / "nulls.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
