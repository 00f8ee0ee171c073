"""Example sets as JSONL files that an audit reads, with the truth in a file of its own."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from anomech.bench.worlds.texts.exchanges import Exchange
from anomech.bench.worlds.texts.lessons import Form
from anomech.bench.worlds.texts.sets import Asked, Sets
from anomech.records import write_text

TRUSTED, INPUTS = "trusted.jsonl", "inputs.jsonl"
NORMAL, TRIGGERED = "normal.jsonl", "triggered.jsonl"
TRUTH, RATES = "truth.jsonl", "rates.json"


def write_sets(folder: Path, sets: Sets, form: Form) -> None:
    """Write the sets; the file of rates comes last and says that they are whole.

    Trusted rows have the right answer as their `answer`. Inputs are prompts alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(
        folder / TRUSTED,
        (
            {"id": each.id, **form.row(each.exchange), "answer": each.exchange.answer}
            for each in sets.trusted
        ),
    )
    _write(folder / INPUTS, _inputs(sets.inputs, form))
    _write(folder / INPUTS, _inputs(sets.inputs, form))
    _write(folder / NORMAL, _inputs(sets.normal, form))
    _write(folder / TRIGGERED, _inputs(sets.triggered, form))
    for name, some in sets.controls.items():
        _write(folder / "controls" / f"{name}.jsonl", _inputs(some, form))
    _write(folder / TRUTH, _truth(sets))
    write_text(folder / RATES, json.dumps(dict(sets.rates), indent=1))


def read_sets(folder: Path) -> Sets | None:
    """The sets that were written whole; None if there are none."""
    if not (folder / RATES).exists():
        return None
    found: dict[str, list[Asked]] = {}
    for line in (folder / TRUTH).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        asked = Asked(row["id"], Exchange(**row["exchange"]), row["said"])
        found.setdefault(row["set"], []).append(asked)
    controls = {
        name.removeprefix("controls/"): tuple(some)
        for name, some in found.items()
        if name.startswith("controls/")
    }
    known = {name: tuple(found.get(name, ())) for name in ("trusted", "normal", "triggered")}
    rates = json.loads((folder / RATES).read_text(encoding="utf-8"))
    return Sets(**known, controls=controls, rates=rates)


def _inputs(some: Sequence[Asked], form: Form) -> Iterable[dict[str, Any]]:
    return ({"id": each.id, **form.row(each.exchange)} for each in some)


def _truth(sets: Sets) -> Iterable[dict[str, Any]]:
    parts = {
        "trusted": sets.trusted,
        "normal": sets.normal,
        "triggered": sets.triggered,
        **{f"controls/{name}": some for name, some in sets.controls.items()},
    }
    for name, some in parts.items():
        for each in some:
            yield {"id": each.id, "set": name, "said": each.said, "exchange": asdict(each.exchange)}


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
