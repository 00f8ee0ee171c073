"""The tables of a bench in Markdown, and a short one for a terminal. Every number is of a card."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anomech.records.scorecards import BenchRun, Comparison, Scorecard
from anomech.report.board.standings import (
    ROLES,
    Case,
    Measurement,
    auroc,
    case_of,
    rate,
    spread,
)

MISSING = "–"

MEAN = "mean"
"""Case of a comparison over all cases."""

MOST_COMPARED = 40
"""Cases that are compared one by one."""


@dataclass(frozen=True)
class Listing:
    """One table of numbers.

    Attributes:
        key: in files for other programs.
        title: above it.
        of: reads a number off a card.
        percent: whether it is written as percent.
        harm: whether more is worse.
    """

    key: str
    title: str
    of: Measurement
    percent: bool = False
    harm: bool = False

    def write(self, value: float | None) -> str:
        """A value in words."""
        if value is None:
            return MISSING
        return f"{100 * value:.2f}" if self.percent else f"{value:.3f}"


def listings(budget: float) -> tuple[Listing, ...]:
    """What is listed at a budget."""
    at = f"at a calibrated {budget:.0%}"
    published = (
        f"DER at the oracle threshold of {budget:.0%}, wrongly answered inputs left out "
        "(published form)"
    )
    rejected = f"DER {at}, flagged inputs rejected"

    def calibrated(name: str) -> Measurement:
        return rate(name, "calibrated", budget)

    return (
        Listing("der", f"DER {at}", calibrated("der")),
        Listing("der_model", rejected, calibrated("der_model")),
        Listing("der_oracle", published, rate("der", "oracle", budget, filtered=True)),
        Listing("auroc", "AUROC", auroc),
        Listing("tpr", f"TPR {at}, percent", calibrated("tpr"), percent=True),
        Listing("fpr", f"Measured FPR {at}, percent", calibrated("fpr"), percent=True, harm=True),
    )


@dataclass(frozen=True)
class CaseRow:
    """One case with a value for each detector."""

    name: str
    role: str
    values: tuple[float | None, ...]


def detectors_of(cards: Sequence[Scorecard]) -> list[str]:
    """Detectors in the order of the suite."""
    return list(dict.fromkeys(card.detector for card in cards))


def names_of(cards: Sequence[Scorecard]) -> dict[Case, str]:
    """What cases are called, with data and network where these differ."""
    cases = list(dict.fromkeys(case_of(card) for card in cards))
    many_data = len({case.data for case in cases}) > 1
    many_networks = len({case.network for case in cases}) > 1

    def name(case: Case) -> str:
        about = (case.data if many_data else "", case.network if many_networks else "")
        return " · ".join(word for word in (case.name, *about) if word)

    return {case: name(case) for case in cases}


def rows_of(
    cards: Sequence[Scorecard], listing: Listing, detectors: Sequence[str]
) -> list[CaseRow]:
    """A row for each case that anything was measured on; its value is the mean over seeds."""
    rows = []
    found: dict[tuple[Case, str], list[float | None]] = {}
    for card in cards:
        found.setdefault((case_of(card), card.detector), []).append(listing.of(card))
    for case, name in names_of(cards).items():
        values = tuple(_mean(found.get((case, detector), ())) for detector in detectors)
        if any(value is not None for value in values):
            rows.append(CaseRow(name, case.role, values))
    return rows


def means_of(
    cards: Sequence[Scorecard], listing: Listing, detectors: Sequence[str]
) -> list[list[str]]:
    """Means over cases in words, and the worst: of all, of each role; means of each group.

    Where a detector has no answer to a case, its mean says over how many cases it is.
    """
    parts: list[tuple[str, Sequence[Scorecard]]] = [("", cards)]
    roles = [role for role in ROLES if any(card.role == role for card in cards)]
    if len(roles) > 1:
        parts += [(f", {role}", [c for c in cards if c.role == role]) for role in roles]
    made = []
    for name, some in parts:
        if columns := _columns(some, listing, detectors):
            made.append([f"mean{name}", *(_averaged(column, listing) for column in columns)])
            if len(columns[0]) > 1:
                made.append([f"worst{name}", *(_worst(column, listing) for column in columns)])
    for group in dict.fromkeys(card.group for card in cards if card.group):
        some = [card for card in cards if card.group == group]
        if columns := _columns(some, listing, detectors):
            made.append([f"mean, {group}", *(_averaged(column, listing) for column in columns)])
    return made


Column = tuple[float | None, ...]
"""Values of one detector, one for each case."""


def _columns(
    cards: Sequence[Scorecard], listing: Listing, detectors: Sequence[str]
) -> list[Column]:
    rows = rows_of(cards, listing, detectors)
    return [*zip(*(row.values for row in rows), strict=True)]


def _mean(values: Iterable[float | None]) -> float | None:
    found = spread(values)
    return found.mean if found else None


def _averaged(values: Column, listing: Listing) -> str:
    known = sum(value is not None for value in values)
    over = "" if known in (0, len(values)) else f" ({known} of {len(values)})"
    return listing.write(_mean(values)) + over


def _worst(values: Column, listing: Listing) -> str:
    found = spread(values)
    return listing.write((found.high if listing.harm else found.low) if found else None)


def overview(cards: Sequence[Scorecard], budget: float) -> tuple[list[str], list[list[str]]]:
    """A short table: one row a detector, means over cases, and the worst DER."""
    der, _, published, ranking, tpr, fpr = listings(budget)
    short = {"DER": der, "oracle DER": published, "AUROC": ranking, "TPR %": tpr, "FPR %": fpr}
    detectors = detectors_of(cards)
    columns = {}
    for name, listing in short.items():
        found = {head: values for head, *values in means_of(cards, listing, detectors)}
        if "mean" in found:
            columns[name] = found["mean"]
        if listing is der and "worst" in found:
            columns["worst"] = found["worst"]
    rows = []
    for place, detector in enumerate(detectors):
        costs = [card.cost for card in cards if card.detector == detector and card.cost]
        passes = _mean(each.passes for each in costs)
        seconds = sum(each.fit_seconds + each.score_seconds for each in costs)
        last = [MISSING if passes is None else f"{passes:.3g}", f"{seconds:.1f}"]
        rows.append([detector, *(column[place] for column in columns.values()), *last])
    return ["detector", *columns, "passes", "seconds"], rows


def markdown(run: BenchRun, cards: Sequence[Scorecard], budgets: Sequence[float]) -> str:
    """The whole document."""
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    lines = [
        f"# {run.title or run.suite}",
        "",
        run.description,
        "",
        f"`anomech bench {run.suite}`: {run.done} of {run.cells} cells answered, {run.failed} "
        f"failed; {versions}; {run.hardware}.",
        "",
        "Development cases were looked at while methods were made, check cases were not.",
    ]
    for budget in budgets:
        for listing in listings(budget):
            if listing.of is auroc and budget != budgets[0]:
                continue
            lines += _table(cards, listing)
    lines += _compared(run.comparisons)
    lines += _networks(cards)
    lines += _costs(cards)
    lines += _unanswered(cards)
    return "\n".join(lines) + "\n"


def _table(cards: Sequence[Scorecard], listing: Listing) -> list[str]:
    detectors = detectors_of(cards)
    rows = rows_of(cards, listing, detectors)
    if not rows:
        return []
    body = [[row.name, row.role, *map(listing.write, row.values)] for row in rows]
    body += [[name, "", *values] for name, *values in means_of(cards, listing, detectors)]
    return ["", f"## {listing.title}", "", *_grid(["case", "role", *detectors], body)]


def _compared(comparisons: Sequence[Comparison]) -> list[str]:
    """All comparisons; of many, those of means and the worst case of each pair of detectors."""
    if not comparisons:
        return []
    told = ""
    if len({each.case for each in comparisons}) > MOST_COMPARED:
        told = "Means over cases, and for each detector the case where the first does worst."
        pairs: dict[tuple[str, str, str], list[Comparison]] = {}
        for each in comparisons:
            pairs.setdefault((each.first, each.second, each.measure), []).append(each)
        comparisons = [each for some in pairs.values() for each in _mean_and_worst(some)]
    body = [
        [
            f"{each.first} less {each.second}",
            each.measure,
            each.case,
            f"{each.difference.value:+.3f}",
            f"{each.difference.low:+.3f} to {each.difference.high:+.3f}",
        ]
        for each in comparisons
    ]
    head = ["difference", "measure", "case", "value", "95 %, paired bootstrap"]
    return ["", "## Comparisons", "", *([told, ""] if told else []), *_grid(head, body)]


def _mean_and_worst(some: Sequence[Comparison]) -> list[Comparison]:
    means = [each for each in some if each.case == MEAN]
    singles = [each for each in some if each.case != MEAN]
    worst = min(singles, key=lambda each: each.difference.value, default=None)
    return [*means, *([worst] if worst else [])]


def _networks(cards: Sequence[Scorecard]) -> list[str]:
    """What the networks do before any detection, as each case's first answered cell has it."""
    percent = Listing("", "", auroc, percent=True)
    body = []
    names = names_of(cards)
    for case in dict.fromkeys((case_of(card), card.seed) for card in cards):
        done = [c for c in cards if (case_of(c), c.seed) == case and c.status == "done"]
        for card in done[:1]:
            shares = map(percent.write, (card.accuracy, card.success, card.robust))
            counts = (card.trusted, card.normal, card.anomalous)
            body.append([names[case[0]], str(card.seed), *shares, *map(str, counts)])
    head = ["case", "seed", "accuracy, %", "attack success, %", "robust accuracy, %"]
    head += ["trusted", "normal", "anomalous"]
    return ["", "## Networks and inputs", "", *_grid(head, body)] if body else []


def _costs(cards: Sequence[Scorecard]) -> list[str]:
    body = []
    for detector in detectors_of(cards):
        costs = [card.cost for card in cards if card.detector == detector and card.cost]
        if costs:
            times = _mean(each.score_seconds / max(each.plain_seconds, 1e-9) for each in costs)
            peaks = [each.peak_mib for each in costs if each.peak_mib is not None]
            body.append(
                [
                    detector,
                    f"{_mean(each.passes for each in costs):.3g}",
                    f"{times:.3g}",
                    f"{_mean(each.fit_seconds for each in costs):.3g}",
                    f"{_mean(each.score_seconds for each in costs):.3g}",
                    f"{max(peaks):.0f}" if peaks else MISSING,
                ]
            )
    head = ["detector", "forward passes an input", "time of an inference pass", "fit, s"]
    head += ["scoring, s", "peak memory, MiB"]
    return ["", "## Cost, mean over cells", "", *_grid(head, body)] if body else []


def _unanswered(cards: Sequence[Scorecard]) -> list[str]:
    body = [[card.id, card.status, card.reason] for card in cards if card.status != "done"]
    if not body:
        return []
    return ["", "## Cells without results", "", *_grid(["cell", "status", "reason"], body)]


def _grid(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---"] * len(head)
    return [
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
        for row in (head, rule, *body)
    ]
