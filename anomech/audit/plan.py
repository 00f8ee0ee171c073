"""The plan of a run: everything that decides its numbers, in one file that replays it.

YAML, `--set a.b=c` and Python keywords are three spellings of the same options.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from anomech.audit.judge.batch import Control
from anomech.audit.judge.chunks import CHUNK
from anomech.kernel import plugins
from anomech.kernel.config import build, describe, option, options, resolved
from anomech.kernel.errors import ConfigError, shortened, shown
from anomech.kernel.yaml_text import read_yaml, read_yaml_file
from anomech.tasks._outputs import Outputs
from anomech.tasks.arithmetic import Precision

LEAD = "functional_attribution"
BASELINES = ("confidence", "energy", "loss_level", "mahalanobis", "knn")


@options
class ModelPlan:
    """Where the model comes from: a factory, or a BackdoorBench result."""

    factory: str = option("", "FILE.py:function that returns the network; the file is run")
    weights: str = option("", "weights file, loaded without running anything in it")
    backdoorbench: str = option("", "attack_result.pt of BackdoorBench, instead of a factory")


@options
class TaskPlan:
    """How inputs reach the model, and which of its parameters move."""

    mean: tuple[float, ...] = option((0.0,), "subtracted from images in [0, 1], per channel")
    std: tuple[float, ...] = option((1.0,), "divided by afterwards, per channel")
    watch: str = option("all", "parameters that move: all, last or a glob of names")
    device: str = option("", "such as cpu or cuda; empty means cpu")
    precision: Precision = option(
        "float32", "of the network's arithmetic; its last layer and all scores stay in float32"
    )
    memory: int = option(
        1024, "activations of one pass may take so much; passes are as large", unit="MiB", ge=1
    )
    outputs: Outputs = option(
        "auto", "what the model gives; auto tells logits from probabilities by trusted examples"
    )
    pass_timeout: float = option(
        0.0, "what one forward pass may take; 0 is no limit", unit="seconds", ge=0
    )


@options
class Plan:
    """An audit."""

    model: ModelPlan = option(ModelPlan(), "the model under audit")
    reference: str = option("", "trusted examples with labels: class folders or .npz")
    profile: str = option("", "profile of `anomech fit`, instead of trusted examples")
    inputs: str = option("", "inputs to judge: a folder of images, .npz or .npy")
    task: TaskPlan = option(TaskPlan(), "inputs and parameters of the model")
    budget: float = option(0.01, "false-positive rate that flags may have", ge=1e-6, le=0.5)
    control: Control = option(
        "per_input", "the budget bounds flags of normal inputs, or (batch) false ones among flags"
    )
    seed: int = option(0, "of everything random", ge=0)
    anchor_share: float = option(0.5, "share of the trusted set to learn from", gt=0, le=0.95)
    most_anchors: int = option(
        2000, "anchors at the most; what is over calibrates", unit="examples", ge=2
    )
    per_class: bool = option(False, "p-values within a class where it has enough examples")
    lead: str = option(LEAD, "the detector that gives the verdicts")
    detectors: Mapping[str, Mapping[str, Any]] = option(
        {name: {} for name in (LEAD, *BASELINES)}, "detectors with their options"
    )
    chunk: int = option(CHUNK, "inputs between two saves", unit="examples", ge=1)
    gallery: int = option(60, "flagged inputs shown with pictures", unit="examples", ge=0)

    @property
    def title(self) -> str:
        """What a report calls the model: the name of its file, without folders."""
        place, _, function = self.model.factory.rpartition(":")
        weights = Path(self.model.weights or self.model.backdoorbench).name
        return weights or (f"{Path(place).name}:{function}" if place else "model")


def from_mapping(values: Mapping[str, Any]) -> Plan:
    """A plan with every option of every detector resolved.

    Raises:
        ConfigError: an unknown key, a wrong value, or a lead that is not among the detectors.
    """
    plan = build(Plan, values, "plan")
    if plan.lead not in plan.detectors:
        raise ConfigError(
            f"the lead detector '{plan.lead}' is not among the plan's detectors "
            f"({', '.join(plan.detectors)}); add it or change lead."
        )
    detectors = {
        name: resolved_detector(name, dict(given or {})) for name, given in plan.detectors.items()
    }
    return build(Plan, {**resolved(plan), "detectors": detectors}, "plan")


def resolved_detector(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a detector, those of its tracer included."""
    return resolved(build(plugins.get("detector", name), given, f"detectors.{name}"))


def read_plan(path: Path) -> dict[str, Any]:
    """The mapping in a plan file.

    Raises:
        ConfigError: the file is missing or is no YAML mapping.
    """
    values = read_yaml_file(path, f"there is no plan at {path}; `anomech plan new` writes one.")
    if not isinstance(values, dict) or not _has_names(values):
        raise ConfigError(
            f"{path.name} must map the names of options to values; `anomech plan new` shows the "
            "form."
        )
    return values


def assign(values: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """A copy of `values` with `a.b=c` settings laid over it; c is read as YAML.

    Raises:
        ConfigError: a setting without `=`, or through something that is no mapping.
    """
    result = values
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path:
            raise ConfigError(
                f"--set takes NAME=VALUE, such as task.watch=last, not {shown(setting)}."
            )
        if "," in text and not text.startswith(("[", "{", "'", '"')):
            text = f"[{text}]"
        value = read_yaml(text, f"the value of --set {shortened(path)}")
        if path in ("task.mean", "task.std") and not isinstance(value, list):
            value = [value]
        result = put(result, path, value)
    return result


def put(values: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of `values` with `value` at the dotted `path`.

    Raises:
        ConfigError: the path goes through something that is no mapping.
    """
    result = place = _copied(values)
    *parents, last = path.split(".")
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            raise ConfigError(
                f"{path} cannot be set: '{parent}' holds a value, not options; see "
                "`anomech plan new`."
            )
    place[last] = value
    return result


def as_yaml(plan: Plan) -> str:
    """The resolved plan; reading it back gives the same plan."""
    return yaml.safe_dump(resolved(plan), sort_keys=False, allow_unicode=True)


def commented() -> str:
    """A new plan with every option, its default and a sentence about it."""
    lines = ["# A plan for `anomech audit --plan FILE`. Every option is at its default.", ""]
    for row in describe(Plan):
        if row["name"] in ("model", "task"):
            lines += [f"{row['name']}:  # {row['help']}"]
            lines += _entries(ModelPlan if row["name"] == "model" else TaskPlan, "  ")
        elif row["name"] == "detectors":
            lines += [f"detectors:  # {row['help']}"]
            for name in (LEAD, *BASELINES):
                cls = plugins.get("detector", name)
                lines += [f"  {name}:" + ("" if fields(cls) else " {}")]
                lines += _entries(cls, "    ")
        else:
            lines += _lines(row, getattr(Plan(), row["name"]), "")
    return "\n".join(lines) + "\n"


# What a plan may say that no fitted detector rests on.
NOT_FITTED = ("model", "reference", "profile", "inputs", "control", "chunk", "gallery")
NOT_FITTED_IN_TASK = ("device", "memory")


def fitting_options(plan: Plan) -> dict[str, Any]:
    """The options that fitted detectors rest on: what a profile remembers of its plan.

    Paths are not among them; they mean nothing elsewhere and tell of whoever fitted it.
    """
    values = {name: each for name, each in resolved(plan).items() if name not in NOT_FITTED}
    task = values["task"].items()
    return {**values, "task": {k: each for k, each in task if k not in NOT_FITTED_IN_TASK}}


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Dotted names of options in which two plans differ."""
    left, right = _flat(first), _flat(second)
    return sorted(name for name in {*left, *right} if left.get(name) != right.get(name))


def _entries(cls: type, indent: str) -> list[str]:
    instance = cls()
    return [
        line
        for row in describe(cls)
        for line in _lines(row, resolved(instance)[row["name"]], indent)
    ]


def _lines(row: Mapping[str, str], value: Any, indent: str) -> list[str]:
    text = yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()
    unit = f" [{row['unit']}]" if row["unit"] else ""
    return [f"{indent}{row['name']}: {text}  # {row['help']}{unit}"]


def _has_names(values: Any) -> bool:
    if not isinstance(values, dict):
        return True
    return all(isinstance(key, str) and _has_names(each) for key, each in values.items())


def _copied(values: Any) -> Any:
    return {k: _copied(v) for k, v in values.items()} if isinstance(values, dict) else values


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, Mapping):
        return {prefix: values}
    if not values:
        return {prefix: {}}
    return {
        name: value
        for key, each in values.items()
        for name, value in _flat(each, f"{prefix}.{key}" if prefix else str(key)).items()
    }
