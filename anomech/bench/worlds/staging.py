"""Models in folders with examples in files, opened and read as an audit does."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anomech.artefacts.hugging_face_folders import is_adapter
from anomech.audit.load.loading import Loaded
from anomech.bench.worlds.texts.folders import base_of
from anomech.bench.worlds.world import Staged
from anomech.kernel import plugins
from anomech.kernel.types import about, silent
from anomech.observing.observed import observe
from anomech.records.scorecards import TruthRow
from anomech.roles.source import Opened, Source
from anomech.roles.task_options import TaskOptions


def opened_by_name(source: str, model: Path) -> Opened:
    """The model of a folder, or an adapter on its base, in float32.

    Raises:
        ModelError: it cannot be used.
    """
    base = str(base_of(model)) if is_adapter(model) else ""
    given = {"use": source, "folder": str(model), "base": base, "dtype": "float32"}
    method: Source = plugins.make("source", given, "model")
    return method.open()


def staged(
    opened: Opened,
    options: Mapping[str, Any],
    files: tuple[Path, Path],
    title: str,
    truth: Callable[[np.ndarray], list[TruthRow]],
) -> Staged:
    """A case made ready.

    Args:
        opened: the model.
        options: of the task, its name under `use`.
        files: of trusted examples and of inputs.
        title: of the report.
        truth: of the inputs, once the model's answers to them are known.
    """
    reader: TaskOptions = plugins.make("task", dict(options), "task")
    trusted = reader.read(str(files[0]), "trusted", progress=silent)
    inputs = reader.read(str(files[1]), "inputs", like=about(trusted), progress=silent)
    task = reader.wrap(opened, about(trusted))
    clock = time.monotonic()
    observe(task, inputs)
    plain_seconds = time.monotonic() - clock
    return Staged(Loaded(task, trusted, inputs, title), truth, options, plain_seconds)
