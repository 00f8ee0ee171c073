"""Work for engines: functions that a worker can import."""

import os
import signal
import threading
import time
from pathlib import Path

import torch

from anomech.kernel.errors import DataError, UnsafeCheckpoint
from anomech.kernel.randomness import torch_generator


def double(shared, piece):
    return shared * piece


def call(model, piece):
    return model(piece)


def multiply(weights, place):
    """A sum whose last bits depend on the number of threads."""
    batch = torch.randn(64, weights.shape[0], generator=torch_generator(0, "piece", place))
    return (batch @ weights).tanh().sum(dim=0), torch.linalg.norm(batch @ weights)


def threads(shared, piece):
    return torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]


def fail_at(places, piece):
    if piece in places:
        raise DataError(f"piece {piece} is damaged; leave it out.")
    return piece


def unsafe(shared, piece):
    raise UnsafeCheckpoint("the file asks for posix.system.", ("posix.system",))


class StubbornError(Exception):
    """Pickled from its message, it cannot be made again."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def stubborn(shared, piece):
    raise StubbornError("this", "that")


def lock(shared, piece):
    return threading.Lock()


class Counted:
    """Writes down each time it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __setstate__(self, state):
        self.__dict__.update(state)
        (Path(self.folder) / f"{os.getpid()}-{time.monotonic_ns()}").touch()


def who(counted, piece):
    return os.getpid()


def die_once(folder, piece):
    """The worker of piece 2 is killed in the middle, the first time."""
    marker = Path(folder) / "died"
    if piece == 2 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return piece, torch.arange(3) * piece


def die(shared, piece):
    if piece == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return piece


def meet(folder, piece):
    """Wait until another piece runs beside this one; which node each ran on."""
    import ray

    (Path(folder) / str(piece)).touch()
    for _ in range(600):
        if len(list(Path(folder).iterdir())) > 1:
            break
        time.sleep(0.05)
    return ray.get_runtime_context().get_node_id()


def hang(folder, piece):
    """Say that it runs, and never end."""
    (Path(folder) / str(os.getpid())).touch()
    threading.Event().wait()
