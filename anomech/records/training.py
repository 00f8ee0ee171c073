"""What `anomech train` leaves on disk.

training.json        `TrainingRun`: how it went
plan.yaml            the resolved plan, which replays it
network.safetensors  the weights
model.py             builds a named architecture, for `anomech audit --model model.py:network`
work/                epochs of a training that is not done
"""

from anomech.records.run import SCHEMA_VERSION, Record, Status


class TrainingRun(Record):
    """The top record of a training."""

    schema_version: int = SCHEMA_VERSION
    status: Status
    message: str = ""
    trainer: str
    network: str
    examples: int
    outliers: int = 0
    classes: int
    device: str
    seed: int
    basis: str
    """Hash of data, code and versions that the numbers rest on."""
    losses: tuple[float, ...] = ()
    problems: tuple[str, ...] = ()
    accuracy: float | None = None
    """Share of the test images that are answered rightly."""
    attacked: int = 0
    """Test images that an adversary moved."""
    eps: float = 0.0
    """How far, in gray levels of 255."""
    robust: float | None = None
    """Share of them that are still answered rightly."""
    seconds: float = 0.0
