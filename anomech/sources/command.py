"""Command: a program of the user's own that answers for a model, line by line.

Belief: a model behind an interface can be asked, and a few lines make any interface a program.
Source: none; docs/black-box.md has the protocol and an example of ten lines.
Needs: a program that reads questions as lines of JSON and prints answers; it runs with the rights
of the user, and no shell reads the command.
Fails when: answers take longer than `timeout`, or hang on other inputs of the same batch.
"""

import shlex
from pathlib import Path

from anomech.artefacts.asking.program import Program
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.roles.source import Opened


@options
class Command:
    """A program that is asked."""

    command: str = option("", "the program with its arguments; it is run")
    timeout: float = option(60.0, "what one question may take", unit="seconds", gt=0)

    @property
    def title(self) -> str:
        """The names of the program and of its files, without folders."""
        words = self._words() or ["model"]
        return " ".join(Path(word).name or word for word in words[:3])

    def check(self) -> None:
        """See `anomech.roles.source.Source.check`."""
        if not self.command.strip():
            raise ConfigError("the plan names no model; give --model 'command:PROGRAM ...'.")
        if not self._words():
            raise ConfigError(
                "the command of --model 'command:...' has a quotation mark that does not end."
            )

    def open(self) -> Opened:
        """See `anomech.roles.source.Source.open`; the program starts at the first question."""
        return Opened(Program(self.command, self.timeout), self.title, {})

    def _words(self) -> list[str]:
        try:
            return shlex.split(self.command)
        except ValueError:
            return []
