"""The audit: fit on trusted examples, judge inputs chunk by chunk, write a run folder.

Memory does not grow with the number of inputs: pixels come in and rows go out a chunk at a time,
and a finished chunk lives in the run folder only.
"""

import shutil
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from anomech.audit.judge.code import judging_code
from anomech.audit.judge.fitting import Fitted, fit
from anomech.audit.judge.inputs import judge_inputs
from anomech.audit.judge.tally import decide
from anomech.audit.load import provenance
from anomech.audit.load.loading import Loaded, check_named, load, load_trusted
from anomech.audit.plan import Plan, fitting_options
from anomech.audit.profile import kept_profile, read_profile, write_profile
from anomech.audit.sensitivity.measuring import check_triggers, measured
from anomech.audit.sensitivity.noticed import unknown
from anomech.audit.sensitivity.worth import worth
from anomech.audit.write import results
from anomech.audit.write.folder import PROFILE, WORK, noted, open_folder
from anomech.audit.write.place import locked
from anomech.audit.write.record import record
from anomech.engines.serial import Serial
from anomech.kernel.errors import CapabilityError, RunError
from anomech.kernel.types import Engine, Examples, Progress
from anomech.records import Run, write_findings, write_record
from anomech.report.run.render import render
from anomech.roles.task import Stamping, Task
from anomech.storage.code import NUMBERLESS, code_digest


def audit(
    plan: Plan, out: Path, progress: Progress, *, engine: Engine | None = None, workers: int = 0
) -> Run:
    """Run a plan from files, or resume it, and write its folder.

    Args:
        plan: resolved, see `anomech.audit.plan.from_mapping`.
        out: the run folder; one that holds an unfinished run of the same plan is resumed.
        progress: told about every stage.
        engine: where chunks are judged; None is here.
        workers: processes that decode image files ahead; 0 decodes here. They change no number.

    Returns:
        The top record; its status says whether verdicts could be given.

    Raises:
        RunError: the folder belongs to another plan, or to the same one with other content.
        AnomechError: bad input; the folder then holds the reason.
        KeyboardInterrupt: what is done stays.
    """
    check_named(plan)
    with locked(out):
        finished = open_folder(plan, out)
        if finished is not None:
            # The same paths may lead to other content by now, and its verdicts are not these.
            changed = provenance.changed(finished, load(plan, progress, workers))
            if changed:
                raise RunError(
                    f"{out} holds a finished run of this plan, but since then "
                    f"{' and '.join(changed)} changed; choose another --out."
                )
            return finished
        with noted(plan, out):
            loaded = load(plan, progress, workers)
            return judge(plan, loaded, out, progress, engine=engine, workers=workers)


def fit_profile(
    plan: Plan,
    path: Path,
    progress: Progress,
    *,
    engine: Engine | None = None,
    workers: int = 0,
) -> Fitted:
    """Fit a plan's detectors to its trusted examples and write them as a profile.

    Args:
        plan: resolved; it need not name inputs.
        path: of the profile.
        progress: told about every stage.
        engine: where independent chains run; None is here.
        workers: processes that decode image files ahead; 0 decodes here.

    Raises:
        Inconclusive: too few trusted examples for the budget.
        CapabilityError: a detector cannot be fitted, or what it learns cannot be saved.
        RunError: the file cannot be written.
        AnomechError: bad input.
    """
    task, reference, _ = load_trusted(plan, progress, workers)
    fitted = _fit(plan, task, reference, 0, progress, engine)
    write_profile(path, fitted, fitting_options(plan))
    return fitted


def judge(
    plan: Plan,
    loaded: Loaded,
    out: Path,
    progress: Progress,
    *,
    engine: Engine | None = None,
    workers: int = 0,
) -> Run:
    """The audit of what is already loaded, into a folder that `open_folder` made ready."""
    started, clock = provenance.now(), time.monotonic()
    fitted = _fitted(plan, loaded, out / PROFILE, progress, engine)
    tally = judge_inputs(
        plan, loaded, fitted, out / WORK, progress, engine=engine or Serial(), workers=workers
    )
    outcome = decide(tally, plan.budget, plan.control)
    kept = results.Kept(plan, loaded, fitted, out, tally, outcome)
    mechanisms, numbers = results.mechanisms(kept)
    results.write(kept, mechanisms, numbers, progress)
    write_findings(out / "findings.json", results.findings_of(kept, mechanisms))
    seconds = time.monotonic() - clock
    run = record(kept, mechanisms, started=started, seconds=seconds)
    write_record(out / "run.json", run)
    render(out)
    shutil.rmtree(out / WORK, ignore_errors=True)
    return run


def _fitted(
    plan: Plan, loaded: Loaded, kept: Path, progress: Progress, engine: Engine | None
) -> Fitted:
    """Detectors from the plan's profile, from what this run has kept of them, or fitted now."""
    if loaded.reference is None:
        return _informed(plan, read_profile(Path(plan.profile), loaded.task, loaded.model)[0])
    code = judging_code(plan)
    if plan.sensitivity.asked != "never":
        planting = code_digest("anomech.audit.sensitivity.measuring", apart_from=NUMBERLESS)
        code = f"{code} {planting}"
    basis = provenance.basis(loaded.model, loaded.reference.digests(), code)
    if (found := kept_profile(kept, loaded.task, basis, loaded.model)) is not None:
        return found
    count = len(loaded.inputs)
    fitted = _fit(plan, loaded.task, loaded.reference, count, progress, engine)
    if len(loaded.inputs) > plan.chunk:  # a run of a single chunk has nothing to come back to
        with suppress(CapabilityError):  # what cannot be saved is fitted again by a resumed run
            write_profile(kept, fitted, {}, basis, loaded.model)
    return fitted


def _fit(
    plan: Plan,
    task: Task,
    reference: Examples,
    inputs: int,
    progress: Progress,
    engine: Engine | None,
) -> Fitted:
    """Detectors, and what they would have caught if the plan asks for it or it costs little."""
    how = plan.sensitivity
    plants = Stamping in task.provides
    if how.asked == "always" and plants:
        check_triggers(task, how)
    fitted = fit(plan, task, reference, progress, engine)
    if how.asked == "never" or (
        how.asked == "auto" and not (plants and worth(fitted, inputs, how))
    ):
        return fitted
    return measured(fitted, reference, how, seed=plan.seed, progress=progress, engine=engine)


def _informed(plan: Plan, fitted: Fitted) -> Fitted:
    """Detectors of a profile; a plan that asks for what it does not hold is told so."""
    said = any(each.code == "sensitivity-unknown" for each in fitted.noticed)
    if plan.sensitivity.asked != "always" or fitted.sensitivity or said:
        return fitted
    why = "that takes trusted examples, and the profile was fitted without --sensitivity."
    return replace(fitted, noticed=(*fitted.noticed, unknown(why)))
