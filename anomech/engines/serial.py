"""Serial: every piece in this process, one after the other.

Belief: where memory or patience is not short, the simplest way is the best one.
Needs: nothing.
Cost: none. A piece is taken when its result is asked for, so one is held at a time.
Fails when: never on its own. It leaves the number of threads as it is; sums over several threads
may round otherwise than on one, which is what the other engines use. For the same numbers to the
last bit set `torch.set_num_threads(1)`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from anomech.kernel.config import options


@options
class Serial:
    """In this process, one piece after the other."""

    def map(
        self, function: Callable[[Any, Any], Any], shared: Any, pieces: Iterable[Any]
    ) -> Iterator[Any]:
        """See `anomech.kernel.types.Engine.map`."""
        for piece in pieces:
            yield function(shared, piece)
