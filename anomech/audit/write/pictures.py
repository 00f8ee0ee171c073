"""Small pictures of what the report shows."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from anomech.kernel.types import Examples, Preview
from anomech.records import Mechanism, Verdict, write_bytes

FOLDER = "previews"
SUFFIX = {"image": ".png", "text": ".txt"}
NOTED = 6
"""Pictures of trusted examples that were left out, or should be looked at, for one reason."""


def save(
    out: Path,
    reference: Examples | None,
    inputs: Examples,
    shown: Sequence[Verdict],
    mechanisms: Sequence[Mechanism],
    noted: Mapping[str, str],
) -> tuple[dict[str, str], dict[str, str]]:
    """Write previews of the flags shown, their anchors, mechanisms and noted trusted examples.

    Without the trusted examples, as when judging by a profile, those have none.

    Returns:
        Paths inside the run folder by id, of trusted examples and of inputs.

    Raises:
        RunError: the disk is full.
    """
    anchors = [near.anchor for row in shown for near in row.evidence]
    central = [name for each in mechanisms for name in each.examples]
    return (
        {}
        if reference is None
        else _write(out, reference, list(dict.fromkeys([*anchors, *_few(noted)]))),
        _write(out, inputs, list(dict.fromkeys([*(row.id for row in shown), *central]))),
    )


def _few(noted: Mapping[str, str]) -> list[str]:
    """The first ids of every reason."""
    by_reason: dict[str, list[str]] = {}
    for name, why in noted.items():
        by_reason.setdefault(why, []).append(name)
    return [name for names in by_reason.values() for name in names[:NOTED]]


def _write(out: Path, examples: Examples, ids: Sequence[str]) -> dict[str, str]:
    wanted = set(ids)
    places = {name: place for place, name in enumerate(examples.ids) if name in wanted}
    return {name: keep(out, examples.preview(places[name])) for name in ids}


def keep(out: Path, preview: Preview) -> str:
    """Write one preview; its path inside the run folder, which its content decides."""
    digest = hashlib.blake2b(preview.data, digest_size=12).hexdigest()
    name = f"{FOLDER}/{digest}{SUFFIX[preview.kind]}"
    write_bytes(out / name, preview.data)
    return name
