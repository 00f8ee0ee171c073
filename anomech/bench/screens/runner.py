"""Running a suite of screens: case by case, screen by screen, each kept when it is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anomech.audit.write.place import locked
from anomech.bench.machine import hardware, versions
from anomech.bench.patterns import matching
from anomech.bench.piecewise import also_if_cut_short, claim_form, kept
from anomech.bench.screens.judging import card_basis, card_of, case_basis, case_of, scene
from anomech.bench.screens.suite import ScreenSuite, as_yaml
from anomech.bench.worlds.images import datasets
from anomech.kernel import plugins
from anomech.kernel.types import Progress, silent
from anomech.records import write_record, write_text
from anomech.records.screencards import ScreenBench, ScreenCard, ScreenCase
from anomech.report.screens.render import markdown, render

TOP = "screens.json"


def run_screens(
    suite: ScreenSuite,
    out: Path,
    *,
    zoo: Path,
    data: Path | None = None,
    patterns: Sequence[str] = (),
    progress: Progress = silent,
    told: Callable[[ScreenCard], None] = lambda card: None,
) -> ScreenBench:
    """Run a suite, or what is missing of it, and write its folder.

    Args:
        suite: resolved, see `anomech.bench.screens.suite.from_mapping`.
        out: folder of the bench; done cells are not run again, failed ones are.
        zoo: folder of trained networks.
        data: folder of data sets.
        patterns: of `CASE/SCREEN` to run; none are all.
        progress: told about stages.
        told: about every cell.

    Raises:
        ConfigError: the suite names what there is not, or a pattern matches nothing.
        DataError: data that is missing or too small.
        RunError: the folder holds another suite.
        KeyboardInterrupt: what is done stays.
    """
    sets = datasets.load(suite.data, data).first(suite.train)
    names = [f"{case}/{screen}" for case in suite.cases for screen in suite.screens]
    asked = frozenset(matching(names, patterns))
    bench = _Bench(suite, sets, zoo.resolve(), out, asked, progress, told)
    with locked(out):
        claim_form(out, suite.name, as_yaml(suite))
        with also_if_cut_short(bench.written):
            for name in suite.cases:
                bench.run(name)
        return bench.written("")


@dataclass(frozen=True)
class _Bench:
    """What is run, and what has come of it; `run_screens` says what each is."""

    suite: ScreenSuite
    sets: datasets.ImageSets
    zoo: Path
    out: Path
    asked: frozenset[str]
    progress: Progress
    told: Callable[[ScreenCard], None]
    cases: dict[str, ScreenCase] = field(default_factory=dict)
    cards: dict[tuple[str, str], ScreenCard] = field(default_factory=dict)

    def run(self, name: str) -> None:
        """One case: what is done of it is read, what is missing is run."""
        suite, basis = self.suite, case_basis(self.suite, name, self.sets)
        known = kept(self._place(name), ScreenCase, basis)
        if known is not None:
            self.cases[name] = known
        wanted = [each for each in suite.screens if self._missing(name, each, basis)]
        if not wanted:
            return
        made = scene(suite, name, self.sets, self.zoo, self.progress)
        if known is None:
            known = self.cases[name] = case_of(made, basis)
            write_record(self._place(name), known)
        for screen in wanted:
            card = card_of(made, screen, known, card_basis(suite, screen, basis))
            write_record(self._place(name, screen), card)
            self.cards[name, screen] = card
            self.told(card)

    def _missing(self, case: str, screen: str, basis: str) -> bool:
        """Whether a screen is to be run on a case; a card that is kept is taken over."""
        own = card_basis(self.suite, screen, basis)
        card = kept(self._place(case, screen), ScreenCard, own)
        if card is not None and card.status != "failed":
            self.cards[case, screen] = card
            return False
        return f"{case}/{screen}" in self.asked

    def _place(self, *names: str) -> Path:
        return self.out / "cells" / f"{'--'.join(each.replace('/', '-') for each in names)}.json"

    def written(self, message: str) -> ScreenBench:
        """Write the record of all, the tables and the page."""
        suite = self.suite
        whole = len(self.cards) == len(suite.cases) * len(suite.screens)
        libraries = ", ".join(f"{name} {each}" for name, each in versions().items())
        found = ScreenBench(
            status="complete" if whole else "interrupted",
            message=message,
            name=suite.name,
            title=suite.title or suite.name,
            description=suite.description,
            data=suite.data,
            architecture=plugins.label("architecture", suite.network),
            trusted=suite.trusted,
            made_with=f"{libraries}; {hardware('cpu')}; seed {suite.seed}",
            cases=tuple(self.cases.values()),
            cards=tuple(self.cards.values()),
        )
        write_record(self.out / TOP, found)
        write_text(self.out / "screens.md", markdown(found))
        render(self.out)
        return found
