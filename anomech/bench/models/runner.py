"""Running a suite of whole networks: each is trained, judged by every scanner once, and kept."""

from collections.abc import Callable, Sequence
from pathlib import Path

from anomech.audit.write.place import locked
from anomech.bench.machine import hardware, versions
from anomech.bench.models.grading import graded
from anomech.bench.models.suite import Made, ModelSuite, as_yaml, networks
from anomech.bench.models.work import Work, content_of, judge
from anomech.bench.patterns import matching
from anomech.bench.piecewise import also_if_cut_short, claim, read_if_there
from anomech.bench.worlds.images import datasets
from anomech.kernel.types import Progress, silent
from anomech.records import write_record, write_text
from anomech.records.modelcards import ModelBench, ModelCard, NetworkCard
from anomech.report.models.render import markdown, render_models

TOP = "models.json"


def run_models(
    suite: ModelSuite,
    out: Path,
    *,
    zoo: Path,
    data: Path | None = None,
    patterns: Sequence[str] = (),
    progress: Progress = silent,
    told: Callable[[ModelCard], None] = lambda card: None,
) -> ModelBench:
    """Train and judge the networks of a suite, or those that are missing, and write its folder.

    Args:
        suite: resolved, see `anomech.bench.models.suite.from_mapping`.
        out: folder of the bench.
        zoo: folder of trained networks, which suites share.
        data: folder of data sets.
        patterns: globs of NETWORK/SCANNER to run; none is all.
        progress: told about stages.
        told: given every card that is made.

    Raises:
        ConfigError: the suite names what there is not, or a pattern matches nothing.
        RunError: the folder holds another suite.
        KeyboardInterrupt: what is done stays.
    """
    every = list(networks(suite))
    asked = _asked(every, list(suite.scanners), patterns)
    sets = datasets.load(suite.data, data).first(suite.train)
    work = Work(suite, sets, content_of(sets), out.resolve(), zoo.resolve())
    with locked(out):
        claim(out, suite.name, as_yaml(suite))
        with also_if_cut_short(lambda message: _written(work, every)):
            for done, (made, scanners) in enumerate(asked, start=1):
                judge(work, made, scanners, progress, told)
                progress("networks", done, len(asked))
        return _written(work, every)


def _asked(
    every: Sequence[Made], scanners: Sequence[str], patterns: Sequence[str]
) -> list[tuple[Made, list[str]]]:
    """Networks with the scanners that are to judge them."""
    names = [f"{made.name}/{scanner}" for made in every for scanner in scanners]
    asked = set(matching(names, patterns))
    chosen = ((made, [s for s in scanners if f"{made.name}/{s}" in asked]) for made in every)
    return [(made, some) for made, some in chosen if some]


def _written(work: Work, every: Sequence[Made]) -> ModelBench:
    """The top record and tables of all that is there."""
    cards, found = [], []
    for made in every:
        folder = work.out / "networks" / made.name
        if (network := read_if_there(folder / "network.json", NetworkCard)) is None:
            continue
        found.append(network)
        paths = [folder / f"{name}.json" for name in work.suite.scanners]
        cards += [card for path in paths if (card := read_if_there(path, ModelCard)) is not None]
    usable = sum(each.status == "done" for each in found)
    complete = len(found) == len(every) and len(cards) == usable * len(work.suite.scanners)
    standings, chances = graded(found, cards, work.suite)
    bench = ModelBench(
        suite=work.suite.name,
        title=work.suite.title,
        description=work.suite.description,
        level=work.suite.level,
        status="complete" if complete else "interrupted",
        versions=versions(),
        hardware=hardware(work.suite.device),
        networks=tuple(found),
        standings=standings,
        chances=chances,
        failed=sum(card.status == "failed" for card in cards),
    )
    write_record(work.out / TOP, bench)
    write_text(work.out / "leaderboard.md", markdown(bench))
    render_models(work.out)
    return bench
