"""A federation of four clients in two groups, trained once, and a server's view of it."""

from dataclasses import dataclass, field
from functools import cache

from anomech.architectures.digits import DigitsNet
from anomech.federated.local import Local, Shared, Training, train
from anomech.federated.worlds import World, make_world
from anomech.learning.training import initialize
from anomech.roles.federation import Groups, Update

WORLD = World(data="digits", kind="rotations", angles=(0, 90), clients=4)


@cache
def tiny_shared():
    """Two clients see digits upright, two turned; each has trained alone for one round."""
    network = DigitsNet()
    initialize(network, 0)
    shared = Shared(
        network.eval(),
        make_world(WORLD, None, 0).clients,
        Local(epochs=12, batch=16, rate=0.05),
        0,
    )
    start = {name: each.detach().clone() for name, each in network.state_dict().items()}
    return shared, {
        client: Update(start, train(shared, Training(client, 0, start)), 100) for client in range(4)
    }


@dataclass
class FakeRoom:
    """`anomech.roles.federation.Room` that asks here and notes what is sent."""

    shared: object
    known: dict
    round: int = 0
    groups: Groups = field(default_factory=lambda: Groups((), {}))
    given: tuple | None = (0, 1, 0, 1)
    models: tuple = ()
    uses: dict = field(default_factory=dict)
    seed: int = 0
    sent: list = field(default_factory=lambda: [0, 0])

    def __post_init__(self):
        self.models = self.models or (next(iter(self.known.values())).start,)

    @property
    def network(self):
        return self.shared.network

    @property
    def present(self):
        return tuple(self.known)

    @property
    def sizes(self):
        return [each.images for each in self.known.values()]

    def ask(self, function, pieces):
        return [function(self.shared, piece) for piece in pieces]

    def count(self, *, down=0, up=0):
        self.sent[0] += down
        self.sent[1] += up
