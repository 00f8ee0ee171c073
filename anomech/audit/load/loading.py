"""From a plan to a model, trusted examples and inputs; everything is read before any compute."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from anomech.artefacts.backdoorbench import NORMALIZATION, build_network, read_attack
from anomech.artefacts.checkpoints import apply_state, load_state
from anomech.artefacts.factory import build_model
from anomech.audit.load.saved import damaged, peek
from anomech.audit.plan import Plan, TaskPlan
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
    model, mean, std, title = _model(plan)
    reference, channels, names = None, None, _classes(plan)
    if not plan.profile:
        reference = read_images(plan.reference, progress=progress, workers=workers)
        channels, names = reference.shape[2], tuple(reference.class_names or ())
    inputs = read_images(plan.inputs, channels=channels, progress=progress, workers=workers)
    if reference is not None and reference.shape != inputs.shape:
        raise DataError(
            f"trusted images are {_size(reference)} and inputs {_size(inputs)}; bring them to "
            "one size and color mode."
        )
    task = ImageClassifier(
        model,
        mean,
        std,
        watch=plan.task.watch,
        device=_device(plan.task),
        class_names=names,
        precision=plan.task.precision,
        memory=plan.task.memory * 2**20,
        outputs=plan.task.outputs,
        pass_timeout=plan.task.pass_timeout,
    )
    # Hashing decodes every image, so a damaged one is found now and not after hours of work; and
    # finished chunks of an earlier run are known before anything is judged. It costs a tenth of
    # what judging does: 0.1 ms for a 32x32 PNG file, and 5 microseconds for one in an array.
    if reference is not None:
        reference.hash(workers, partial(progress, "hashing trusted images"))
    inputs.hash(workers, partial(progress, "hashing inputs"))
    return Loaded(task, reference, inputs, title)


def check_named(plan: Plan) -> None:
    """Refuse a plan that does not say what to audit.

    Raises:
        ConfigError: it names no model, no trusted examples or no inputs.
    """
    if plan.model.backdoorbench and (plan.model.factory or plan.model.weights):
        raise ConfigError("give a factory with weights or a BackdoorBench file, not both.")
    if not (plan.model.backdoorbench or plan.model.factory):
        raise ConfigError("the plan names no model; give --model FACTORY.py:make_model.")
    if plan.reference and plan.profile:
        raise ConfigError("give trusted examples or a profile that was fitted to some, not both.")
    for name in ("inputs",) if plan.profile else ("reference", "inputs"):
        if not getattr(plan, name):
            raise ConfigError(f"the plan names no {name}; give --{name} PATH.")


def _classes(plan: Plan) -> tuple[str, ...]:
    """Names of the classes in a profile.

    Raises:
        DataError: the file is no profile.
    """
    if not plan.profile:
        return ()
    path = Path(plan.profile)
    try:
        return tuple(str(name) for name in peek(path)["trusted"]["classes"])
    except (LookupError, TypeError):
        raise DataError(damaged(path, "it names no trusted set")) from None


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
        apply_state(model, load_state(plan.model.weights))
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
