"""From a plan to a model, trusted examples and inputs; everything is read before any compute."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from anomech.artefacts.backdoorbench import NORMALIZATION, build_network, read_attack
from anomech.artefacts.checkpoints import read_weights
from anomech.artefacts.factory import build_model
from anomech.artefacts.fitting import apply_state
from anomech.audit.load.saved import damaged, peek
from anomech.audit.plan import NOT_FITTED, Plan, TaskPlan, difference, fitting_options
from anomech.data.images import ImageExamples
from anomech.data.reading import read_images
from anomech.kernel.errors import ConfigError, DataError, shown
from anomech.kernel.types import Progress
from anomech.tasks.image_classifier import ImageClassifier


@dataclass(frozen=True)
class Loaded:
    """What an audit works on.

    Attributes:
        task: the model.
        reference: trusted examples; None if a profile stands for them.
        inputs: what is judged.
        title: of the report.
    """

    task: ImageClassifier
    reference: ImageExamples | None
    inputs: ImageExamples
    title: str


def load(plan: Plan, progress: Progress, workers: int = 0) -> Loaded:
    """Read the model, the trusted set and the inputs.

    Args:
        plan: names them.
        progress: told about the images.
        workers: processes that decode image files; 0 decodes here.

    Raises:
        ConfigError: the plan names no model or no data.
        ModelError: the model or its weights cannot be used.
        DataError: images cannot be read or do not belong together.
    """
    check_named(plan)
    reference = None
    if plan.profile:
        names = _held(plan)
        task, title = _task(plan, names)
    else:
        task, reference, title = load_trusted(plan, progress, workers)
    channels = None if reference is None else reference.shape[2]
    inputs = read_images(plan.inputs, channels=channels, progress=progress, workers=workers)
    if reference is not None and reference.shape != inputs.shape:
        raise DataError(
            f"trusted images are {_size(reference)} and inputs {_size(inputs)}; bring them to "
            "one size and color mode."
        )
    # Hashing decodes every image, so a damaged one is found now and not after hours of work; and
    # finished chunks of an earlier run are known before anything is judged. It costs a tenth of
    # what judging does: 0.1 ms for a 32x32 PNG file, and 5 microseconds for one in an array.
    inputs.hash(workers, partial(progress, "hashing inputs"))
    return Loaded(task, reference, inputs, title)


def load_trusted(
    plan: Plan, progress: Progress, workers: int = 0
) -> tuple[ImageClassifier, ImageExamples, str]:
    """Read the model and the trusted set; the last entry is a title.

    Raises:
        ConfigError: the plan names no model or no trusted set.
        ModelError: the model or its weights cannot be used.
        DataError: the trusted images cannot be read.
    """
    check_named(plan, inputs=False)
    reference = read_images(plan.reference, progress=progress, workers=workers)
    task, title = _task(plan, tuple(reference.class_names or ()))
    reference.hash(workers, partial(progress, "hashing trusted images"))
    return task, reference, title


def check_named(plan: Plan, *, inputs: bool = True) -> None:
    """Refuse a plan that does not say what to audit.

    Args:
        plan: to check.
        inputs: whether it must name inputs.

    Raises:
        ConfigError: it names no model, no trusted examples or no inputs.
    """
    if plan.model.backdoorbench and (plan.model.factory or plan.model.weights):
        raise ConfigError("give a factory with weights or a BackdoorBench file, not both.")
    if not (plan.model.backdoorbench or plan.model.factory):
        raise ConfigError("the plan names no model; give --model FACTORY.py:make_model.")
    if plan.reference and plan.profile:
        raise ConfigError("give trusted examples or a profile that was fitted to some, not both.")
    for name, asked in (("reference", not plan.profile), ("inputs", inputs)):
        if asked and not getattr(plan, name):
            raise ConfigError(f"the plan names no {name}; give --{name} PATH.")


def _held(plan: Plan) -> tuple[str, ...]:
    """Names of the classes of a plan's profile, whose options the plan must not change.

    Raises:
        ConfigError: it changes one.
        DataError: the file is no profile.
    """
    path = Path(plan.profile)
    facts = peek(path)
    fitted = {name: each for name, each in facts["plan"].items() if name not in NOT_FITTED}
    changed = difference(fitted, fitting_options(plan))
    if fitted and changed:  # what the library saved knows nothing of a plan
        raise ConfigError(
            f"{path.name} was fitted with other options than this plan's (they differ in "
            f"{', '.join(changed[:3])}); leave them as they were, or fit another profile."
        )
    try:
        return tuple(str(name) for name in facts["trusted"]["classes"])
    except (LookupError, TypeError):
        raise DataError(damaged(path, "it names no trusted set")) from None


def _task(plan: Plan, names: Sequence[str]) -> tuple[ImageClassifier, str]:
    """The model as a task, and a title."""
    model, mean, std, title = _model(plan)
    task = ImageClassifier(
        model,
        mean,
        std,
        watch=plan.task.watch,
        device=_device(plan.task),
        class_names=names,
        precision=plan.task.precision,
        memory=plan.task.memory * 2**20,
    )
    return task, title


def _model(plan: Plan) -> tuple[nn.Module, tuple[float, ...], tuple[float, ...], str]:
    mean, std = plan.task.mean, plan.task.std
    if plan.model.backdoorbench:
        result = read_attack(plan.model.backdoorbench)
        if (mean, std) == ((0.0,), (1.0,)):
            # The files do not hold the normalization; the data set's name implies it.
            mean, std = NORMALIZATION.get(result.dataset, (mean, std))
        return build_network(result), mean, std, f"{result.model_name} on {result.dataset}"
    model = build_model(plan.model.factory)
    if plan.model.weights:
        apply_state(model, read_weights(plan.model.weights).state)
    return model, mean, std, plan.title


def _device(plan: TaskPlan) -> str:
    try:
        device = torch.device(plan.device or "cpu")
        # It must hold numbers and give them back: "meta" is a device of shapes alone.
        float(torch.zeros(1, device=device).sum())
    except Exception:  # each device refuses in a way of its own
        raise ConfigError(
            f"task.device={shown(plan.device)} is not available here; use cpu, or a device that "
            "this build of torch can reach."
        ) from None
    return str(device)


def _size(images: ImageExamples) -> str:
    height, width, channels = images.shape
    return f"{height}x{width} with {channels} channel{'s' if channels > 1 else ''}"
