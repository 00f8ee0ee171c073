"""The tables of a bench in Markdown, and a short one for a terminal. Every number is of a card."""

from collections.abc import Callable, Sequence

from anomech.records.scorecards import BenchRun, Comparison, Scorecard
from anomech.report.board.listings import (
    MISSING,
    Listing,
    averaged,
    columns_of,
    control_listings,
    detectors_of,
    listings,
    mean_of,
    means_of,
    names_of,
    rows_of,
    worst_of,
)
from anomech.report.board.standings import ROLES, auroc, case_of

MEAN = "mean"
"""Case of a comparison over all cases."""

MOST_COMPARED = 40
"""Cases that are compared one by one."""


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
        passes = mean_of(each.passes for each in costs)
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
    lines += _controls(cards, budgets[0])
    for budget in budgets[:1]:
        der = listings(budget)[0]
        lines += _divided(cards, der, "kind of network", lambda card: card.kind)
        lines += _divided(cards, der, "part", lambda card: card.part)
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


def _controls(cards: Sequence[Scorecard], budget: float) -> list[str]:
    """False alarms on each kind of control: mean and worst over the cases."""
    detectors, body = detectors_of(cards), []
    for listing in control_listings(cards, budget):
        if columns := columns_of(cards, listing, detectors):
            ends = [f"{averaged(each, listing)}, {worst_of(each, listing)}" for each in columns]
            body.append([listing.title.replace("_", " "), str(len(columns[0])), *ends])
    title = f"False alarms on controls at a calibrated {budget:.0%}, percent: mean, worst"
    return ["", f"## {title}", "", *_grid(["control", "cases", *detectors], body)] if body else []


def _divided(
    cards: Sequence[Scorecard], listing: Listing, what: str, of: Callable[[Scorecard], str]
) -> list[str]:
    """Mean and worst of each division of the cases; nothing where there is one."""
    detectors, names = detectors_of(cards), list(dict.fromkeys(of(card) for card in cards))
    if len(names) < 2:
        return []
    body = []
    for name in names:
        some = [card for card in cards if of(card) == name]
        if columns := columns_of(some, listing, detectors):
            roles = " and ".join(role for role in ROLES if any(c.role == role for c in some))
            ends = [f"{averaged(each, listing)}, {worst_of(each, listing)}" for each in columns]
            body.append([name, roles, str(len(columns[0])), *ends])
    head = [what, "role", "cases", *detectors]
    if not body:
        return []
    return ["", f"## {listing.title}, by {what}: mean, worst", "", *_grid(head, body)]


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
            times = mean_of(each.score_seconds / max(each.plain_seconds, 1e-9) for each in costs)
            peaks = [each.peak_mib for each in costs if each.peak_mib is not None]
            body.append(
                [
                    detector,
                    f"{mean_of(each.passes for each in costs):.3g}",
                    f"{times:.3g}",
                    f"{mean_of(each.fit_seconds for each in costs):.3g}",
                    f"{mean_of(each.score_seconds for each in costs):.3g}",
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
