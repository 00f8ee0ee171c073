"""What a federated run leaves on disk.

federation.json   `FederationRun`: what was compared, how it went for every client
plan.yaml         the resolved plan, which replays it
work/             state of methods that are not done, removed when all are
report.html       made from federation.json alone
"""

from anomech.records.run import SCHEMA_VERSION, Record, Status


class ClientRow(Record):
    """How one client fared under one method."""

    name: str
    images: int
    group: str = ""
    """The true group, where it is known."""
    malicious: bool = False
    model: int
    """Number of the model it ends with."""
    before: float
    """Accuracy on its test images after its first round alone."""
    after: float
    """Accuracy of the model it ends with."""
    success: float | None = None
    """Share of its triggered test images that the model gives the attacker's label."""


class MethodResult(Record):
    """One method on all clients."""

    name: str
    grouping: str
    aggregation: str
    models: int
    members: tuple[tuple[int, ...], ...]
    """Clients that each model is made of; sets may overlap."""
    rand_index: float | None = None
    """Adjusted Rand index of the honest clients' models against true groups."""
    mean: float
    worst: float
    """Over honest clients."""
    mean_before: float
    success: float | None = None
    """Mean over honest clients."""
    shared: int | None = None
    """Malicious clients that put weights into a model that an honest client ends with."""
    down: int
    up: int
    """Bytes sent to clients and back."""
    grouping_down: int = 0
    grouping_up: int = 0
    """Of those, what finding groups took."""
    seconds: float
    grouping_seconds: float = 0.0
    distances: tuple[tuple[float | None, ...], ...] = ()
    limit: float | None = None
    clients: tuple[ClientRow, ...]


class FederationRun(Record):
    """The top record of a federated run."""

    schema_version: int = SCHEMA_VERSION
    status: Status
    message: str = ""
    title: str
    description: str = ""
    network: str
    clients: int
    malicious: int = 0
    groups: int | None = None
    rounds: int
    present: int
    seed: int
    basis: str
    """Hash of data, code and versions that the numbers rest on."""
    methods: tuple[MethodResult, ...] = ()
