"""From a plan to a model, trusted examples and inputs; everything is read before any compute."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from anomech.audit.load.fingerprints import fingerprint
from anomech.audit.load.saved import damaged, peek
from anomech.audit.plan import NOT_FITTED, Plan, fitting_options
from anomech.audit.settings import difference
from anomech.data.subset import known
from anomech.kernel.config import suggested
from anomech.kernel.errors import ConfigError, DataError
from anomech.kernel.types import About, Examples, Progress, about
from anomech.roles.source import Opened
from anomech.roles.task import Task
from anomech.roles.task_options import TaskOptions


@dataclass(frozen=True)
class Loaded:
    """What an audit works on.

    Attributes:
        task: the model.
        reference: trusted examples; None if a profile stands for them.
        inputs: what is judged.
        title: of the report.
        notes: what opening the model found that a person should know.
    """

    task: Task
    reference: Examples | None
    inputs: Examples
    title: str
    notes: tuple[str, ...] = ()

    @cached_property
    def model(self) -> str:
        """Fingerprint of the model's tensors; taken once, because models are large."""
        return fingerprint(self.task)


def load(plan: Plan, progress: Progress, workers: int = 0) -> Loaded:
    """Read the model, the trusted set and the inputs.

    Args:
        plan: names them.
        progress: told about the examples.
        workers: processes that read examples ahead; 0 reads here.

    Raises:
        ConfigError: the plan names no model or no data.
        ModelError: the model or its weights cannot be used.
        DataError: examples cannot be read or do not belong together.
    """
    check_named(plan)
    opened, options = _opened(plan)
    reference = None
    if not plan.profile:
        reference = options.read(plan.reference, "trusted", progress=progress, workers=workers)
    like = _held(plan) if reference is None else about(reference)
    inputs = options.read(plan.inputs, "inputs", like=like, progress=progress, workers=workers)
    task = options.wrap(opened, like)
    # Every example is read once more to be hashed, so a damaged one is found now and not after
    # hours of work, and finished chunks of an earlier run are known before anything is judged. It
    # costs a tenth of what judging does: 0.1 ms for a 32x32 PNG file, 5 microseconds in an array.
    if reference is not None:
        known(reference, "hashing trusted examples", progress, workers)
    known(inputs, "hashing inputs", progress, workers)
    return Loaded(task, reference, inputs, opened.title, opened.notes)


def load_trusted(plan: Plan, progress: Progress, workers: int = 0) -> tuple[Task, Examples, str]:
    """Read the model and the trusted set; the last entry is a title.

    Raises:
        ConfigError: the plan names no model or no trusted set.
        ModelError: the model or its weights cannot be used.
        DataError: the trusted examples cannot be read.
    """
    check_named(plan, inputs=False)
    opened, options = _opened(plan)
    reference = options.read(plan.reference, "trusted", progress=progress, workers=workers)
    task = options.wrap(opened, about(reference))
    known(reference, "hashing trusted examples", progress, workers)
    return task, reference, opened.title


def check_named(plan: Plan, *, inputs: bool = True) -> None:
    """Refuse a plan that does not say what to audit.

    Args:
        plan: to check.
        inputs: whether it must name inputs.

    Raises:
        ConfigError: it names no model, no trusted examples or no inputs.
    """
    plan.model.check()
    if plan.reference and plan.profile:
        raise ConfigError("give trusted examples or a profile that was fitted to some, not both.")
    for name, asked in (("reference", not plan.profile), ("inputs", inputs)):
        if asked and not getattr(plan, name):
            raise ConfigError(f"the plan names no {name}; give --{name} PATH.")


def _held(plan: Plan) -> About:
    """What a plan's profile remembers of its trusted set; the plan must not change its options.

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
        pairs = facts["trusted"]["about"]
        return {str(name): tuple(map(str, words)) for name, words in pairs}
    except (LookupError, TypeError, ValueError):
        raise DataError(damaged(path, "it names no trusted set")) from None


def _opened(plan: Plan) -> tuple[Opened, TaskOptions]:
    """The model, and the options of the task with what its source suggests."""
    plan.task.check()
    opened = plan.model.open()
    return opened, suggested(plan.task, opened.suggested)
