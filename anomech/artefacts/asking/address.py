"""A model behind an address of this machine: POST a JSON object, get one (docs/black-box.md).

Loopback addresses alone are asked: examples must not leave the machine by a slip of the keyboard.
No proxy is used and no redirection followed.
"""

import http.client
import time
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import numpy as np

from anomech.artefacts.asking.wire import LONGEST, reply, request
from anomech.kernel.errors import ConfigError, ModelError, said, shown
from anomech.roles.black_box import Said

PIECE = 2**16
"""Bytes that are read at once."""


@dataclass(frozen=True)
class Place:
    """Where a model answers: an address of this machine, a port and a path."""

    host: str
    port: int
    path: str


def place_of(url: str) -> Place:
    """The place that a URL names.

    Raises:
        ConfigError: it is no `http` URL of a loopback address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        parts, host, port, local = urlsplit(""), "", 0, False
    if parts.scheme != "http" or not local or parts.username or parts.fragment:
        raise ConfigError(
            f"{shown(url)} is no address of this machine; give http://127.0.0.1:PORT/PATH. A model "
            "elsewhere is reached by a program of your own: --model 'command:...'."
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # The name is not looked up: a hosts file might lead it elsewhere.
    return Place("127.0.0.1" if host == "localhost" else host, port, path)


@dataclass(frozen=True)
class Address:
    """A model that is asked at an address.

    Attributes:
        url: `http://127.0.0.1:PORT/PATH`.
        seconds: that one question may take.
    """

    url: str
    seconds: float

    @property
    def asked(self) -> str:
        """The URL."""
        return self.url

    def ask(self, images: np.ndarray) -> Said:
        """See `anomech.roles.black_box.Answering.ask`."""
        place, until = place_of(self.url), time.monotonic() + self.seconds
        line = http.client.HTTPConnection(place.host, place.port, timeout=self.seconds)
        try:
            headers = {"Content-Type": "application/json"}
            line.request("POST", place.path, body=request(images), headers=headers)
            answer = line.getresponse()
            body = self._read(answer, line, until)
        except TimeoutError:
            raise self._late() from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ModelError(
                f"{self.url} gives no answer ({said(error)}); start the service, and check the "
                "port."
            ) from None
        finally:
            line.close()
        if answer.status != 200:
            raise ModelError(
                f"{self.url} answered with status {answer.status} ({shown(body[:200])}); it has to "
                "answer a POST with 200 and JSON (docs/black-box.md)."
            )
        return reply(body, len(images), self.url)

    def _read(
        self, answer: http.client.HTTPResponse, line: http.client.HTTPConnection, until: float
    ) -> bytes:
        """The body; a service that sends it drop by drop has no more time than another."""
        body = bytearray()
        while piece := answer.read1(PIECE):
            body += piece
            if len(body) > LONGEST:
                raise ModelError(f"{self.url} answered more than 64 MiB; ask fewer at once.")
            left = until - time.monotonic()
            if left <= 0:
                raise self._late()
            if line.sock is not None:
                line.sock.settimeout(left)
        return bytes(body)

    def _late(self) -> ModelError:
        return ModelError(
            f"{self.url} did not answer within {self.seconds:g} seconds; raise --set "
            "model.timeout, or ask fewer images at once (--set task.batch)."
        )
