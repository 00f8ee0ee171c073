"""The heat map: one table for each measure, detectors down, cases across, the best on top."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from anomech.report.board.measures import Measure, measures
from anomech.report.board.standings import ROLES, Case, Spread, Standings
from anomech.report.board.told import absent, in_words
from anomech.report.words import count

TURNED = 9
"""From this many columns on, their names stand upright."""
TALL = 25
"""From this many cases on, they go down the page and detectors across."""
MOST_GROUPS = 6
"""Groups that get a mean of their own, at most."""

Notes = Mapping[tuple[str, str], int]
"""Number of the footnote for a detector and the reason why it has no result."""


@dataclass(frozen=True)
class Tile:
    """One number of the table.

    Attributes:
        text: what stands in it.
        range: smallest and largest over seeds, "" for one seed.
        shade: class of its color, "" for none.
        title: all that is known, shown on hover.
        link: its report, relative to the page.
        notes: numbers of the footnotes that say why cells failed.
        best: whether no other is better in its column.
    """

    text: str
    range: str = ""
    shade: str = ""
    title: str = ""
    link: str = ""
    notes: tuple[int, ...] = ()
    best: bool = False


@dataclass(frozen=True)
class Column:
    """Head of a column.

    Attributes:
        name: in few words.
        title: in all words.
        check: whether it is about check cases.
        start: whether it is set off from the column before it.
        worst: whether its numbers are the worst of some cases and not their mean.
    """

    name: str
    title: str
    check: bool
    start: bool = False
    worst: bool = False


@dataclass(frozen=True)
class Block:
    """A head over columns that belong together."""

    name: str
    width: int


@dataclass(frozen=True)
class Row:
    """One detector.

    Attributes:
        detector: its name.
        mean: over all cases, as a number.
        partial: over how many cases its means are, "" if over all.
        means: one for each head of means.
        tiles: one for each case.
    """

    detector: str
    mean: float | None
    partial: str
    means: tuple[Tile, ...]
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Panel:
    """One heat map; `cases` says over how many of its cases means are taken."""

    measure: Measure
    cases: int
    means: tuple[Column, ...]
    blocks: tuple[Block, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def turned(self) -> bool:
        """Whether names of columns stand upright."""
        return len(self.columns) >= TURNED

    @property
    def tall(self) -> bool:
        """Whether cases go down the page, as too many would go across."""
        return len(self.columns) >= TALL

    @property
    def sections(self) -> tuple[tuple[str, range], ...]:
        """Blocks with the places of their columns."""
        ends = [*accumulate(block.width for block in self.blocks)]
        return tuple(
            (block.name, range(end - block.width, end))
            for block, end in zip(self.blocks, ends, strict=True)
        )


def panels(standings: Standings, notes: Notes) -> tuple[Panel, ...]:
    """One heat map a measure, the leading one first; of clean networks only false flags."""
    made: list[Panel] = []
    clean = {case for case in standings.cases if standings.is_clean(case)}
    for measure in measures(standings):
        cases = [case for case in standings.cases if measure.harm or case not in clean]
        if cases:
            order = [row.detector for row in made[0].rows] if made else standings.detectors
            made.append(_panel(standings, measure, cases, notes, order))
    return tuple(made)


def _panel(
    standings: Standings,
    measure: Measure,
    cases: Sequence[Case],
    notes: Notes,
    order: Sequence[str],
) -> Panel:
    """A heat map; where more is worse its rows keep the order they are given in."""
    names = standings.detectors
    found = {
        (name, case): standings.standing(name, case).spread(measure.of)
        for name in names
        for case in cases
    }
    measured = [case for case in cases if any(found[name, case] for name in names)]
    averages = _averages(measured)
    best = {} if measure.harm else _best(measure, cases, found)
    rows = []
    for name in names:
        held = [one.mean for case in measured if (one := found[name, case])]
        fewer = f"{len(held)} of {count(len(measured), 'case')}"
        tiles = [
            _tile(standings, measure, name, case, found[name, case], notes, best.get(case, ""))
            for case in cases
        ]
        row = Row(
            detector=name,
            mean=sum(held) / len(held) if held else None,
            partial="" if len(held) == len(measured) else fewer,
            means=tuple(
                _over(measure, head, some, [found[name, case] for case in some])
                for head, some in averages
            ),
            tiles=tuple(tiles),
        )
        rows.append(row)
    rows.sort(key=(lambda row: order.index(row.detector)) if measure.harm else _best_first)
    blocks, columns = heads(standings, cases)
    means = tuple(head for head, _ in averages)
    return Panel(measure, len(measured), means, blocks, columns, tuple(rows))


def heads(
    standings: Standings, cases: Sequence[Case]
) -> tuple[tuple[Block, ...], tuple[Column, ...]]:
    """Names of columns and of blocks of them, with data and network only where these differ."""
    many_data = len({case.data for case in standings.cases}) > 1
    many_networks = len({case.network for case in standings.cases}) > 1

    def block(case: Case) -> str:
        named = (case.group, case.data if many_data else "", case.network if many_networks else "")
        return " · ".join(word for word in named if word)

    columns = []
    before = None
    for case in cases:
        check = case.role == "check"
        known = (case.subject, case.condition, case.data, case.network, case.group)
        title = ", ".join(word for word in (*known, "check" if check else "") if word)
        place = block(case), check
        columns.append(Column(case.name, title, check, place != before))
        before = place
    blocks = tuple(Block(name, len([*some])) for name, some in groupby(cases, block))
    return blocks, tuple(columns)


def _best_first(row: Row) -> tuple[bool, float]:
    """A mean over fewer cases is another mean, so it stands below those over all."""
    return bool(row.partial), -row.mean if row.mean is not None else 0.0


def _averages(cases: Sequence[Case]) -> list[tuple[Column, list[Case]]]:
    """What is shown of many cases: mean and worst of all, of each role, and means of groups."""
    chosen = [("", "all cases", False, list(cases))]
    roles = {role: [case for case in cases if case.role == role] for role in ROLES}
    if all(roles.values()):
        chosen += [(f", {role}", f"{role} cases", role == "check", roles[role]) for role in ROLES]
    made = []
    for end, words, check, some in chosen:
        made.append((Column(f"mean{end}", f"mean over {words}", check, bool(end)), some))
        if len(some) > 1:
            worst = Column(f"worst{end}", f"worst of {words}", check, worst=True)
            made.append((worst, some))
    groups = [group for group in dict.fromkeys(case.group for case in cases) if group]
    if 1 < len(groups) <= MOST_GROUPS:
        for group in groups:
            some = [case for case in cases if case.group == group]
            made.append((Column(f"mean, {group}", f"mean over the group {group}", False), some))
    return made


def _over(
    measure: Measure, head: Column, cases: Sequence[Case], values: Sequence[Spread | None]
) -> Tile:
    """Mean or worst over cases, each a mean over its seeds."""
    known = {case: one.mean for case, one in zip(cases, values, strict=True) if one}
    if not known:
        return Tile("–", title=f"{head.title}: nothing was measured")
    fewer = "" if len(known) == len(values) else f", {len(known)} of {len(values)} of them"
    if head.worst:
        case = measure.worst(known)
        text, about = measure.write(known[case]), f": {_told(case)}"
        return Tile(text, shade=measure.shade(known[case]), title=f"{head.title}{fewer}{about}")
    mean, low, high = sum(known.values()) / len(known), min(known.values()), max(known.values())
    said = f"{head.title}{fewer}; lowest {measure.write(low)}, highest {measure.write(high)}"
    return Tile(measure.write(mean), shade=measure.shade(mean), title=said)


def _told(case: Case) -> str:
    return ", ".join(word for word in (case.name, case.data, case.network) if word)


def _best(
    measure: Measure, cases: Sequence[Case], found: Mapping[tuple[str, Case], Spread | None]
) -> dict[Case, str]:
    """The best number of each column, as it is written; none where there is no other."""
    best = {}
    for case in cases:
        values = [one.mean for (_, other), one in found.items() if one and other == case]
        if len(values) > 1:
            best[case] = measure.write(max(values))
    return best


def _tile(
    standings: Standings,
    measure: Measure,
    detector: str,
    case: Case,
    found: Spread | None,
    notes: Notes,
    best: str,
) -> Tile:
    cell = standings.standing(detector, case)
    failed = tuple(sorted({notes[card.detector, card.reason] for card in cell.without}))
    link = next((entry.report for entry in cell.entries if entry.report), "")
    name = f"{detector} on {case.name}"
    if found is None:
        text, why = absent(cell)
        return Tile(text, "", "failed" if failed else "", f"{name}: {why}", link, failed)
    text = measure.write(found.mean)
    return Tile(
        text=text,
        range=measure.ends(found.low, found.high) if found.count > 1 else "",
        shade=measure.shade(found.mean),
        title=f"{name}: {in_words(standings, measure, found, cell)}",
        link=link,
        notes=failed,
        best=text == best,
    )
