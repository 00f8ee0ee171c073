"""Url: a service on this machine that answers for a model.

Belief: a model behind an interface can be asked.
Source: none; docs/black-box.md has the protocol and an example.
Needs: a service on a loopback address that answers POST requests with JSON. Nothing is asked
elsewhere: examples do not leave the machine.
Fails when: answers take longer than `timeout`, or hang on other inputs of the same batch.
"""

from urllib.parse import urlsplit

from anomech.artefacts.asking.address import Address, place_of
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.roles.source import Opened


@options
class Url:
    """A service that is asked."""

    url: str = option("", "http://127.0.0.1:PORT/PATH; only addresses of this machine")
    timeout: float = option(60.0, "what one question may take", unit="seconds", gt=0)

    @property
    def title(self) -> str:
        """Host, port and path."""
        parts = urlsplit(self.url)
        return f"{parts.netloc}{parts.path}".rstrip("/") or "model"

    def check(self) -> None:
        """See `anomech.roles.source.Source.check`."""
        if not self.url:
            raise ConfigError("the plan names no model; give --model http://127.0.0.1:PORT/PATH.")
        place_of(self.url)

    def open(self) -> Opened:
        """See `anomech.roles.source.Source.open`."""
        place_of(self.url)
        return Opened(Address(self.url, self.timeout), self.title, {})
