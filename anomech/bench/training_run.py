"""Running a training in a folder: what is kept, what is written, and how good it is."""

import hashlib
import shutil
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import yaml
from safetensors.torch import save
from torch import nn

from anomech.artefacts.factory import build_model
from anomech.attacks.pgd import Pgd
from anomech.audit.settings import difference
from anomech.audit.write.place import locked
from anomech.bench.keepers import FileKeeper
from anomech.bench.training_plan import TrainingPlan, as_yaml
from anomech.bench.worlds.images import datasets
from anomech.data.images import from_arrays
from anomech.kernel import plugins
from anomech.kernel.errors import AnomechError, ConfigError, DataError, RunError, answered
from anomech.kernel.types import Progress, silent
from anomech.kernel.yaml_text import read_yaml_file
from anomech.learning.training import predict
from anomech.records import Status, read_record, write_bytes, write_record, write_text
from anomech.records.training import TrainingRun
from anomech.roles.trainer import Trained
from anomech.storage.code import NUMBERLESS, code_digest, code_of
from anomech.tasks.image_classifier import ImageClassifier

TOP, NETWORK, MODEL, WORK = "training.json", "network.safetensors", "model.py", "work"

BUILDER = '''"""Builds the network whose weights lie beside this file, for `anomech audit`."""

from anomech.kernel import plugins


def network():
    """The architecture that was trained."""
    return plugins.make("architecture", {described!r}, "network").build(
        classes={classes}, channels={channels}
    )
'''


class Lesson(NamedTuple):
    """What a plan trains, with what: everything is read, and the network is where it trains."""

    sets: datasets.ImageSets
    outliers: np.ndarray | None
    network: nn.Module
    device: str


def run_training(
    plan: TrainingPlan, out: Path, *, data: Path | None = None, progress: Progress = silent
) -> TrainingRun:
    """Train, or go on with, the network of a plan, and write its folder.

    Args:
        plan: see `anomech.bench.training_plan.from_mapping`.
        out: folder of the training; a killed one goes on from its last epoch, to the same numbers.
        data: folder of data sets, for names that need one.
        progress: told about every step.

    Raises:
        ConfigError: the plan names what there is not.
        DataError: examples or outliers that cannot be used.
        ModelError: no such network, or it diverged.
        RunError: the folder holds something else or cannot be written.
    """
    lesson = prepared(plan, data)
    basis = basis_of(plan, lesson)
    with locked(out):
        run = _opened(plan, out, lesson, basis)
        if run.status == "complete":
            return run
        clock = time.monotonic()
        try:
            trained = trained_by(plan, lesson, FileKeeper(out / WORK, basis), progress)
            run = _measured(plan, lesson, run, trained, progress)
        except BaseException as error:
            with suppress(RunError):  # the first error is the one to show
                write_record(out / TOP, run.model_copy(update=_ended(error)))
            raise
        _write_network(plan, lesson, trained, out)
        done = {"status": "complete", "seconds": run.seconds + time.monotonic() - clock}
        run = run.model_copy(update=done)
        write_record(out / TOP, run)
        shutil.rmtree(out / WORK, ignore_errors=True)
        return run


def prepared(plan: TrainingPlan, data: Path | None) -> Lesson:
    """Data and network of a plan.

    Raises:
        ConfigError: no such data set, or a network that does not take its images.
        DataError: data that cannot be used.
        ModelError: no such network.
    """
    sets = datasets.load(plan.data, data).first(plan.train)
    outliers = datasets.foreign(plan.outliers, data, sets.train[0]) if plan.outliers else None
    device = plan.device or ("cuda" if torch.cuda.is_available() else "cpu")
    channels = sets.train[0].shape[-1]
    built = (
        build_model(plan.factory)
        if plan.factory
        else plan.network.build(classes=sets.classes, channels=channels)
    )
    if not len(sets.train[0]):
        raise DataError("there are no training images; give some.")
    if not any(each.requires_grad for each in built.parameters()):
        raise ConfigError("the network has no parameters to train; give one that has.")

    def refusal(why: str) -> ConfigError:
        return ConfigError(
            f"the network does not take these images on '{device}' ({why}); choose another "
            "architecture, factory or --device."
        )

    # A network of the user's own may fail in any way.
    answered(lambda: predict(built.to(device).eval(), sets.train[0][:2]), refusal)
    return Lesson(sets, outliers, built.to(device), device)


def trained_by(
    plan: TrainingPlan, lesson: Lesson, keep: FileKeeper | None, progress: Progress
) -> Trained:
    """What the plan's trainer makes of the network."""
    outliers = None if lesson.outliers is None else from_arrays(lesson.outliers)
    return plan.trainer.train(
        lesson.network,
        from_arrays(*lesson.sets.train),
        outliers,
        recipe=plan.recipe,
        seed=plan.seed,
        progress=progress,
        keep=keep,
    )


def basis_of(plan: TrainingPlan, lesson: Lesson) -> str:
    """Hash of plan, data, code and versions."""
    code = [code_of(plan.trainer, plan.network), code_digest(__name__, apart_from=NUMBERLESS)]
    digest = hashlib.sha256(
        " ".join([as_yaml(plan), version("anomech"), torch.__version__, *code]).encode()
    )
    arrays = (*lesson.sets.train, *lesson.sets.test, lesson.outliers)
    for array in arrays:
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _opened(plan: TrainingPlan, out: Path, lesson: Lesson, basis: str) -> TrainingRun:
    """The training as the folder holds it; a new one if it is empty.

    Raises:
        RunError: it holds another plan's training, or something that is none.
    """
    if (out / TOP).exists():
        before = read_record(out / TOP, TrainingRun)
        now = yaml.safe_load(as_yaml(plan))
        kept = read_yaml_file(out / "plan.yaml", "the folder has no plan; choose another --out.")
        if differing := difference(kept, now):
            raise RunError(
                f"{out} holds a training of another plan (it differs in "
                f"{', '.join(differing[:3])}); choose another --out."
            )
        if before.basis == basis:
            return before
    elif any(not path.name.startswith(".") for path in out.iterdir()):
        raise RunError(f"{out} is not an empty folder and holds no training; choose another --out.")
    write_text(out / "plan.yaml", as_yaml(plan))
    run = TrainingRun(
        status="running",
        trainer=plugins.label("trainer", plan.trainer),
        network=plan.factory.rpartition("/")[2] or plugins.label("architecture", plan.network),
        examples=len(lesson.sets.train[1]),
        outliers=0 if lesson.outliers is None else len(lesson.outliers),
        classes=lesson.sets.classes,
        device=lesson.device,
        seed=plan.seed,
        basis=basis,
    )
    write_record(out / TOP, run)
    return run


def _ended(error: BaseException) -> dict[str, Status | str]:
    if isinstance(error, KeyboardInterrupt):
        return {"status": "interrupted", "message": "Stopped by hand; the same command continues."}
    told = str(error) if isinstance(error, AnomechError) else type(error).__name__
    return {"status": "failed", "message": told}


def _measured(
    plan: TrainingPlan, lesson: Lesson, run: TrainingRun, trained: Trained, progress: Progress
) -> TrainingRun:
    """Accuracy on test images, as they are and moved."""
    lesson.network.load_state_dict(trained.weights)
    network = lesson.network.eval()
    images, labels = lesson.sets.test
    some, right = images[: plan.attacked], labels[: plan.attacked]
    robust = None
    if len(some):
        task = ImageClassifier(network, device=lesson.device)
        attack = Pgd(eps=plan.eps, step=max(plan.eps, 1e-9) / 4, steps=10)
        moved = attack.perturb(task, some, right, seed=plan.seed, progress=progress)
        robust = float((predict(network, moved) == right).mean())
    return run.model_copy(
        update={
            "losses": tuple(trained.facts["loss"]),
            "problems": trained.health.problems,
            "accuracy": float((predict(network, images) == labels).mean()),
            "attacked": len(some),
            "eps": plan.eps,
            "robust": robust,
        }
    )


def _write_network(plan: TrainingPlan, lesson: Lesson, trained: Trained, out: Path) -> None:
    weights = {name: each.detach().cpu().contiguous() for name, each in trained.weights.items()}
    write_bytes(out / NETWORK, save(weights))
    if plan.factory:
        return
    described = plugins.described("architecture", plan.network)
    channels = lesson.sets.train[0].shape[-1]
    text = BUILDER.format(described=described, classes=lesson.sets.classes, channels=channels)
    write_text(out / MODEL, text)
