"""Which clients plant something? Updates, by the share that trusted examples leave unexplained.

Two groups of clients, upright and turned digits, one malicious client in each; FedAvg for some
rounds. The server holds a few trusted images of both groups. Printed is, for the last round, the
AUROC of malicious against honest clients by the unexplained share, by the length of the update and
by its cosine with the mean, for malicious clients that train like all others and boosted ones.

    ANOMECH_DATA=DIR python benchmarks/federated_updates.py
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from anomech.architectures.plain_cnn import PlainCnn
from anomech.bench.metrics import auroc
from anomech.engines.serial import Serial
from anomech.federated.aggregations.mean import Mean
from anomech.federated.groupings.fedavg import Fedavg
from anomech.federated.local import Local, Shared
from anomech.federated.server import Rounds, run_rounds
from anomech.federated.suspicion import unexplained
from anomech.federated.weights import difference, flat
from anomech.federated.worlds import Poison, World, make_world
from anomech.kernel.types import silent
from anomech.learning.training import initialize

WORLD = World(data="mnist", kind="rotations", angles=(0, 180), clients=10, images=300, test=60)
LOCAL = Local(epochs=3, batch=16, rate=0.05)


def measured(
    boost: float, ratio: float, rounds: int, seed: int, folder: Path | None
) -> list[float]:
    """AUROC of each score of the updates of the last round."""
    poison = Poison(clients=2, boost=boost, attack={"use": "badnets", "ratio": ratio, "size": 4})
    federation = make_world(replace(WORLD, poison=poison), folder, seed)
    network = PlainCnn(width=8).build(classes=10, channels=1)
    initialize(network, seed)
    shared = Shared(network.eval(), federation.clients, LOCAL, seed)
    plan = Rounds(count=rounds)
    states = run_rounds(
        federation, shared, Fedavg(), Mean(), plan, Serial(), begun=None, progress=silent
    )
    *_, state = states
    updates = [state.known[client] for client in range(len(federation.clients))]
    # Images of honest clients that nobody trains on stand for those that a server has.
    some = [client.test for client in federation.clients[2:]]
    trusted = np.concatenate([x[:12] for x, _ in some]), np.concatenate([y[:12] for _, y in some])
    rows = torch.stack([flat(difference(each)) for each in updates])
    lengths = rows.norm(dim=1)
    units = rows / lengths[:, None]
    away = 1 - units @ (rows.mean(dim=0) / rows.mean(dim=0).norm())
    bad = np.array(federation.malicious)
    scores = (unexplained(network, trusted, updates), lengths.numpy(), away.numpy())
    return [auroc(score[~bad], score[bad]) for score in scores]


def main() -> None:
    """Print one row a kind of malicious client."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seeds", type=int, default=2)
    asked.add_argument("--rounds", type=int, default=2)
    given = asked.parse_args()
    torch.set_num_threads(1)
    named = os.environ.get("ANOMECH_DATA")
    folder = Path(named) if named else None
    print("| malicious clients | unexplained share | length | away from the mean |")
    print("| --- | --- | --- | --- |")
    for words, boost, ratio in (("poison a half", 1.0, 0.5), ("poison a tenth", 1.0, 0.1),
                                ("poison a half, boosted by 10", 10.0, 0.5)):  # fmt: skip
        found = [measured(boost, ratio, given.rounds, seed, folder) for seed in range(given.seeds)]
        means = np.mean(found, axis=0)
        print(f"| {words} | {' | '.join(f'{value:.3f}' for value in means)} |")


if __name__ == "__main__":
    main()
