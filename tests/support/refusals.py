"""What a refusal must look like, whatever was refused."""

from collections.abc import Callable

from anomech.kernel.errors import AnomechError


def refusal(call: Callable[[], object]) -> AnomechError | None:
    """The error by which a call refuses its input, one short sentence; None if it does not.

    Any other exception fails the test.
    """
    caught = None
    try:
        call()
    except AnomechError as error:
        caught = error
    if caught is not None:
        assert 0 < len(str(caught)) <= 1100
        assert "\n" not in str(caught)
    return caught
