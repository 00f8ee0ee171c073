"""Bare weights of a model, without building it: what scanners of weights look at."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from anomech.artefacts.checkpoints import read_weights
from anomech.artefacts.files.found import Looked
from anomech.artefacts.stored import shown
from anomech.audit.load.fingerprints import combined, digest_of_tensors
from anomech.kernel.errors import ModelError
from anomech.roles.task import Logits, Task, able
from anomech.scan.plan import ScanPlan

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """Weights to be compared.

    Attributes:
        state: of the model.
        base: what they were tuned from, if it is known.
        clean: of clean models.
        notes: what was chosen and left out, as sentences.
        words: of the classes, if the model was opened.
    """

    state: State
    base: State | None
    clean: tuple[State, ...]
    notes: tuple[str, ...]
    words: tuple[str, ...] = ()


def weights_of(plan: ScanPlan, looked: Looked | None, task: Task | None) -> Weights | None:
    """The weights of the opened model, or those in its files; None if there are none to read.

    Args:
        plan: of the scan.
        looked: what looking through its files found.
        task: the model, if it was opened.

    Raises:
        ModelError: the base or a clean model cannot be read.
    """
    state, notes = (task.state(), ()) if task is not None else _in_files(plan, looked)
    if not state:
        return None
    base = _read(plan.base) if plan.base else None
    clean = tuple(map(_read, plan.clean_models))
    words = () if task is None else _words(task)
    return Weights(state, base, clean, notes, words)


def _words(task: Task) -> tuple[str, ...]:
    """Names of the classes of a model, if it has classes."""
    if Logits not in task.provides:
        return ()
    return tuple(task.group_words(torch.arange(able(task, Logits).classes)))


def digest_of(model: str, weights: Weights) -> str:
    """Digest of a model's weights and of what they are compared with.

    Args:
        model: digest of the model.
        weights: with those of its base and of clean models.
    """
    others = [weights.base, *weights.clean] if weights.base else weights.clean
    return combined([model, *map(digest_of_tensors, others)])


def _read(path: str) -> State:
    """The weights of a file, or of all safetensors files of a folder.

    Raises:
        ModelError: they cannot be read, or there are none.
    """
    if not Path(path).is_dir():
        return read_weights(path).state
    found: dict[str, Tensor] = {}
    for file in sorted(Path(path).glob("*.safetensors")):
        found.update(read_weights(file).state)
    if not found:
        raise ModelError(
            f"{shown(Path(path).name)} holds no safetensors file to compare with; name one."
        )
    return found


def _in_files(plan: ScanPlan, looked: Looked | None) -> tuple[State, tuple[str, ...]]:
    """Weights of all sound files together, as of a model in several files, or of the first."""
    if looked is None:
        return {}, ()
    root = Path(plan.files)
    bad = {each.where.partition("!")[0] for each in looked.issues if each.grade == "high"}
    state: dict[str, Tensor] = {}
    used, left = [], []
    for file in looked.files:
        path = root / file.path if root.is_dir() else root
        if not file.weights or file.path in bad or not path.is_file():
            continue
        try:
            found = read_weights(path).state
        except ModelError:  # such as a pickle of settings: it is no weights file
            continue
        if state.keys() & found.keys():
            left.append(file.path)
            continue
        state.update(found)
        used.append(file.path)
    if not left:
        return state, ()
    note = f"Weights of {', '.join(used)} were compared; {', '.join(left[:3])} hold others"
    return state, (f"{note} under the same names.",)
