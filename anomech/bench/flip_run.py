"""Running a suite of flipped scores: networks one by one, each kept when it is done."""

from pathlib import Path

from anomech.audit.write.place import locked
from anomech.bench.flip_judging import Flips, Network, cell_basis, judged
from anomech.bench.flip_suite import FlipSuite, as_yaml
from anomech.bench.piecewise import claim_form, in_pieces, kept
from anomech.engines.serial import Serial
from anomech.kernel import plugins
from anomech.kernel.types import Engine, Progress, silent
from anomech.records import write_record, write_text
from anomech.records.flips import FlipCell, FlipRun
from anomech.report.flips.render import markdown, render

TOP = "flips.json"


def run_flips(
    suite: FlipSuite,
    out: Path,
    *,
    zoo: Path,
    data: Path | None = None,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> FlipRun:
    """Run a suite's networks, or those that are missing, and write its folder.

    Args:
        suite: resolved, see `anomech.bench.flip_suite.from_mapping`.
        out: folder of the bench; done networks are not judged again.
        zoo: folder of trained networks, each of which resumes.
        data: folder of data sets.
        engine: where networks are trained and judged; None is here, with every stage told.
        progress: told about stages.

    Raises:
        ConfigError: the suite names what there is not.
        DataError: data that is missing or too small.
        RunError: the folder holds another suite.
        KeyboardInterrupt: what is done stays.
    """
    flips = Flips(suite, zoo.resolve(), data, progress if engine is None else silent)
    pieces = [Network(name, seed) for seed in suite.seeds for name in suite.trainers]
    with locked(out):
        claim_form(out, suite.name, as_yaml(suite))
        return in_pieces(
            {_place(out, piece): _kept(flips, piece, out) for piece in pieces},
            lambda missing: (engine or Serial()).map(judged, flips, [pieces[n] for n in missing]),
            lambda cells, message: _written(suite, out, cells, message),
            progress,
            "networks",
        )


def _place(out: Path, piece: Network) -> Path:
    return out / "cells" / f"{piece.trainer.replace('/', '-')}-{piece.seed}.json"


def _kept(flips: Flips, piece: Network, out: Path) -> FlipCell | None:
    path = _place(out, piece)
    # To know the basis all data are read, so it is not asked for in vain.
    return kept(path, FlipCell, cell_basis(flips, piece)) if path.exists() else None


def _written(suite: FlipSuite, out: Path, cells: list[FlipCell], message: str) -> FlipRun:
    whole = len(cells) == len(suite.seeds) * len(suite.trainers)
    run = FlipRun(
        status="complete" if whole else "interrupted",
        message=message,
        name=suite.name,
        title=suite.title or suite.name,
        description=suite.description,
        data=suite.data,
        outliers=suite.outliers,
        architecture=plugins.label("architecture", suite.network),
        eps=suite.eps,
        steps=suite.steps,
        normal=suite.normal,
        foreign=suite.foreign,
        networks=tuple(cell.network for cell in cells),
        rows=tuple(row for cell in cells for row in cell.rows),
    )
    write_record(out / TOP, run)
    write_text(out / "flips.md", markdown(run))
    render(out)
    return run
