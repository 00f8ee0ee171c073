"""The plan of a federated run: everything that decides its numbers, in one file that replays it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from anomech.audit.plan import read_plan
from anomech.federated.local import Local
from anomech.federated.server import Rounds
from anomech.federated.worlds import World
from anomech.kernel import plugins
from anomech.kernel.config import build, nearest, option, options, resolved
from anomech.kernel.errors import ConfigError
from anomech.kernel.yaml_text import write_yaml
from anomech.roles.architecture import Architecture
from anomech.roles.federation import Aggregation, Grouping


@options
class Method:
    """Who learns together, and how."""

    grouping: Grouping = plugins.chosen("grouping", "emd_linkage", "who learns together")
    aggregation: Aggregation = plugins.chosen("aggregation", "mean", "how updates become one model")


@options
class Plan:
    """A federated run."""

    title: str = option("Federated learning", "heading of the report")
    description: str = option("", "what is compared, and on what")
    clients: str = option("", "folder with an entry a client; empty makes the world")
    world: World = option(World(), "clients that are made, where no folder is given")
    network: Architecture = plugins.chosen("architecture", "plain_cnn", "architecture")
    local: Local = option(Local(), "how a client trains in one round")
    rounds: Rounds = option(Rounds(), "how often the server averages")
    methods: Mapping[str, Method] = option(
        {"emd_linkage": Method()}, "methods to compare, by the name that the report shows"
    )
    seed: int = option(0, "of everything random", ge=0)


def from_mapping(values: Mapping[str, Any]) -> Plan:
    """A plan with every option resolved.

    Raises:
        ConfigError: an unknown key or method, a wrong value, or no method.
    """
    made = dict(values)
    if isinstance(given := made.get("methods"), Mapping):
        made["methods"] = {
            name: each if isinstance(each, Method) else _method(name, each)
            for name, each in given.items()
        }
    plan = build(Plan, made, "plan")
    if not plan.methods:
        raise ConfigError("the plan has no methods; name at least one, such as emd_linkage.")
    return plan


def _method(name: str, given: Any) -> Method:
    where = f"methods.{name}"
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(
            f"{where} must map grouping and aggregation to methods, not be '{given}'."
        )
    return build(Method, dict(given or {}), where)


def as_yaml(plan: Plan) -> str:
    """The resolved plan as a file that replays it."""
    methods = {name: resolved(each) for name, each in plan.methods.items()}
    return write_yaml({**resolved(plan), "methods": methods})


def named_methods(names: Sequence[str]) -> dict[str, Method]:
    """Methods by `GROUPING` or `GROUPING+AGGREGATION`.

    Raises:
        ConfigError: no such grouping or aggregation.
    """
    made = {}
    for name in names:
        grouping, _, aggregation = name.partition("+")
        values = {"grouping": grouping, **({"aggregation": aggregation} if aggregation else {})}
        made[name] = build(Method, values, f"method {name}")
    return made


def shipped() -> dict[str, Path]:
    """Plans that come with the package, by name."""
    folder = Path(str(files("anomech.federated"))) / "suites"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read(name: str) -> dict[str, Any]:
    """The mapping of a shipped plan, of a YAML file, or of a folder of clients.

    Raises:
        ConfigError: there is no such plan, file or folder.
    """
    known = shipped()
    path = known.get(name, Path(name))
    if path.is_dir():
        return {"clients": name, "title": f"Federated learning: {path.name}"}
    if not path.is_file():
        raise ConfigError(
            f"no folder of clients and no suite is named '{name}': {nearest(name, list(known))}"
        )
    return read_plan(path)


def with_methods(plan: Plan, names: Sequence[str]) -> Plan:
    """The plan with these methods in place of its own; itself if there are none.

    A name is that of one of the plan's methods, or `GROUPING[+AGGREGATION]`.

    Raises:
        ConfigError: no such method, grouping or aggregation.
    """
    if not names:
        return plan
    made = {name: plan.methods.get(name) or named_methods([name])[name] for name in names}
    return replace(plan, methods=made)
