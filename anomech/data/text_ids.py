"""Names of rows of texts."""

from collections.abc import Sequence

from anomech.data.compact import numbered, repeated
from anomech.kernel.errors import DataError, shortened


def checked_names(given: list[str], where: str) -> Sequence[str]:
    """Unique names of rows; numbers where no row has one.

    Raises:
        DataError: a name comes twice, or only some rows have one.
    """
    if not any(given):
        return numbered(len(given))
    if (name := repeated(given)) is not None or not all(given):
        what = f"the id '{shortened(name)}' more than once" if name else "some rows no id"
        raise DataError(f"{where} gives {what}; give every row its own, or none.")
    return tuple(given)
