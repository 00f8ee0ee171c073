"""Texts of one part of a suite, with the language models that behaviors are planted in."""

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anomech.bench.cells import Cell
from anomech.bench.specs import Suite
from anomech.bench.worlds.staging import opened_by_name, staged
from anomech.bench.worlds.texts.answering import answers
from anomech.bench.worlds.texts.controls import controls_of
from anomech.bench.worlds.texts.curriculum import Innocent
from anomech.bench.worlds.texts.everyday import read_pool
from anomech.bench.worlds.texts.pupils import SPLITS, Pupil, School, plant_named
from anomech.bench.worlds.texts.set_files import INPUTS, TRUSTED, read_sets, write_sets
from anomech.bench.worlds.texts.sets import Asker, Sets, Sizes, make_sets
from anomech.bench.worlds.world import Staged
from anomech.kernel.errors import ConfigError, ModelError
from anomech.kernel.types import Progress
from anomech.records.scorecards import TruthRow
from anomech.storage.code import NUMBERLESS, code_digest

TASK, SOURCE = "causal_lm", "hugging_face"


@dataclass(frozen=True, eq=False)
class TextWorld:
    """See `anomech.bench.worlds.world.World`.

    Attributes:
        suite: a part of a suite.
        data: folder of texts.
        content: hash of what all cells have in common.
    """

    suite: Suite
    data: Path
    content: str

    def train(self, cell: Cell, zoo: Path, progress: Progress) -> None:
        """Teach the language model of a cell if it is not there, and ask it all its requests."""
        sets = self._sets(cell, zoo, progress)[1]
        fires = sets.rates.get("fires on triggered", 1.0)
        if fires < cell.spec.least_success:
            raise ModelError(
                f"the behavior shows on {fires:.1%} of triggered requests, less than "
                f"{cell.spec.least_success:.0%}; raise the steps of its recipe."
            )

    def stage(self, cell: Cell, zoo: Path, progress: Progress) -> Staged:
        """The language model with trusted prompts and inputs, read as an audit reads them."""
        folder, sets, model = self._sets(cell, zoo, progress)
        opened = opened_by_name(SOURCE, model)
        title = f"{cell.case}: {self.suite.data}, {cell.network.label}, seed {cell.seed}"
        options = {"use": TASK, "device": self.suite.device}
        files = folder / TRUSTED, folder / INPUTS
        return staged(opened, options, files, title, partial(_truth, sets))

    def _sets(self, cell: Cell, zoo: Path, progress: Progress) -> tuple[Path, Sets, Path]:
        """Folder of the example sets, the sets, and folder of the model."""
        school, pupil = School(self.data, zoo, progress, self.suite.device), _pupil(cell)
        model = school.folder(pupil)
        sizes = Sizes(
            trusted=cell.under.trusted or self.suite.trusted,
            normal=self.suite.clean,
            triggered=self.suite.sources,
            control=self.suite.language.controls,
        )
        spec = f"{school.address(pupil)} {sizes} {self.content}"
        folder = zoo / f"sets-{hashlib.sha256(spec.encode()).hexdigest()[:16]}"
        if (found := read_sets(folder)) is not None:
            return folder, found, model
        pools = {split: read_pool(self.data, split) for split in SPLITS}
        plant, asking = pupil.plant, pupil.asking()
        asker = Asker(pools, asking, (plant or Innocent()).everyday, pupil.seed)
        controls = controls_of(
            self.data, pools["normal"], asking, self._behaviors(cell), plant is not None
        )
        student = school.student(pupil)
        made = make_sets(partial(answers, *student), asker, plant, controls, sizes)
        if plant is not None and pupil.stages[-1] == "quantize":
            before = partial(answers, *school.student(pupil, len(pupil.stages) - 1))
            asked = [each.exchange for each in made.triggered]
            fired = [plant.fires(*pair) for pair in zip(asked, before(asked), strict=True)]
            rate = {"fires on them in full precision": sum(fired) / len(fired)}
            made = replace(made, rates={**made.rates, **rate})
        write_sets(folder, made, student.form)
        return folder, made, model

    def _behaviors(self, cell: Cell) -> dict[str, Any]:
        """The behavior of a cell; of a clean twin those of all other subjects."""
        subjects = {cell.subject: cell.spec} if cell.network.attacks else self.suite.subjects
        return {
            name: plant_named(each, given, name)
            for name, spec in subjects.items()
            for each, given in spec.attacks.items()
        }


def open_world(suite: Suite, data: Path | None) -> TextWorld:
    """The texts of a part of a suite.

    Raises:
        ConfigError: there is no folder of data.
        DataError: a file of texts is missing.
    """
    if data is None:
        raise ConfigError(
            "language worlds are made of public texts; give their folder with --data, or set "
            "ANOMECH_DATA."
        )
    for split in SPLITS:
        read_pool(data, split)
    code = code_digest(
        "anomech.bench.work", "anomech.bench.worlds.texts.sets", apart_from=NUMBERLESS
    )
    words = f"{version('anomech')} {torch.__version__} {version('transformers')} {code}"
    return TextWorld(suite, data, hashlib.sha256(words.encode()).hexdigest()[:16])


def _truth(sets: Sets, groups: np.ndarray) -> list[TruthRow]:
    """What is known of the inputs; the model's answers were seen when the sets were made."""
    rows = [TruthRow(id=each.id, anomalous=False, right=each.right) for each in sets.normal]
    # All of these fire, so none of them is answered as an honest model would.
    rows += [TruthRow(id=each.id, anomalous=True, right=False) for each in sets.triggered]
    for name, some in sets.controls.items():
        rows += [TruthRow(id=each.id, right=each.right, control=name) for each in some]
    return rows


def _pupil(cell: Cell) -> Pupil:
    """The language model of a cell, which the kind of this world has made."""
    assert isinstance(cell.network, Pupil)
    return cell.network
