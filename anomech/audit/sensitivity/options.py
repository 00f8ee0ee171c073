"""What the audit plants; apart from the planting itself, so that a plan loads nothing heavy."""

from typing import Literal

from anomech.kernel.config import option, options


@options
class Planting:
    """Triggers that the audit plants in twins of the model, to say what it would have caught."""

    asked: Literal["auto", "always", "never"] = option(
        "auto", "plant them; auto does where it takes at most a share of the whole audit"
    )
    share: float = option(0.5, "that share, of forward passes", ge=0, le=0.95)
    triggers: tuple[str, ...] = option((), "which; none named are all that the task has")
    steps: int = option(240, "of descent to plant one, at the most", unit="steps", ge=3)
    success: float = option(0.9, "share of held-out examples it must lead astray", gt=0, le=1)
    agreement: float = option(0.8, "share of their other answers that must stay", ge=0, le=1)
