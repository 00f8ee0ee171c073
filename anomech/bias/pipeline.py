"""A look at bias: the model's answers by group, its states, and its salience; then write."""

import csv
import io
import time
from pathlib import Path

import numpy as np
import torch

from anomech.audit.load.fingerprints import fingerprint
from anomech.audit.load.loading import load_trusted
from anomech.audit.load.provenance import now
from anomech.audit.plan import Plan
from anomech.audit.write.place import is_empty, locked, sweep
from anomech.bias.given import read_groups, read_masks
from anomech.bias.measures import FEWEST, accuracies, cells, definitions, interval
from anomech.bias.probing import outside, probe
from anomech.explainers.salience import Salience
from anomech.kernel.errors import DataError, RunError
from anomech.kernel.types import Progress
from anomech.observing.activations import pooled_activations
from anomech.observing.observed import Observed, observe
from anomech.observing.preparing import prepared
from anomech.records import digests, write_record, write_text
from anomech.records.bias import (
    BiasRun,
    CellRow,
    DefinitionRow,
    GroupRow,
    ProbeRow,
    SalienceRow,
)
from anomech.report.bias.render import render
from anomech.roles.task import Activations, Layers, Logits, Pictures, able

TOP = "bias.json"

PLACES = 4
"""Between layers that are probed, spread over the depth."""

MOST = 4000
"""Examples that are probed at the most."""

LOOKED_AT = 400
"""Examples whose salience is looked at, at the most."""

BEYOND = 0.1
"""Balanced accuracy beyond the control's from which a probe is said to read the group."""


def look(
    plan: Plan,
    groups: Path,
    column: str,
    masks: Path | None,
    out: Path,
    progress: Progress,
    workers: int = 0,
) -> BiasRun:
    """Look at bias of a plan's model on its reference examples, and write a folder.

    Args:
        plan: names a model and labeled examples.
        groups: CSV file of the groups, see `anomech.bias.given.read_groups`.
        column: of the groups; empty is the first.
        masks: where the object is in each picture; None looks at no salience.
        out: a new folder, or one of an earlier look.
        progress: told about every stage.
        workers: processes that decode image files ahead.

    Raises:
        DataError: examples without labels, or groups or masks that do not fit.
        RunError: the folder holds something else.
    """
    started, clock = now(), time.monotonic()
    task, examples, title = load_trusted(plan, progress, workers)
    if examples.labels is None or examples.labels.ndim != 1:
        raise DataError("the examples have no labels of classes; fairness compares with them.")
    places, names, attribute = read_groups(groups, column, list(examples.ids))
    task = prepared(task, examples)
    seen = observe(task, examples, progress=progress)
    given = _masks(seen, masks)
    labels, answers = examples.labels, task.groups(seen.answers).numpy()
    kept = places >= 0
    right = task.agrees(seen.answers, labels).numpy()
    with locked(out):
        _claim(out)
        probes = _probes(seen, places, labels, plan.seed, progress)
        run = BiasRun(
            title=title,
            attribute=attribute,
            started=started,
            seconds=0.0,
            examples=len(examples),
            ungrouped=int((~kept).sum()),
            accuracy=float(right[kept].mean()),
            groups=_groups(right[kept], places[kept], names),
            cells=_cells(seen, answers[kept], labels[kept], places[kept], names),
            definitions=_definitions(seen, answers[kept], labels[kept], places[kept], names),
            probes=probes,
            salience=_salience(seen, given, places, names, right, progress),
            remarks=_remarks(probes, places[kept], names),
            model=fingerprint(task),
        )
        write_text(out / "groups.csv", _listed(seen, places, names))
        ended = {"files": digests(out), "seconds": time.monotonic() - clock}
        run = run.model_copy(update=ended)
        write_record(out / TOP, run)
        render(out)
    return run


def _claim(out: Path) -> None:
    """Make a folder ready.

    Raises:
        RunError: it holds something else.
    """
    if not is_empty(out) and not (out / TOP).exists():
        raise RunError(f"{out} is not empty and holds no look at bias; choose another --out.")
    sweep(out)


def _masks(seen: Observed, path: Path | None) -> np.ndarray | None:
    """Where the object is in each picture, bool `[examples, h, w]`; None if nobody says.

    Raises:
        DataError: they do not fit, or the model shows no salience.
    """
    if path is None:
        return None
    if not {Pictures, Logits, Layers} <= seen.task.provides:
        raise DataError("salience needs a model of pictures with layers; leave --masks out.")
    first = able(seen.task, Pictures).embed(seen.examples.load(np.arange(1)))
    return read_masks(path, seen.examples, (first.shape[2], first.shape[3]))


def _groups(right: np.ndarray, places: np.ndarray, names: list[str]) -> tuple[GroupRow, ...]:
    rows = []
    for place, share in accuracies(right.astype(np.int64), np.ones(len(right)), places).items():
        count = int((places == place).sum())
        low, high = interval(round(share * count), count)
        rows.append(
            GroupRow(group=names[place], examples=count, accuracy=share, low=low, high=high)
        )
    return tuple(sorted(rows, key=lambda row: row.accuracy))


def _cells(
    seen: Observed, answers: np.ndarray, labels: np.ndarray, places: np.ndarray, names: list[str]
) -> tuple[CellRow, ...]:
    rows = [
        CellRow(
            group=names[place],
            label=seen.task.label_words(np.array([label]))[0],
            examples=count,
            accuracy=share,
        )
        for (place, label), (count, share) in cells(answers, labels, places).items()
    ]
    return tuple(sorted(rows, key=lambda row: (row.accuracy, row.label)))


def _definitions(
    seen: Observed, answers: np.ndarray, labels: np.ndarray, places: np.ndarray, names: list[str]
) -> tuple[DefinitionRow, ...]:
    rows = []
    for name, gap in definitions(answers, labels, places).items():
        if gap is None:
            rows.append(DefinitionRow(name=name))
            continue
        worst = "" if gap.worst < 0 else seen.task.label_words(np.array([gap.worst]))[0]
        rows.append(
            DefinitionRow(
                name=name,
                gap=gap.value,
                mean=gap.mean,
                worst=worst,
                low=names[gap.low],
                high=names[gap.high],
            )
        )
    return tuple(rows)


def _probes(
    seen: Observed, places: np.ndarray, labels: np.ndarray, seed: int, progress: Progress
) -> tuple[ProbeRow, ...]:
    """What states tell of the group, from the first layers to the last."""
    if Activations not in seen.task.provides:
        return ()
    kept = np.flatnonzero(places >= 0)[:MOST]
    _, counts = np.unique(places[kept], return_counts=True)
    if len(counts) < 2 or counts.min() < FEWEST:
        return ()
    known = list(able(seen.task, Activations).points())
    chosen = np.unique(np.linspace(0, len(known) - 1, PLACES).round().astype(int))
    names = [known[number] for number in chosen]
    states = pooled_activations(seen.take(kept), progress, names)
    rows = []
    for number, name in enumerate(names, start=1):
        found = probe(states[name], places[kept], labels[kept], seed=seed)
        rows.append(
            ProbeRow(
                place=name,
                told=found.told,
                control=found.control,
                left=found.left,
                silhouette=found.silhouette,
            )
        )
        progress("probing for groups", number, len(names))
    return tuple(rows)


def _salience(
    seen: Observed,
    masks: np.ndarray | None,
    places: np.ndarray,
    names: list[str],
    right: np.ndarray,
    progress: Progress,
) -> tuple[SalienceRow, ...]:
    """Salience outside of the object by group, and of right and wrong answers; empty unmasked."""
    if masks is None:
        return ()
    kept = np.flatnonzero(places >= 0)
    kept = kept[np.unique(np.linspace(0, len(kept) - 1, LOOKED_AT).round().astype(int))]
    some = seen.take(kept)
    found = Salience().explain(some, some, seed=0, progress=progress)
    assert found.maps is not None, "salience gives maps"
    shares = outside(found.maps, torch.from_numpy(masks[kept])).numpy()
    areas = 1 - masks[kept].reshape(len(kept), -1).mean(axis=1)
    who = [(names[place], places[kept] == place) for place in range(len(names))]
    who += [("rightly answered", right[kept]), ("wrongly answered", ~right[kept])]
    return tuple(
        SalienceRow(
            who=name,
            examples=int(here.sum()),
            outside=float(shares[here].mean()),
            area=float(areas[here].mean()),
        )
        for name, here in who
        if here.any()
    )


def _remarks(probes: tuple[ProbeRow, ...], places: np.ndarray, names: list[str]) -> tuple[str, ...]:
    """What a person should know, in sentences."""
    found = []
    counts = {name: int((places == place).sum()) for place, name in enumerate(names)}
    if few := [name for name, count in counts.items() if count < FEWEST]:
        found.append(
            f"{', '.join(few[:5])}: fewer than {FEWEST} examples, too few for rates to be compared."
        )
    chance = 1 / len(names)
    if probes and probes[-1].told > max(probes[-1].control, chance) + BEYOND:
        last = probes[-1]
        found.append(
            f"The states at {last.place} tell the group: a linear probe reaches a balanced "
            f"accuracy of {last.told:.2f}, {last.control:.2f} where groups are dealt out anew."
        )
        if last.left > max(last.control, chance) + BEYOND:
            found.append(
                "Proxies: when the directions of that probe are taken out, a second one still "
                f"reaches {last.left:.2f}. To leave the group out of the inputs would not keep the "
                "model from knowing it."
            )
    return tuple(found)


def _listed(seen: Observed, places: np.ndarray, names: list[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "group", "label", "answer"])
    labels = seen.examples.labels
    assert labels is not None, "look() asked for labels"
    words = zip(seen.task.label_words(labels), seen.task.words(seen.answers), strict=True)
    for name, place, (label, answer) in zip(seen.examples.ids, places, words, strict=True):
        writer.writerow([name, names[place] if place >= 0 else "", label, answer])
    return text.getvalue()
