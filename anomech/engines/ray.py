"""Ray: workers on a Ray cluster, each on one thread.

Belief: pieces that are independent here are independent on other machines.
Needs: Ray (`pip install 'anomech[ray]'`), and on every machine of the cluster this package in the
same version, with what it imports. The file that builds a network is sent along; packages that it
imports must be there too.
Cost: some seconds to join or start a cluster; what all pieces share goes to each machine once and
is unpacked in each worker once. Results that come too early wait in the cluster's memory, a bounded
number of them.
Fails when: machines differ. On processors of one kind the numbers are those of the serial engine on
one thread to the last bit; other instruction sets may round otherwise.
A worker or machine that dies is replaced and its pieces tried again, up to `retries` times. Only a
cluster that was started here ends here; a connection that the program has already made is used as
it is, whatever the address.
"""

import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from itertools import islice
from typing import Any

from anomech.engines._parcels import (
    Job,
    attempt,
    one_thread,
    opened,
    pack,
    pack_job,
    unpack,
    usable_cores,
)
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError, RunError

PATIENCE = 10.0
"""Seconds that a cluster has to answer at its address."""


@options
class Ray:
    """Workers on a Ray cluster."""

    address: str = option(
        "", "cluster to join: auto or HOST:PORT; empty starts one on this machine"
    )
    cpus_per_piece: float = option(1.0, "cores set aside for a piece", unit="cores", gt=0)
    gpus_per_piece: float = option(0.0, "graphics cards set aside for a piece", unit="GPUs", ge=0)
    ahead: int = option(
        2, "pieces taken at once for each that can run", unit="pieces", ge=1, le=1024
    )
    retries: int = option(2, "times a piece is tried again after its worker died", ge=0, le=1024)

    def map(
        self, function: Callable[[Any, Any], Any], shared: Any, pieces: Iterable[Any]
    ) -> Iterator[Any]:
        """See `anomech.kernel.types.Engine.map`; what still runs is canceled with the iterator.

        Raises:
            ConfigError: Ray is not installed, no cluster answers or none of its machines is large
                enough; or the function, or what is shared, cannot be pickled.
            RunError: workers die again and again.
        """
        ray = _library()
        return self._results(ray, pack_job(function, shared), pieces)

    def _results(self, ray: Any, job: bytes, pieces: Iterable[Any]) -> Iterator[Any]:
        source = iter(pieces)
        flying: deque[Any] = deque()
        with _cluster(ray, self.address):
            task = ray.remote(_run).options(
                num_cpus=self.cpus_per_piece,
                num_gpus=self.gpus_per_piece,
                max_retries=self.retries,
            )
            shared = ray.put(job)
            try:
                while True:
                    # Asked each time: machines may join while the work goes on.
                    window = self.ahead * self._room(ray)
                    for piece in islice(source, max(0, window - len(flying))):
                        # In a list Ray passes the reference on instead of what it refers to.
                        flying.append(task.remote([shared], pack(piece, "a piece of work")))
                    if not flying:
                        return
                    outcome = _fetched(ray, flying[0], self.retries)
                    flying.popleft()
                    yield opened(outcome)
            finally:
                for reference in flying:
                    ray.cancel(reference, force=True)

    def _room(self, ray: Any) -> int:
        """Pieces that can run at once."""
        room = 0
        for node in ray.nodes():
            if node["Alive"]:
                has = node["Resources"]
                fit = has.get("CPU", 0) // self.cpus_per_piece
                if self.gpus_per_piece:
                    fit = min(fit, has.get("GPU", 0) // self.gpus_per_piece)
                room += int(fit)
        if not room:
            raise ConfigError(
                f"no machine of the Ray cluster has {self.cpus_per_piece:g} cores and "
                f"{self.gpus_per_piece:g} GPUs for a piece; lower cpus_per_piece or "
                "gpus_per_piece, or add a machine."
            )
        return room


def _run(shared: list[Any], piece: bytes) -> bytes:
    """A piece, in a worker."""
    return attempt(partial(_job, shared[0]), piece)


@lru_cache(maxsize=1)
def _job(reference: Any) -> Job:
    """What all pieces share; a worker unpacks it for its first piece and keeps it."""
    one_thread()
    return unpack(_library().get(reference))


def _library() -> Any:
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "the ray engine needs Ray; install it with `pip install 'anomech[ray]'`."
        ) from None
    return ray


@contextmanager
def _cluster(ray: Any, address: str) -> Iterator[None]:
    """A connection to the cluster; one that was there before stays."""
    if ray.is_initialized():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        _connect(ray, address)
        yield
    finally:
        ray.shutdown()
        with suppress(ValueError):  # only the main thread may, and only there Ray takes it over
            signal.signal(signal.SIGTERM, before)


def _connect(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not address:
        # Workers here find what this process finds.
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            ray.init(
                "local",
                num_cpus=usable_cores(),
                include_dashboard=False,
                runtime_env={"env_vars": paths},
                **quiet,
            )
        except Exception as error:  # of many kinds, mostly that the machine is too busy for it
            raise RunError(
                f"Ray did not start on this machine ({' '.join(str(error).split())}); try again "
                "when it is less busy, or use the processes engine."
            ) from error
        return
    if address != "auto":
        _knock(address)
    try:
        ray.init(address, **quiet)
    except Exception as error:  # of many kinds: no cluster, another version, no permission
        raise ConfigError(
            f"the Ray cluster at '{address}' cannot be joined ({' '.join(str(error).split())}); "
            "start one with `ray start --head`, or leave the address empty."
        ) from error


def _knock(address: str) -> None:
    """Ray itself tries an address for two minutes and then ends the process."""
    host, _, port = address.rpartition(":")
    with suppress(OSError, ValueError, OverflowError):
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
        return
    raise ConfigError(
        f"no Ray cluster answers at '{address}'; give auto or the HOST:PORT that "
        "`ray start --head` printed, or leave the address empty."
    )


def _fetched(ray: Any, reference: Any, retries: int) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise RunError(
            f"a piece of work was lost on the Ray cluster after {retries} retries "
            f"({type(error).__name__}: {first}); if memory is short, use more cpus_per_piece or "
            "smaller pieces."
        ) from error
