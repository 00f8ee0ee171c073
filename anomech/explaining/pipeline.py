"""The explanation of flags: the run's plan, its inputs, explainer by explainer, write."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from anomech.audit.load import provenance
from anomech.audit.load.loading import load
from anomech.audit.load.provenance import now
from anomech.audit.plan import from_mapping, read_plan
from anomech.audit.write.pictures import keep
from anomech.audit.write.place import is_empty, locked, sweep
from anomech.data.subset import Subset
from anomech.explaining.choosing import Chosen, choose
from anomech.explaining.pictures import laid_over
from anomech.explaining.ranking import Units, by_place, gathered, top_units
from anomech.kernel import plugins
from anomech.kernel.errors import CapabilityError, ConfigError, RunError
from anomech.kernel.types import Progress
from anomech.observing.observed import Observed, observe
from anomech.observing.preparing import prepared
from anomech.records import (
    ExplainedRun,
    ExplainerResult,
    PaintedInput,
    Plane,
    Run,
    ShownInput,
    Verdict,
    digests,
    read_record,
    read_rows,
    write_record,
)
from anomech.report.explaining.render import render
from anomech.roles.explainer import Explainer, Explanation
from anomech.roles.task import Depicting, Pictures, able, missing

TOP = "explanation.json"
SHOWN = 8
"""Inputs whose maps are shown."""

DEFAULT = (
    "shared_change",
    "smallest_mask",
    "salience",
    "ablation_effect",
    "patching_effect",
    "activation_difference",
    "activation_frequency",
    "mutual_information",
    "conductance",
    "state_views",
    "activation_maximization",
    "sparse_dictionary",
)
"""What runs if nothing else is asked for; those that the model cannot serve are left out."""


def explain(
    folder: Path, what: Sequence[str], names: Sequence[str], out: Path, progress: Progress
) -> ExplainedRun:
    """Explain flagged inputs of a finished run, and write a folder.

    Args:
        folder: of a run that `anomech audit` wrote, whose paths still lead to the same content.
        what: see `anomech.explaining.choosing.choose`.
        names: of explainers; empty are the default ones.
        out: a new folder, or one of an earlier explanation.
        progress: told about every stage.

    Raises:
        RunError: it is no finished run, or its model or examples changed since.
        ConfigError: no such mechanism, input or explainer, or none of them can run.
        DataError: nothing was flagged.
    """
    started, clock = now(), time.monotonic()
    run = read_record(folder / "run.json", Run)
    if run.status != "complete":
        raise RunError(f"{folder} holds no finished run; finish it by the same audit command.")
    methods = {name: _method(name) for name in names or DEFAULT}
    chosen = choose(run, read_rows(folder / "verdicts.jsonl", Verdict), what)
    flagged, trusted = _observed(folder, run, chosen, progress)
    with locked(out):
        if not is_empty(out) and not (out / TOP).exists():
            raise RunError(f"{out} is not empty and holds no explanation; choose another --out.")
        sweep(out)
        results, said = list[ExplainerResult](), dict[str, Units]()
        for name, method in methods.items():
            result, units = _explained(name, method, flagged, trusted, out, progress)
            results.append(result)
            if units:
                said[name] = units
        if all(each.why for each in results):
            raise ConfigError(f"no explainer can run on this model: {results[0].why}")
        record = ExplainedRun(
            title=run.title,
            about=chosen.words,
            inputs=len(flagged),
            answers=dict(Counter(flagged.task.words(flagged.answers)).most_common(5)),
            started=started,
            seconds=time.monotonic() - clock,
            shown=_shown(flagged, out),
            explainers=tuple(results),
            top=top_units(said),
            files=digests(out),
        )
        write_record(out / TOP, record)
        render(out)
    return record


def _method(name: str) -> Explainer:
    made: Explainer = plugins.get("explainer", name)()
    return made


def _observed(
    folder: Path, run: Run, chosen: Chosen, progress: Progress
) -> tuple[Observed, Observed]:
    """The chosen inputs and the trusted examples, with the model's answers."""
    plan = from_mapping(read_plan(folder / "plan.yaml"))
    if plan.profile:
        raise ConfigError(
            "the run was judged by a profile, which holds no trusted examples; audit again with "
            "--reference PATH to explain its flags."
        )
    loaded = load(plan, progress)
    if changed := provenance.changed(run, loaded):
        raise RunError(
            f"since the run {' and '.join(changed)} changed, so its flags cannot be explained; "
            "audit again."
        )
    assert loaded.reference is not None
    task = prepared(loaded.task, loaded.reference)
    place = {name: number for number, name in enumerate(loaded.inputs.ids)}
    places = np.array([place[name] for name in chosen.ids], np.int64)
    flagged = observe(task, Subset(loaded.inputs, places), progress=progress)
    return flagged, observe(task, loaded.reference, progress=progress)


def _explained(
    name: str,
    method: Explainer,
    flagged: Observed,
    trusted: Observed,
    out: Path,
    progress: Progress,
) -> tuple[ExplainerResult, Units]:
    """What one explainer says; nothing if this model or these inputs cannot serve it."""
    if lacking := missing(method.needs, flagged.task):
        why = f"this {flagged.task.kind} does not give {' and '.join(lacking)}."
        return ExplainerResult(name=name, why=why), {}
    clock = time.monotonic()
    try:
        found = method.explain(flagged, trusted, seed=0, progress=progress)
    except CapabilityError as error:
        return ExplainerResult(name=name, why=str(error)), {}
    result = ExplainerResult(
        name=name,
        units=sum(len(each) for each in found.units.values()),
        concentration=gathered(found.units),
        places=by_place(found.units),
        maps=_maps(found, flagged, out),
        planes=tuple(
            Plane(words=each.words, flagged=_points(each.flagged), trusted=_points(each.trusted))
            for each in found.views
        ),
        painted=_painted(found, flagged, out),
        facts=dict(found.facts or {}),
        problems=tuple(found.health.problems),
        seconds=time.monotonic() - clock,
    )
    return result, found.units


def _points(rows: Tensor) -> tuple[tuple[float, float], ...]:
    """Points `[n, 2]` with the digits that a drawing shows."""
    return tuple((round(x, 4), round(y, 4)) for x, y in rows.tolist())


def _painted(found: Explanation, flagged: Observed, out: Path) -> tuple[PaintedInput, ...]:
    if Depicting not in flagged.task.provides:
        return ()
    depict = able(flagged.task, Depicting).depict
    return tuple(
        PaintedInput(words=each.words, preview=keep(out, depict(each.points)))
        for each in found.painted
    )


def _maps(found: Explanation, flagged: Observed, out: Path) -> tuple[str, ...]:
    able_to_show = {Pictures, Depicting} <= flagged.task.provides
    if found.maps is None or found.maps.ndim != 3 or not able_to_show:
        return ()
    first = np.arange(min(SHOWN, len(flagged)))
    batch: Any = flagged.examples.load(first)
    return laid_over(flagged.task, batch, found.maps[: len(first)], out)


def _shown(flagged: Observed, out: Path) -> tuple[ShownInput, ...]:
    words = flagged.task.words(flagged.answers)
    return tuple(
        ShownInput(
            id=flagged.examples.ids[place],
            answer=words[place],
            preview=keep(out, flagged.examples.preview(place)),
        )
        for place in range(min(SHOWN, len(flagged)))
    )
