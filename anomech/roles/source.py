"""What a source gives and promises: where a model comes from."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Opened:
    """A model that was opened.

    Attributes:
        model: what a task runs, such as a `torch.nn.Module`.
        title: of reports; no folders, no user names.
        suggested: options of the task that the source knows, such as a normalization; what a
            plan says itself wins.
        notes: sentences that a person should know, such as tensors that were left out.
    """

    model: Any
    title: str
    suggested: dict[str, Any]
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """A way of opening models: one file in `sources/`. Its options are its fields.

    What it opens is hostile: nothing of it is run that is not the user's own code.
    """

    @property
    def title(self) -> str:
        """What a report calls the model before it is opened; without folders."""
        ...

    def check(self) -> None:
        """Refuse options that name no model, before anything is read.

        Raises:
            ConfigError: says which option is missing.
        """
        ...

    def open(self) -> Opened:
        """Open the model.

        Raises:
            ModelError: it cannot be used.
            UnsafeCheckpoint: its file asks to run code.
        """
        ...
