"""Calls into a user's network: what it raises becomes a sentence, and it may be given a limit."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from anomech.kernel.errors import ConfigError, ModelError, answered
from anomech.kernel.types import Overlay


def called(
    network: nn.Module, overlay: Overlay, images: Tensor, seconds: float, *, tied: bool
) -> Any:
    """What a network gives for images `[batch, c, h, w]`.

    Args:
        network: in the mode it is to run in.
        overlay: laid over its tensors.
        images: for its forward.
        seconds: that it may take; 0 is no limit.
        tied: whether some of its tensors have several names; to find that out takes longer than a
            small network does.

    Raises:
        ModelError: it raised something, or took longer.
        ConfigError: there are no time limits here.
    """

    def run() -> Any:
        with time_limit(seconds):
            return functional_call(network, dict(overlay), (images,), tie_weights=tied)

    return answered(
        run,
        lambda what: ModelError(
            f"the model cannot take images of {images.shape[2]}x{images.shape[3]} pixels and "
            f"{images.shape[1]} channels: its forward raised {what}; check the image size, the "
            "channels and that the factory and the weights belong together."
        ),
    )


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop what is inside after so many seconds; 0 is no limit.

    It rests on an alarm of the system, which Python answers between two of its own instructions:
    an endless loop in a network's code is stopped, one call that hangs inside a compiled kernel is
    not stopped before it returns.

    Raises:
        ModelError: the time is over.
        ConfigError: this system or this thread gets no alarms.
    """
    if not seconds:
        yield
        return
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        raise ConfigError(
            "a time limit for passes needs an alarm, which only the main thread of a process on "
            "Linux or macOS gets; leave the limit at 0 here."
        )

    def over(number: int, frame: FrameType | None) -> None:
        raise _Over

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _Over:
        raise ModelError(
            f"one pass of the model took longer than the limit of {seconds:g} seconds; raise the "
            "limit, or look for a loop without end in its forward."
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Over(BaseException):
    """Not an `Exception`, so that a network that catches those does not go on."""
