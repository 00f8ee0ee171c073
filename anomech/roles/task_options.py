"""What a plan's task gives and promises: it reads examples and takes a model in.

A `Task` holds a model; the options here are what a plan says before there is one. All that only
one kind of model knows, such as what a file of examples is or how pixels are normalized, stands in
its file in `tasks/`, so that the audit knows neither images nor sentences.
"""

from typing import Literal, Protocol

from anomech.kernel.types import About, Examples, Progress
from anomech.roles.source import Opened
from anomech.roles.task import Task

Role = Literal["trusted", "inputs"]


class TaskOptions(Protocol):
    """A kind of task: the class `NameOptions` in `tasks/name.py`. Its options are its fields."""

    @property
    def kind(self) -> str:
        """As `Task.kind`, before there is a model."""
        ...

    @property
    def advice(self) -> str:
        """What to check when the model answers few trusted examples as they are labeled."""
        ...

    @property
    def placing(self) -> frozenset[str]:
        """Options that say where and in what portions work is done, and change no verdict."""
        ...

    def check(self) -> None:
        """Refuse options that cannot work on this machine, before anything is read.

        Raises:
            ConfigError: says which option, and what to give instead.
        """
        ...

    def read(
        self,
        path: str,
        role: Role,
        *,
        like: About | None = None,
        progress: Progress,
        workers: int = 0,
    ) -> Examples:
        """Examples of a file or a folder.

        Args:
            path: of the user.
            role: whether they are trusted or to be judged.
            like: what is remembered of the trusted examples, when inputs are read: both must
                reach the model alike.
            progress: told about what is read.
            workers: processes that may read ahead; they change nothing.

        Raises:
            DataError: they cannot be read, or do not belong together with `like`.
        """
        ...

    def wrap(self, opened: Opened, trusted: About) -> Task:
        """The task of a model.

        Args:
            opened: by a source; its suggestions are taken over already.
            trusted: what is remembered of the trusted examples, such as the names of classes.

        Raises:
            ModelError: it is no model for this kind of task.
        """
        ...
