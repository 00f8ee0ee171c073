"""A federated run: methods one after the other on the same clients, in a folder that resumes."""

import hashlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import yaml

from anomech.audit.settings import difference
from anomech.audit.write.place import locked
from anomech.engines.serial import Serial
from anomech.federated.clients import Federation, read_clients
from anomech.federated.keeping import read_state, save_state
from anomech.federated.local import Shared
from anomech.federated.measuring import measured
from anomech.federated.plan import Method, Plan, as_yaml
from anomech.federated.server import run_rounds
from anomech.federated.worlds import make_world
from anomech.kernel import plugins
from anomech.kernel.errors import AnomechError, DataError, RunError
from anomech.kernel.types import Engine, Progress, silent
from anomech.kernel.yaml_text import read_yaml_file
from anomech.learning.training import initialize
from anomech.records import Status, read_record, write_record, write_text
from anomech.records.federation import FederationRun, MethodResult
from anomech.report.federation.render import render
from anomech.storage.code import NUMBERLESS, code_digest

TOP = "federation.json"
WORK = "work"


def run_federation(
    plan: Plan,
    out: Path,
    *,
    data: Path | None = None,
    engine: Engine | None = None,
    progress: Progress = silent,
    told: Callable[[MethodResult], None] = lambda result: None,
) -> FederationRun:
    """Run a plan's methods, or what is missing of them, and write its folder.

    Args:
        plan: resolved, see `anomech.federated.plan.from_mapping`.
        out: folder of the run; a killed one goes on from its last round, to the same numbers.
        data: folder of data sets, for worlds that need one.
        engine: where clients work; None is here.
        progress: told about rounds.
        told: given the result of every method that is run.

    Raises:
        ConfigError: the plan names what there is not.
        DataError: clients that cannot be used.
        RunError: the folder holds something else or cannot be written.
        KeyboardInterrupt: finished rounds stay.
    """
    federation = read_federation(plan, data)
    shared = _shared(plan, federation)
    basis = _basis(plan, federation)
    with locked(out):
        run = _opened(plan, out, federation, basis)
        write_text(out / "plan.yaml", as_yaml(plan))
        try:
            for name, method in plan.methods.items():
                if any(each.name == name for each in run.methods):
                    continue
                result = _one(plan, name, method, federation, shared, basis, out, engine, progress)
                run = run.model_copy(update={"methods": (*run.methods, result)})
                write_record(out / TOP, run)
                told(result)
        except BaseException as error:
            with suppress(RunError):  # the first error is the one to show
                _finished(out, run, *_ended(error))
            raise
        shutil.rmtree(out / WORK, ignore_errors=True)
        return _finished(out, run, "complete", "")


def _ended(error: BaseException) -> tuple[Status, str]:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", "Stopped by hand; the same command continues."
    told = str(error) if isinstance(error, AnomechError) else type(error).__name__
    return "failed", told


def _finished(out: Path, run: FederationRun, status: Status, message: str) -> FederationRun:
    run = run.model_copy(update={"status": status, "message": message})
    write_record(out / TOP, run)
    render(out)
    return run


def read_federation(plan: Plan, data: Path | None) -> Federation:
    """The clients of a plan.

    Raises:
        DataError: they cannot be used.
    """
    if plan.clients:
        return read_clients(Path(plan.clients), plan.seed)
    federation = make_world(plan.world, data, plan.seed)
    if all(federation.malicious):
        raise DataError("every client is malicious; lower world.poison.clients.")
    return federation


def _shared(plan: Plan, federation: Federation) -> Shared:
    network = plan.network.build(classes=federation.classes, channels=federation.channels)
    initialize(network, plan.seed)
    return Shared(network.eval(), federation.clients, plan.local, plan.seed)


def _one(
    plan: Plan,
    name: str,
    method: Method,
    federation: Federation,
    shared: Shared,
    basis: str,
    out: Path,
    engine: Engine | None,
    progress: Progress,
) -> MethodResult:
    """One method, from its last kept round on."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    path = out / WORK / f"{digest}.safetensors"
    begun, where = read_state(path, basis), engine or Serial()
    last = begun

    def shown(stage: str, done: int, total: int) -> None:
        progress(f"{name}: {stage}", done, total)

    rounds = run_rounds(
        federation,
        shared,
        method.grouping,
        method.aggregation,
        plan.rounds,
        where,
        begun=begun,
        progress=shown,
    )
    for last in rounds:
        save_state(path, last, basis)
    assert last is not None, "a plan has one round at least"
    trigger = plan.world.poison.attack if any(federation.malicious) else None
    return measured(name, method, federation, shared, last, trigger, where)


def _opened(plan: Plan, out: Path, federation: Federation, basis: str) -> FederationRun:
    """The run as the folder holds it; a new one if it is empty.

    Raises:
        RunError: it holds another plan's run, or something that is no run.
    """
    if (out / TOP).exists():
        before = read_record(out / TOP, FederationRun)
        now = yaml.safe_load(as_yaml(plan))
        differing = difference(read_yaml_file(out / "plan.yaml", "it is gone."), now)
        if differing:
            raise RunError(
                f"{out} holds a run of another plan (it differs in {', '.join(differing[:3])}); "
                "choose another --out."
            )
        if before.basis == basis:
            return before.model_copy(update={"status": "running", "message": ""})
    elif any(not path.name.startswith(".") for path in out.iterdir()):
        raise RunError(f"{out} is not an empty folder and holds no run; choose another --out.")
    run = FederationRun(
        status="running",
        title=plan.title,
        description=plan.description,
        network=plugins.label("architecture", plan.network),
        clients=len(federation.clients),
        malicious=sum(federation.malicious),
        groups=len(set(federation.groups)) if federation.groups else None,
        rounds=plan.rounds.count,
        present=plan.rounds.present or len(federation.clients),
        seed=plan.seed,
        basis=basis,
    )
    write_record(out / TOP, run)
    return run


def _basis(plan: Plan, federation: Federation) -> str:
    """Hash of the clients' data, the code and the versions."""
    modules = {type(method.grouping).__module__ for method in plan.methods.values()}
    modules |= {type(method.aggregation).__module__ for method in plan.methods.values()}
    code = code_digest("anomech.federated.measuring", *modules, apart_from=NUMBERLESS)
    digest = hashlib.sha256(f"{version('anomech')} {torch.__version__} {code}".encode())
    for client in federation.clients:
        parts = [client.train, client.validation, client.test]
        parts += [client.malice.train] if client.malice else []
        for array in (array for part in parts for array in part):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
