"""Running a suite of stealth: attacks one by one, each kept when it is done."""

from pathlib import Path

from anomech.audit.write.place import locked
from anomech.bench.piecewise import claim_form, in_pieces, kept
from anomech.bench.stealth_judging import Stealth, cell_basis, judged
from anomech.bench.stealth_suite import StealthSuite, as_yaml
from anomech.bench.worlds.images import datasets
from anomech.engines.serial import Serial
from anomech.kernel import plugins
from anomech.kernel.types import Engine, Progress, silent
from anomech.records import write_record, write_text
from anomech.records.stealth import StealthCell, StealthRun
from anomech.report.stealth.render import markdown, render

TOP = "stealth.json"


def run_stealth(
    suite: StealthSuite,
    out: Path,
    *,
    zoo: Path,
    data: Path | None = None,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> StealthRun:
    """Run a suite's attacks, or those that are missing, and write its folder.

    Args:
        suite: resolved, see `anomech.bench.stealth_suite.from_mapping`.
        out: folder of the bench; done attacks are not measured again.
        zoo: folder of trained networks.
        data: folder of data sets.
        engine: where attacks are planted and measured; None is here, with every stage told.
        progress: told about stages.

    Raises:
        ConfigError: the suite names what there is not.
        DataError: data that is missing or too small.
        RunError: the folder holds another suite.
        KeyboardInterrupt: what is done stays.
    """
    sets = datasets.load(suite.data, data).first(suite.train)
    stealth = Stealth(suite, zoo.resolve(), sets, progress if engine is None else silent)
    with locked(out):
        claim_form(out, suite.name, as_yaml(suite))
        names = list(suite.attacks)
        return in_pieces(
            {_place(out, name): _kept(stealth, name, out) for name in names},
            lambda missing: (engine or Serial()).map(judged, stealth, [names[n] for n in missing]),
            lambda cells, message: _written(suite, sets, out, cells, message),
            progress,
            "attacks",
        )


def _place(out: Path, name: str) -> Path:
    return out / "cells" / f"{name.replace('/', '-')}.json"


def _kept(stealth: Stealth, name: str, out: Path) -> StealthCell | None:
    return kept(_place(out, name), StealthCell, cell_basis(stealth, name))


def _written(
    suite: StealthSuite,
    sets: datasets.ImageSets,
    out: Path,
    cells: list[StealthCell],
    message: str,
) -> StealthRun:
    run = StealthRun(
        status="complete" if len(cells) == len(suite.attacks) else "interrupted",
        message=message,
        name=suite.name,
        title=suite.title or suite.name,
        description=suite.description,
        data=suite.data,
        architecture=plugins.label("architecture", suite.network),
        train=len(sets.train[1]),
        trusted=suite.trusted,
        cells=tuple(cells),
    )
    write_record(out / TOP, run)
    write_text(out / "stealth.md", markdown(run))
    render(out)
    return run
