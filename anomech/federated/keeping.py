"""The state of a method between two rounds, as one file: whole or not there."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from anomech.federated.server import State, Traffic
from anomech.records import write_bytes
from anomech.roles.federation import Groups, Update, Weights


def save_state(path: Path, state: State, basis: str) -> None:
    """Write a state.

    Args:
        path: of the file.
        state: after some round.
        basis: hash of what its numbers rest on.
    """
    tensors: dict[str, Tensor] = {}

    def enter(kind: str, models: dict[int, Weights]) -> None:
        for number, weights in models.items():
            for name, tensor in weights.items():
                tensors[f"{kind}/{number}/{name}"] = tensor.clone().contiguous()

    enter("model", dict(enumerate(state.models)))
    enter("start", {client: each.start for client, each in state.known.items()})
    enter("sent", {client: each.weights for client, each in state.known.items()})
    enter("own", dict(state.own))
    if state.groups.distances is not None:
        tensors["distances"] = state.groups.distances
    facts = {
        "basis": basis,
        "round": state.round,
        "members": [sorted(each) for each in state.groups.members],
        "uses": {str(client): place for client, place in state.groups.uses.items()},
        "limit": state.groups.limit,
        "images": {str(client): each.images for client, each in state.known.items()},
        "traffic": vars(state.traffic),
        "seconds": [state.seconds, state.grouping],
    }
    write_bytes(path, save(tensors, {"state": json.dumps(facts)}))


def read_state(path: Path, basis: str) -> State | None:
    """A state that was saved on the same basis; None if there is none, or another's."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("state", "{}"))
            if facts.get("basis") != basis:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError):
        return None  # cut short by something else than this program; the method begins anew
    return _state(facts, tensors)


def _state(facts: dict, tensors: dict[str, Tensor]) -> State:
    kinds: dict[str, dict[int, dict[str, Tensor]]] = {}
    distances = tensors.pop("distances", None)
    for path, tensor in tensors.items():
        kind, number, name = path.split("/", 2)
        kinds.setdefault(kind, {}).setdefault(int(number), {})[name] = tensor
    models, sent = kinds.get("model", {}), kinds.get("sent", {})
    known = {
        client: Update(kinds["start"][client], sent[client], facts["images"][str(client)])
        for client in sorted(sent)
    }
    groups = Groups(
        tuple(frozenset(each) for each in facts["members"]),
        {int(client): place for client, place in facts["uses"].items()},
        None if distances is None else distances.to(torch.float64),
        facts["limit"],
    )
    return State(
        facts["round"],
        tuple(models[place] for place in sorted(models)),
        groups,
        known,
        kinds.get("own", {}),
        Traffic(**facts["traffic"]),
        *facts["seconds"],
    )
