"""The plan of a run: everything that decides its numbers, in one file that replays it.

YAML, `--set a.b=c` and Python keywords are three spellings of the same options.
"""

from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from anomech.audit.judge.batch import Control
from anomech.audit.judge.chunks import CHUNK
from anomech.audit.probing.minority import Doubtful
from anomech.audit.sensitivity.options import Planting
from anomech.kernel import plugins
from anomech.kernel.config import USE, build, choice_of, describe, option, options, resolved
from anomech.kernel.errors import ConfigError
from anomech.kernel.yaml_text import read_yaml_file, write_yaml
from anomech.roles.source import Source
from anomech.roles.task_options import TaskOptions

LEAD = "functional_attribution"
BASELINES = ("confidence", "energy", "loss_level", "mahalanobis", "knn")


@options
class Plan:
    """An audit."""

    model: Source = plugins.chosen("source", "factory", "where the model under audit comes from")
    reference: str = option("", "trusted examples: a path that the task can read")
    profile: str = option("", "profile of `anomech fit`, instead of trusted examples")
    inputs: str = option("", "inputs to judge: a path that the task can read")
    task: TaskOptions = plugins.chosen(
        "task", "image_classifier", "how inputs reach the model, and which parameters move"
    )
    budget: float = option(0.01, "false-positive rate that flags may have", ge=1e-6, le=0.5)
    control: Control = option(
        "per_input", "the budget bounds flags of normal inputs, or (batch) false ones among flags"
    )
    seed: int = option(0, "of everything random", ge=0)
    anchor_share: float = option(
        0.5,
        "share of the trusted set to learn from; the default detector uses all of it both ways",
        gt=0,
        le=0.95,
    )
    most_anchors: int = option(
        2000, "anchors at the most; what is over calibrates", unit="examples", ge=2
    )
    per_class: bool = option(False, "p-values within a class where it has enough examples")
    doubtful: Doubtful = option(
        "keep",
        "a few trusted examples that lie together, apart from the rest of their class: they stay "
        "trusted and are named, or are left out",
    )
    access: Literal["", "labels", "probabilities", "activations", "gradients", "weights"] = option(
        "", "what of the model detectors may see; empty is all that it gives"
    )
    lead: str = option(LEAD, "the detector that gives the verdicts")
    detectors: Mapping[str, Mapping[str, Any]] = option(
        {name: {} for name in (LEAD, *BASELINES)}, "detectors with their options"
    )
    sensitivity: Planting = option(Planting(), "triggers of the audit's own, planted in copies")
    chunk: int = option(CHUNK, "inputs between two saves", unit="examples", ge=1)
    gallery: int = option(60, "flagged inputs shown with pictures", unit="examples", ge=0)

    @property
    def title(self) -> str:
        """What a report calls the model before it is opened, without folders."""
        return self.model.title


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


def as_yaml(plan: Plan) -> str:
    """The resolved plan; reading it back gives the same plan."""
    return write_yaml(resolved(plan))


def commented() -> str:
    """A new plan with every option, its default and a sentence about it."""
    lines = ["# A plan for `anomech audit --plan FILE`. Every option is at its default.", ""]
    for row, field in zip(describe(Plan), fields(Plan), strict=True):
        if field.name == "detectors":
            lines += [f"detectors:  # {row['help']}"]
            for name in (LEAD, *BASELINES):
                made = plugins.get("detector", name)()
                lines += [f"  {name}:" + ("" if fields(made) else " {}"), *_entries(made, "    ")]
        else:
            lines += _lines(row, field, getattr(Plan(), field.name), "")
    return "\n".join(lines) + "\n"


# What a plan may say that no fitted detector rests on.
NOT_FITTED = (
    *("model", "reference", "profile", "inputs"),
    *("control", "sensitivity", "chunk", "gallery"),
)


def fitting_options(plan: Plan) -> dict[str, Any]:
    """The options that fitted detectors rest on: what a profile remembers of its plan.

    Paths are not among them; they mean nothing elsewhere and tell of whoever fitted it.
    """
    values = {name: each for name, each in resolved(plan).items() if name not in NOT_FITTED}
    task = values["task"].items()
    return {**values, "task": {k: each for k, each in task if k not in plan.task.placing}}


def _entries(made: Any, indent: str) -> list[str]:
    return [
        line
        for row, field in zip(describe(type(made)), fields(made), strict=True)
        for line in _lines(row, field, getattr(made, field.name), indent)
    ]


def _lines(row: Mapping[str, str], field: Field[Any], value: Any, indent: str) -> list[str]:
    if choice_of(field) is not None:
        first = [f"{indent}{field.name}:  # {row['help']}", f"{indent}  {USE}: {row['default']}"]
        return [*first, *_entries(value, f"{indent}  ")]
    if is_dataclass(value):
        return [f"{indent}{field.name}:  # {row['help']}", *_entries(value, f"{indent}  ")]
    unit = f" [{row['unit']}]" if row["unit"] else ""
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True).removesuffix("\n...\n").strip()
    return [f"{indent}{field.name}: {text}  # {row['help']}{unit}"]


def _has_names(values: Any) -> bool:
    if not isinstance(values, dict):
        return True
    return all(isinstance(key, str) and _has_names(each) for key, each in values.items())
