"""A pickle machine that follows every instruction and carries none out.

Pickle has no jumps: one walk over the instructions sees exactly what a real machine would do, in
the same order and on the same stack. So the names it meets are those that loading would import,
each of them and no other, whatever is popped, duplicated or fetched from the memo. Memory and time
grow with the number of instructions, because a call only becomes a node.
"""

from typing import BinaryIO

from anomech.artefacts.inert.instructions import LITERALS, READERS, STEPS, literal
from anomech.artefacts.inert.nodes import Damaged, Node, Refused, Stack

MAX_STEPS = 2**22
"""Instructions that are followed in one file; a network of a thousand tensors has some 40,000."""


class Machine:
    """Follows pickles one after the other.

    Attributes:
        names: globals that were met, in order.
        left: instructions that may still be followed.
    """

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.names: dict[str, None] = {}
        self.left = steps

    def run(self, stream: BinaryIO) -> Node:
        """Follow one pickle to its end; the stream is left behind it.

        Raises:
            Damaged: an instruction that is unknown, cut off or finds nothing to work on.
            Refused: more instructions than are followed.
        """
        stack = Stack(self.names)
        try:
            while code := stream.read(1):
                self.left -= 1
                if self.left < 0:
                    raise Refused(f"has more than {MAX_STEPS} instructions")
                name, read = READERS[code]
                if name == "STOP":
                    return stack.nodes.pop()
                argument = read(stream) if read is not None else None
                if name in LITERALS:
                    stack.nodes.append(literal(argument))
                else:
                    STEPS[name](stack, argument)
        except (IndexError, KeyError, ValueError, OverflowError):
            raise Damaged("is damaged") from None
        raise Damaged("ends early")
