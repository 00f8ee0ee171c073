"""From a plan to a model, trusted examples and inputs; everything is read before any compute."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from anomech.audit.load.fingerprints import fingerprint
from anomech.audit.load.saved import damaged, peek
from anomech.audit.plan import Plan
from anomech.data.subset import known
from anomech.kernel.config import suggested
from anomech.kernel.errors import ConfigError, DataError
from anomech.kernel.task import Task
from anomech.kernel.types import About, Examples, Progress, about


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
    plan.task.check()
    opened = plan.model.open()
    options, reference = suggested(plan.task, opened.suggested), None
    if not plan.profile:
        reference = options.read(plan.reference, "trusted", progress=progress, workers=workers)
    like = _remembered(Path(plan.profile)) if reference is None else about(reference)
    inputs = options.read(plan.inputs, "inputs", like=like, progress=progress, workers=workers)
    task = options.wrap(opened, like)
    # Every example is read once more to be hashed, so a damaged one is found now and not after
    # hours of work, and finished chunks of an earlier run are known before anything is judged. It
    # costs a tenth of what judging does: 0.1 ms for a 32x32 PNG file, 5 microseconds in an array.
    if reference is not None:
        known(reference, "hashing trusted examples", progress, workers)
    known(inputs, "hashing inputs", progress, workers)
    return Loaded(task, reference, inputs, opened.title, opened.notes)


def check_named(plan: Plan) -> None:
    """Refuse a plan that does not say what to audit.

    Raises:
        ConfigError: it names no model, no trusted examples or no inputs.
    """
    plan.model.check()
    if plan.reference and plan.profile:
        raise ConfigError("give trusted examples or a profile that was fitted to some, not both.")
    for name in ("inputs",) if plan.profile else ("reference", "inputs"):
        if not getattr(plan, name):
            raise ConfigError(f"the plan names no {name}; give --{name} PATH.")


def _remembered(profile: Path) -> About:
    """What a profile remembers of its trusted examples.

    Raises:
        DataError: the file is no profile.
    """
    try:
        pairs = peek(profile)["trusted"]["about"]
        return {str(name): tuple(map(str, words)) for name, words in pairs}
    except (LookupError, TypeError, ValueError):
        raise DataError(damaged(profile, "it names no trusted set")) from None
