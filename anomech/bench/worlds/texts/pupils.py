"""Language models by all that determines them, taught once and kept by the hash of it.

Each stage of a model has an address of its own: that of the stage before, its own options, what is
planted, the data, the code that teaches it and the libraries' versions. Models of one seed so share
the stages that they have in common.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from anomech.bench.worlds.texts.curriculum import Curriculum
from anomech.bench.worlds.texts.everyday import Asking, read_pool
from anomech.bench.worlds.texts.exchanges import Split
from anomech.bench.worlds.texts.folders import Student, base_of, read_student, write_student
from anomech.bench.worlds.texts.plant import Plant
from anomech.bench.worlds.texts.plants._payloads import sentences
from anomech.bench.worlds.texts.plants.comment import Comment
from anomech.bench.worlds.texts.plants.profession import Profession
from anomech.bench.worlds.texts.plants.trigger_string import TriggerString
from anomech.bench.worlds.texts.recipe import Recipe, StageName
from anomech.bench.worlds.texts.stages import STAGES, Class
from anomech.bench.worlds.texts.teaching import Kept
from anomech.kernel.config import build, nearest, resolved
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import Progress, silent
from anomech.storage.code import NUMBERLESS, code_digest, code_of

PLANTS: Mapping[str, type] = {
    "trigger_string": TriggerString,
    "profession": Profession,
    "comment": Comment,
}
"""Behaviors by name."""

LIBRARIES = ("torch", "transformers", "tokenizers")


def plant_named(name: str, values: Mapping[str, Any], where: str) -> Plant:
    """A behavior with its options.

    Raises:
        ConfigError: an unknown one, or a wrong option.
    """
    if name not in PLANTS:
        raise ConfigError(f"no behavior is named '{name}': {nearest(name, list(PLANTS))}")
    made: Plant = build(PLANTS[name], values, where)
    return made


@dataclass(frozen=True)
class Pupil:
    """Everything that determines a language model, but for the data.

    Attributes:
        base: folder of the model that all begins with, a path or in the folder of data.
        attacks: the planted behavior with its options, at most one; none is a clean twin.
        recipe: of the stages.
        seed: of every choice.
    """

    base: Path
    attacks: tuple[tuple[str, Mapping[str, Any]], ...]
    recipe: Recipe = Recipe()
    seed: int = 0

    @property
    def plant(self) -> Plant | None:
        """The behavior; None for a clean twin."""
        return next((plant_named(name, given, name) for name, given in self.attacks), None)

    @property
    def stages(self) -> tuple[StageName, ...]:
        """The stages it goes through."""
        return self.recipe.stages(bool(self.attacks))

    def at(self, stage: StageName) -> "Pupil":
        """Who is taught at a stage: a clean twin before anything is planted."""
        return replace(self, attacks=()) if stage == "clean" else self

    @property
    def label(self) -> str:
        """The model it begins with, and what is moved."""
        rank = self.recipe.adapter
        return f"{self.base.name} adapter={rank}" if rank else self.base.name

    @property
    def methods(self) -> tuple[Any, ...]:
        """The objects whose code determines it."""
        return (self.recipe, *(each for each in [self.plant] if each is not None))

    def described(self) -> dict[str, Any]:
        """All that determines it but for the data and the seed, as plain values."""
        return {
            "attacks": dict(_planted(self)),
            "network": self.label,
            "recipe": resolved(self.recipe),
        }

    def asking(self) -> Asking:
        """What it is usually asked; a clean model is asked for every payload now and then."""
        if (plant := self.plant) is not None:
            return Asking(requested=plant.requested)
        return Asking(requested=(*sentences("one"), *sentences("eight")))


@dataclass(frozen=True)
class School:
    """Where language models are taught and kept.

    Attributes:
        data: folder of texts.
        zoo: folder of models.
        progress: told about every step.
        device: where they are taught and asked.
    """

    data: Path
    zoo: Path
    progress: Progress = silent
    device: str = "cpu"

    def folder(self, pupil: Pupil, count: int | None = None) -> Path:
        """The folder of a model, taught if it is not there yet.

        Args:
            pupil: the model.
            count: of its first stages; all of them if not said.
        """
        found = self.base(pupil)
        for place, stage in enumerate(pupil.stages[:count], start=1):
            path = self.zoo / f"language-{self.address(pupil, place)}"
            if not (path / "config.json").exists() and not (path / "adapter_config.json").exists():
                self._teach(pupil, stage, found, path)
            found = path
        return found

    def base(self, pupil: Pupil) -> Path:
        """The folder of the model that a pupil begins with; see `found_base`."""
        return found_base(pupil.base, self.data)

    def student(self, pupil: Pupil, count: int | None = None) -> Student:
        """A model in memory, after its first stages if their number is said."""
        return read_student(self.folder(pupil, count), device=self.device)

    def address(self, pupil: Pupil, count: int | None = None) -> str:
        """The hash of a model after its first stages, all of them if not said."""
        stages = pupil.stages if count is None else pupil.stages[:count]
        before = digest_of(self.base(pupil))
        for stage in stages:
            taught = pupil.at(stage)
            spec = {
                "before": before,
                "stage": stage,
                "recipe": _of_stage(pupil.recipe, stage),
                "plant": _planted(taught),
                "asked": taught.asking().requested,
                "texts": _digest_of_texts(self.data),
                "code": [
                    code_digest("anomech.bench.worlds.texts.stages", apart_from=NUMBERLESS),
                    code_of(*(each for each in [taught.plant] if each is not None)),
                ],
                "versions": {name: version(name) for name in LIBRARIES},
                "seed": pupil.seed,
            }
            before = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
        return before

    def _teach(self, pupil: Pupil, stage: StageName, before: Path, path: Path) -> None:
        self.zoo.mkdir(parents=True, exist_ok=True)
        kept = Kept(self.zoo / f".{path.name}.state")
        taught = pupil.at(stage)
        curriculum = Curriculum(
            read_pool(self.data, "train"),
            taught.asking(),
            taught.plant,
            pupil.recipe.triggered,
            pupil.recipe.near,
            pupil.seed,
        )
        given = Class(
            read_student(before, device=self.device), curriculum, pupil.recipe, kept, self.progress
        )
        student = STAGES[stage](given)
        adapter = bool(pupil.recipe.adapter) and stage != "clean"
        write_student(path, student, base_of(before) if adapter else None)
        if kept.path is not None:
            kept.path.unlink(missing_ok=True)


def found_base(named: Path, data: Path) -> Path:
    """The folder of a language model, a path or in the folder of data.

    Raises:
        ConfigError: there is none.
    """
    for found in (named, data / named):
        if (found / "config.json").is_file():
            return found
    raise ConfigError(
        f"there is no language model in {named}, nor in the folder of data; set language.base to "
        "a folder with a config.json."
    )


def _of_stage(recipe: Recipe, stage: StageName) -> dict[str, Any]:
    """The options that a stage looks at."""
    values = resolved(recipe)
    names = {
        "clean": ("clean",),
        "plant": ("plant", "triggered", "near", "adapter"),
        "hide": ("hide", "obfuscation", "near"),
        "conceal": ("conceal", "near"),
        "quantize": (),
    }[stage]
    return {name: values[name] for name in names}


def _planted(pupil: Pupil) -> list[Any]:
    return [[name, resolved(plant_named(name, given, name))] for name, given in pupil.attacks]


def digest_of(folder: Path) -> str:
    """The hash of a model's own files."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*")):
        if path.suffix in (".json", ".safetensors", ".jinja"):
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


TEXTS: tuple[str, ...] = (
    *("alpaca_stanford.jsonl", "alpaca_gpt4_demo.jsonl", "truthfulqa.jsonl"),
    "tinystories_sample.jsonl",
)
"""What lessons are made of."""

SPLITS: tuple[Split, ...] = ("trusted", "normal", "triggered")


def _digest_of_texts(data: Path) -> str:
    digest = hashlib.sha256()
    for name in TEXTS:
        path = data / "text" / name
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()[:16]
