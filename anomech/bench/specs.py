"""What a suite says: its options, and those of its networks, subjects and conditions."""

from collections.abc import Mapping
from typing import Any, Literal

from anomech.audit.probing.minority import Doubtful
from anomech.bench.worlds.texts.recipe import Recipe as LanguageRecipe
from anomech.kernel import plugins
from anomech.kernel.config import option, options
from anomech.learning.training import Recipe
from anomech.records.scorecards import Role
from anomech.roles.architecture import Architecture
from anomech.tasks._arithmetic import Precision

Methods = Mapping[str, Mapping[str, Any]]
"""Methods of one kind with their options."""


@options
class NetworkSpec:
    """A kind of network that every subject is made with."""

    network: str | Mapping[str, Any] = option(
        "", "architecture: a name, or {use: NAME, ...options}; empty means the suite's"
    )
    recipe: Mapping[str, Any] = option({}, "options laid over the suite's recipe")
    role: Role | Literal[""] = option("", "as of a subject; empty means that of the subject")


@options
class SubjectSpec:
    """A network with what is planted in it."""

    attacks: Methods = option(
        {}, "attacks, or behaviors of texts, with their options, planted together; none is clean"
    )
    role: Role = option("check", "development if it was looked at while methods were made")
    network: str | Mapping[str, Any] = option(
        "", "architecture, in place of that of the suite or of its kind of network"
    )
    recipe: Mapping[str, Any] = option({}, "options laid over the recipe of its kind of network")
    least_success: float = option(
        0.8, "attack success below which the network is refused", ge=0, le=1
    )
    axis: str = option("", "what the subject is a step of, in words")
    value: float | None = option(None, "position on that axis")


@options
class ConditionSpec:
    """What the inputs or the trusted set are subjected to. By default inputs are triggered."""

    foreign: str = option("", "anomalies are images of this data set")
    perturbation: Methods = option({}, "anomalies are inputs under this attack on inputs alone")
    shift: Methods = option({}, "perturbation of all inputs, before a trigger is stamped")
    trusted: int = option(0, "trusted examples; 0 means the suite's", ge=0)
    contaminated: float = option(
        0.0, "share of the trusted set that has the trigger and the attacker's label", ge=0, le=0.5
    )
    doubtful: Doubtful = option(
        "keep", "whether a few trusted examples that lie apart from their class stay trusted"
    )
    group: str = option("", "cases that are averaged together")
    role: Role | Literal[""] = option("", "as of a subject; empty means that of the subject")
    axis: str = option("", "what the condition is a step of, in words")
    value: float | None = option(None, "position on that axis")

    @property
    def triggered(self) -> bool:
        """Whether the anomalies are triggered inputs, if something is planted."""
        return not (self.foreign or self.perturbation)


@options
class Language:
    """What language worlds are made with; images have no use for it."""

    base: str = option(
        "lm/stories3m-hf", "folder of the language model that all begin with, in the data or a path"
    )
    recipe: LanguageRecipe = option(LanguageRecipe(), "how behaviors are taught")
    controls: int = option(30, "inputs of each control", ge=0)


@options
class Suite:
    """A matrix of cells."""

    name: str = option("", "of the suite; empty means that of its file")
    title: str = option("", "heading of the leaderboard")
    description: str = option("", "what is compared, and on what")
    world: Literal["images", "texts", "sentences"] = option("images", "what the networks work on")
    data: str = option("cifar10", "data set: a name, or a path; of texts, what to call them")
    train: int = option(0, "training images, the first ones; 0 means all", unit="images", ge=0)
    network: Architecture = plugins.chosen("architecture", "resnet20", "architecture")
    recipe: Recipe = option(Recipe(), "how networks are trained")
    language: Language = option(Language(), "of language worlds, in place of network and recipe")
    seeds: tuple[int, ...] = option((0,), "of networks, attacks and splits")
    trusted: int = option(4000, "trusted examples that were not trained on", ge=1)
    clean: int = option(3000, "inputs as they are", ge=1)
    sources: int = option(1000, "inputs that are made anomalous", ge=1)
    anchor_share: float = option(0.5, "share of the trusted set to learn from", gt=0, le=0.95)
    budgets: tuple[float, ...] = option(
        (0.01, 0.05), "false-positive rates of the calibrated thresholds"
    )
    device: str = option("cpu", "where networks are trained and judged, such as cuda")
    precision: Precision = option("float32", "of the judged network's arithmetic")
    detectors: Methods = option({}, "detectors; each is compared with the first")
    networks: Mapping[str, NetworkSpec] = option(
        {"": NetworkSpec()}, "kinds of network by the name that tables show; by default one"
    )
    subjects: Mapping[str, SubjectSpec] = option(
        {}, "networks with what is planted in them, by the name that tables show"
    )
    conditions: Mapping[str, ConditionSpec] = option(
        {"": ConditionSpec()}, "conditions by the name that tables show"
    )
    parts: Mapping[str, Mapping[str, Any]] = option(
        {}, "options laid over these for each part, by the name that tables show; null takes out"
    )
