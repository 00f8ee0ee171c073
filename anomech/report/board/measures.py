"""What a leaderboard compares detectors by: how it is read off a card, written and colored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from anomech.report.board.standings import Measurement, Standings, auroc, rate
from anomech.report.words import percent

Key = TypeVar("Key")

SHADES = 10
_SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        key: for ids.
        name: on the switch.
        short: in a row of others.
        of: reads it off a card.
        low: where the palest shade begins.
        high: where the darkest shade ends.
        said: sentences on what the numbers say.
        percent: whether it is written as percent.
        harm: whether more is worse, which gets another color and no ranking.
    """

    key: str
    name: str
    short: str
    of: Measurement
    low: float
    high: float
    said: str
    percent: bool = False
    harm: bool = False

    @property
    def unit(self) -> str:
        """What follows a number, "" if nothing does."""
        return f"{_SPACE}%" if self.percent else ""

    def worst(self, values: Mapping[Key, float]) -> Key:
        """Whose value is the worst; the first of several."""
        return (max if self.harm else min)(values, key=lambda key: values[key])

    def write(self, value: float) -> str:
        """A value without its unit, in as many digits as a table has room for."""
        if not self.percent:
            return f"{value:.3f}"
        return f"{100 * value:.2f}" if abs(value) < 0.0995 else f"{100 * value:.1f}"

    def ends(self, low: float, high: float) -> str:
        """A range in few digits, such as ".91–.94" or "91–94"."""

        def short(value: float) -> str:
            if self.percent:
                return f"{100 * value:.1f}" if self.harm else f"{100 * value:.0f}"
            return f"{value:.2f}".removeprefix("0")

        return f"{short(low)}–{short(high)}"

    def shade(self, value: float) -> str:
        """Class of a value's color: "h0", the palest, to "h9"; "w" instead where more is worse."""
        share = min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))
        step = min(SHADES - 1, int(share * SHADES + 1e-9))
        return f"{'w' if self.harm else 'h'}{step}"

    def scale(self) -> tuple[str, str]:
        """What stands at the ends of the legend."""
        factor = 100 if self.percent else 1
        low, high = (f"{factor * end:g}{self.unit}" for end in (self.low, self.high))
        return low if self.low == 0 else f"{low} or less", f"{high} or more" if self.harm else high


def measures(standings: Standings) -> tuple[Measure, ...]:
    """What can be switched between, the leading one first."""
    budget = standings.budget
    asked = percent(budget)
    return (
        Measure(
            key="der",
            name=f"DER, calibrated {asked}",
            short="DER",
            of=rate("der", "calibrated", budget),
            low=0.5,
            high=1.0,
            said="(1 + TPR − FPR) / 2: 1 is perfect, 0.5 is what flagging nothing gets.",
        ),
        Measure(
            key="tpr",
            name=f"TPR, calibrated {asked}",
            short="TPR",
            of=rate("tpr", "calibrated", budget),
            low=0.0,
            high=1.0,
            said="Anomalous inputs that are flagged, in percent.",
            percent=True,
        ),
        Measure(
            key="auroc",
            name="AUROC",
            short="AUROC",
            of=auroc,
            low=0.5,
            high=1.0,
            said="How often an anomalous input scores above a normal one, whatever the threshold: "
            "1 is perfect, 0.5 is guessing.",
        ),
        Measure(
            key="fpr",
            name="FPR, measured",
            short="FPR",
            of=rate("fpr", "calibrated", budget),
            low=0.0,
            high=5 * budget or 1.0,
            said=f"Normal inputs that are flagged by mistake, in percent. {asked} was asked for: "
            "more breaks the promise, less gives detections away.",
            percent=True,
            harm=True,
        ),
    )
