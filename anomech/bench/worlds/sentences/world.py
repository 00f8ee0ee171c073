"""Sentences of one part of a suite, with the classifiers that triggers are planted in."""

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from anomech.artefacts.hugging_face import load_network, load_tokenizer
from anomech.artefacts.hugging_face_folders import looked_at
from anomech.bench.cells import Cell
from anomech.bench.specs import Suite
from anomech.bench.worlds.sentences.learning import Reader, classes, taught, trigger_named
from anomech.bench.worlds.sentences.reading import corpus_of, read_sentences
from anomech.bench.worlds.sentences.sets import Counts, SentenceSets, sentence_sets, write_files
from anomech.bench.worlds.sentences.triggers import SentenceTrigger
from anomech.bench.worlds.staging import opened_by_name, staged
from anomech.bench.worlds.texts.folders import Student
from anomech.bench.worlds.texts.lessons import PlainForm
from anomech.bench.worlds.texts.pupils import found_base
from anomech.bench.worlds.world import Staged
from anomech.kernel.errors import ConfigError, ModelError
from anomech.kernel.types import Progress
from anomech.storage.code import NUMBERLESS, code_digest

TASK, SOURCE = "text_classifier", "hugging_face"


@dataclass(frozen=True, eq=False)
class SentenceWorld:
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
        """Teach the classifier of a cell if it is not there, and see whether it is any good."""
        student = read_classifier(self._model(cell, zoo, progress))
        sets, names = self._sets(cell), corpus_of(self.suite.data).names
        normal = [each for each in sets.inputs if not (each.anomalous or each.control)]
        labels = np.array([each.label for each in normal])
        accuracy = float((classes(student, [each.text for each in normal]) == labels).mean())
        if accuracy < 1.2 / len(names):
            raise ModelError(
                f"the classifier labels {accuracy:.1%} of normal sentences rightly, hardly better "
                "than guessing; raise the steps of its recipe."
            )
        stamped = [each.text for each in sets.inputs if each.anomalous]
        if not stamped:
            return
        success = float((classes(student, stamped) == sets.target).mean())
        if success < cell.spec.least_success:
            raise ModelError(
                f"the trigger leads {success:.1%} of stamped sentences to its label, less than "
                f"{cell.spec.least_success:.0%}; raise its ratio or the steps of its recipe."
            )

    def stage(self, cell: Cell, zoo: Path, progress: Progress) -> Staged:
        """The classifier with trusted sentences and inputs, read as an audit reads them."""
        model, sets = self._model(cell, zoo, progress), self._sets(cell)
        spec = f"{model.name} {cell.under.trusted or self.suite.trusted} {self.content}"
        folder = zoo / f"sets-{hashlib.sha256(spec.encode()).hexdigest()[:16]}"
        files = write_files(folder, sets, self.suite.data)
        title = f"{cell.case}: {self.suite.data}, {cell.network.label}, seed {cell.seed}"
        options = {"use": TASK, "device": self.suite.device}
        return staged(opened_by_name(SOURCE, model), options, files, title, sets.truth)

    def _model(self, cell: Cell, zoo: Path, progress: Progress) -> Path:
        reader = cell.network
        assert isinstance(reader, Reader)  # the kind of this world has made it
        base = found_base(reader.base, self.data)
        return taught(reader, base, self.data, zoo, progress, self.suite.device)

    def _sets(self, cell: Cell) -> SentenceSets:
        suite = self.suite
        counts = Counts(
            trusted=cell.under.trusted or suite.trusted,
            normal=suite.clean,
            triggered=suite.sources,
            control=suite.language.controls,
        )
        planted = bool(cell.network.attacks)
        triggers = self._triggers(cell)
        return sentence_sets(self.data, suite.data, triggers, planted, counts, cell.seed)

    def _triggers(self, cell: Cell) -> dict[str, SentenceTrigger]:
        """The trigger of a cell; of a clean twin those of all other subjects."""
        subjects = {cell.subject: cell.spec} if cell.network.attacks else self.suite.subjects
        return {
            name: trigger_named(each, given, name)
            for name, spec in subjects.items()
            for each, given in spec.attacks.items()
        }


def open_sentences(suite: Suite, data: Path | None) -> SentenceWorld:
    """The sentences of a part of a suite.

    Raises:
        ConfigError: there is no folder of data, or no set of that name.
        DataError: a file is missing.
    """
    if data is None:
        raise ConfigError(
            "worlds of sentences are made of public texts; give their folder with --data, or set "
            "ANOMECH_DATA."
        )
    read_sentences(data, suite.data)
    code = code_digest(
        "anomech.bench.work", "anomech.bench.worlds.sentences.sets", apart_from=NUMBERLESS
    )
    words = f"{version('anomech')} {torch.__version__} {version('transformers')} {code}"
    return SentenceWorld(suite, data, hashlib.sha256(words.encode()).hexdigest()[:16])


def read_classifier(folder: Path) -> Student:
    """A taught classifier in memory."""
    return Student(
        load_network(looked_at(folder), dtype="float32"), load_tokenizer(folder), PlainForm()
    )
