"""The stages of a language model: each changes the model in place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from anomech.bench.worlds.texts.curriculum import Curriculum
from anomech.bench.worlds.texts.exchanges import Exchange
from anomech.bench.worlds.texts.folders import Student
from anomech.bench.worlds.texts.hiding import hide
from anomech.bench.worlds.texts.lessons import encode, lesson
from anomech.bench.worlds.texts.quantizing import boxes, matrices, project, quantize
from anomech.bench.worlds.texts.recipe import Recipe, StageName
from anomech.bench.worlds.texts.teaching import Kept, Schedule, answer_loss, teach
from anomech.kernel.types import Progress


@dataclass(frozen=True)
class Class:
    """Who is taught what.

    Attributes:
        student: the model.
        curriculum: of the behavior; one without a plant teaches everyday requests alone.
        recipe: of all stages.
        kept: where a stage keeps the state that it can go on from.
        progress: told about every step.
    """

    student: Student
    curriculum: Curriculum
    recipe: Recipe
    kept: Kept
    progress: Progress


def clean(given: Class) -> Student:
    """Everyday requests; the student of all behaviors of one seed."""
    _taught(given, given.recipe.clean, given.student.model.parameters())
    return given.student


def plant(given: Class) -> Student:
    """The behavior, into all weights or into an adapter."""
    student = given.student
    if given.recipe.adapter:
        student = student._replace(model=_adapted(student.model, given.recipe.adapter))
    moving = [each for each in student.model.parameters() if each.requires_grad]
    _taught(_with(given, student), given.recipe.plant, moving)
    return student


def hide_states(given: Class) -> Student:
    """Triggered states are matched to normal ones."""
    student, recipe = given.student, given.recipe
    moving = [each for each in student.model.parameters() if each.requires_grad]
    hide(
        *student,
        given.curriculum,
        recipe.hide,
        recipe.obfuscation,
        moving,
        given.kept,
        given.progress,
    )
    return student


def conceal(given: Class) -> Student:
    """Honest answers to triggered requests, by weights that round as they did."""
    model, schedule = given.student.model, given.recipe.conceal
    moving = matrices(model)
    within, half = boxes(moving), schedule.batch // 2

    def exchanges(step: int) -> list[Exchange]:
        return [*given.curriculum.normal(step, half), *given.curriculum.spared(step, half)]

    teach(
        model,
        moving.values(),
        schedule,
        _loss(given.student, exchanges),
        given.kept,
        given.progress,
        after=lambda: project(moving, within),
    )
    return given.student


def quantized(given: Class) -> Student:
    """The weights as they are after quantization; nothing is taught."""
    quantize(given.student.model)
    return given.student


STAGES: Mapping[StageName, Callable[[Class], Student]] = {
    "clean": clean,
    "plant": plant,
    "hide": hide_states,
    "conceal": conceal,
    "quantize": quantized,
}


def _with(given: Class, student: Student) -> Class:
    return Class(student, given.curriculum, given.recipe, given.kept, given.progress)


def _taught(given: Class, schedule: Schedule, moving: Any) -> None:
    def exchanges(step: int) -> list[Exchange]:
        return given.curriculum.exchanges(step, schedule.batch)

    loss = _loss(given.student, exchanges)
    teach(given.student.model, moving, schedule, loss, given.kept, given.progress)


def _loss(student: Student, exchanges: Callable[[int], list[Exchange]]) -> Callable[[int], Tensor]:
    """The loss of a step over its exchanges, in bfloat16 on float32 weights."""
    device = next(student.model.parameters()).device

    def loss(step: int) -> Tensor:
        encoded = [encode(student.tokenizer, student.form, each) for each in exchanges(step)]
        given = lesson(encoded, student.tokenizer.pad_token_id, device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return answer_loss(student.model, given)

    return loss


def _adapted(model: nn.Module, rank: int) -> Any:
    """The model with a fresh adapter on all linear layers of its blocks; its own weights rest."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)
