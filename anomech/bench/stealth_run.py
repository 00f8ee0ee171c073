"""Running a suite of stealth: attacks one by one, each kept when it is done."""

from contextlib import suppress
from pathlib import Path

import yaml

from anomech.audit.settings import difference
from anomech.audit.write.place import locked
from anomech.bench.stealth_judging import Stealth, cell_basis, judged
from anomech.bench.stealth_suite import StealthSuite, as_yaml
from anomech.bench.worlds.images import datasets
from anomech.engines.serial import Serial
from anomech.kernel import plugins
from anomech.kernel.errors import AnomechError, RunError
from anomech.kernel.types import Engine, Progress, silent
from anomech.kernel.yaml_text import read_yaml_file
from anomech.records import read_record, write_record, write_text
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
    sets = datasets.load(suite.data, data)
    if suite.train:
        sets = sets._replace(train=(sets.train[0][: suite.train], sets.train[1][: suite.train]))
    stealth = Stealth(suite, zoo.resolve(), sets, progress if engine is None else silent)
    with locked(out):
        _check(suite, out)
        write_text(out / "suite.yaml", as_yaml(suite))
        cells = {name: _kept(stealth, name, out) for name in suite.attacks}
        missing = [name for name, cell in cells.items() if cell is None]
        try:
            answers = (engine or Serial()).map(judged, stealth, missing)
            for name, cell in zip(missing, answers, strict=True):
                write_record(_place(out, name), cell)
                cells[name] = cell
                progress("attacks", sum(c is not None for c in cells.values()), len(cells))
        except BaseException as error:
            told = str(error) if isinstance(error, AnomechError) else "Stopped."
            with suppress(RunError):  # the first error is the one to show
                _written(suite, sets, out, [c for c in cells.values() if c], told)
            raise
        return _written(suite, sets, out, [cell for cell in cells.values() if cell], "")


def _place(out: Path, name: str) -> Path:
    return out / "cells" / f"{name.replace('/', '-')}.json"


def _kept(stealth: Stealth, name: str, out: Path) -> StealthCell | None:
    path = _place(out, name)
    if not path.exists():
        return None
    cell = read_record(path, StealthCell)
    return cell if cell.basis == cell_basis(stealth, name) else None


def _check(suite: StealthSuite, out: Path) -> None:
    path = out / "suite.yaml"
    if not path.exists():
        if any(not each.name.startswith(".") for each in out.iterdir()):
            raise RunError(f"{out} is not an empty folder and no bench; choose another --out.")
        return
    kept = read_yaml_file(path, f"{path.name} is gone; choose another --out.")
    if differing := difference(kept, yaml.safe_load(as_yaml(suite))):
        raise RunError(
            f"{out} holds another suite, or another form of this one (it differs in "
            f"{', '.join(differing[:3])}); choose another --out."
        )


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
