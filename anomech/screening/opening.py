"""From a plan to what is screened: a training set with the answers of a model trained on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.torch import save
from torch import Tensor

from anomech.artefacts.checkpoints import read_weights
from anomech.audit.load.fingerprints import combined, fingerprint
from anomech.data.subset import known
from anomech.kernel.config import suggested
from anomech.kernel.errors import ConfigError, DataError, said
from anomech.kernel.types import Examples, Progress, about
from anomech.learning.training import predict, train
from anomech.observing.observed import Observed, observe
from anomech.observing.preparing import prepared
from anomech.roles.source import Opened
from anomech.screening.plan import ScreeningPlan
from anomech.storage.files import replaced

FEWEST = 20
"""Training examples below which nothing can be screened."""


@dataclass(frozen=True)
class Subject:
    """A training set under a screen.

    Attributes:
        observed: the training set, answered by the model as it answers.
        labels: as training saw them, int64 `[examples]`.
        trusted: trusted examples with the model's answers, if there are any.
        model: fingerprint of the model's tensors.
        data: hash of the training examples and their labels.
        title: of the report.
        trained: whether the model was trained here.
        notes: what a person should know.
    """

    observed: Observed
    labels: np.ndarray
    trusted: Observed | None
    model: str
    data: str
    title: str
    trained: bool
    notes: tuple[str, ...]


def open_subject(plan: ScreeningPlan, out: Path, progress: Progress, workers: int = 0) -> Subject:
    """Read the training set, and open the model or train one.

    Raises:
        DataError: examples cannot be read, have no labels or are too few, or classes differ.
        ModelError: the model cannot be used.
    """
    plan.task.check()
    trained = not plan.opens_model
    opened = None if trained else plan.model.open()
    options = plan.task if opened is None else suggested(plan.task, opened.suggested)
    data = options.read(plan.data, "trusted", progress=progress, workers=workers)
    labels = _labels(data)
    known(data, "hashing training examples", progress, workers)
    if opened is None:
        opened = _trained(plan, data, labels, out, progress)
    task = prepared(options.wrap(opened, about(data)), data)
    trusted = None
    if plan.reference:
        reference = options.read(
            plan.reference, "trusted", like=about(data), progress=progress, workers=workers
        )
        _check_classes(about(data).get("classes", ()), about(reference).get("classes", ()))
        known(reference, "hashing trusted examples", progress, workers)
        trusted = observe(task, reference, progress=progress)
    return Subject(
        observed=observe(task, data, progress=progress),
        labels=labels,
        trusted=trusted,
        model=fingerprint(task),
        data=_hash(data, labels),
        title=Path(plan.data).name,
        trained=trained,
        notes=opened.notes,
    )


def hash_of(plan: ScreeningPlan, progress: Progress) -> str:
    """What `Subject.data` would be, without a model.

    Raises:
        DataError: examples cannot be read, have no labels or are too few.
    """
    data = plan.task.read(plan.data, "trusted", progress=progress, workers=0)
    labels = _labels(data)
    known(data, "hashing training examples", progress)
    return _hash(data, labels)


def _labels(data: Examples) -> np.ndarray:
    labels = data.labels
    if labels is None or labels.ndim != 1:
        raise DataError(
            "the training set has no labels; give a folder with one sub-folder per class, or an "
            ".npz with 'labels'."
        )
    if len(labels) < FEWEST or len(np.unique(labels)) < 2:
        raise DataError(
            f"{len(labels)} examples of {len(np.unique(labels))} labels are too few to screen; "
            f"give {FEWEST} of two labels at least."
        )
    return labels


def _hash(data: Examples, labels: np.ndarray) -> str:
    """Of the training examples with their labels."""
    return combined([*data.digests(), *map(str, labels.tolist())])


def _check_classes(ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Refuse trusted examples whose classes are numbered otherwise."""
    if ours and theirs and tuple(ours) != tuple(theirs):
        raise DataError(
            f"the training set has the classes {', '.join(ours[:5])} and the trusted one "
            f"{', '.join(theirs[:5])}; both must have the same folders, so that numbers agree."
        )


def _trained(
    plan: ScreeningPlan, data: Examples, labels: np.ndarray, out: Path, progress: Progress
) -> Opened:
    """A network trained on the data by the plan's recipe.

    It is kept under the hash of the data, so that a screening resumes behind its training.
    """
    images = data.load(np.arange(len(data)))
    network = plan.network.build(classes=int(labels.max()) + 1, channels=images.shape[-1])
    path = out / f"model-{_hash(data, labels)[:12]}.safetensors"
    if path.exists():
        network.load_state_dict(read_weights(str(path)).state)
        return Opened(network, "a network trained here", {})

    def told(done: int, total: int) -> None:
        progress("training", done, total)

    try:
        predict(network.eval(), images[:2])
    except RuntimeError as error:
        raise ConfigError(
            f"the network does not take images of {images.shape[2]}x{images.shape[1]} "
            f"({said(error)}); choose another --set network=NAME (`anomech describe architecture`) "
            "or give a --model."
        ) from None
    train(network, images, labels.copy(), plan.recipe, seed=plan.seed, progress=told)
    state: dict[str, Tensor] = {
        name: each.detach().contiguous() for name, each in network.state_dict().items()
    }
    with replaced(path) as file:
        file.write(save(state))
    return Opened(network, "a network trained here", {})
