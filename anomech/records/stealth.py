"""What a bench of stealth leaves on disk.

stealth.json   `StealthRun`: every attack in pixels, features and weights, and what finds it
suite.yaml     the resolved suite
cells/         rows of one attacked network each, kept as they are done
stealth.md     the tables
report.html    the page
"""

from anomech.records.run import SCHEMA_VERSION, Record, Status


class InputTraces(Record):
    """What a trigger changes in pixels, means over images."""

    linf: float
    """Largest change, gray levels."""
    l2: float
    """Length of the change, with pixels in [0, 1]."""
    psnr: float
    """Decibels; higher is closer."""
    ssim: float
    """In [-1, 1]; 1 is the same image."""


class FeatureTraces(Record):
    """How far triggered images lie from images of the target class, at the last layer's input."""

    silhouette: float
    """In [-1, 1]; 1 is apart."""
    davies_bouldin: float
    """Higher is more mixed."""
    wasserstein: float
    """Sliced, of features scaled to mean length one; 0 is the same."""


class WeightTraces(Record):
    """What stands out among channels."""

    lipschitz: float
    """Largest bound of a channel, in deviations from its layer's mean."""
    outliers: int
    """Channels by three deviations or more."""
    activated: float
    """Largest mean change of a channel of the last map by the trigger, over the mean of all."""


class Repaired(Record):
    """A network after a repair."""

    repair: str
    accuracy: float
    success: float
    der: float
    """Defense effectiveness rating, `[max(0, success lost) - max(0, accuracy lost) + 1] / 2`."""
    problem: str = ""


class Detected(Record):
    """A detector on triggered images that worked, against clean ones."""

    detector: str
    auroc: float
    der: float
    """`(1 + TPR - FPR) / 2` at the threshold that 5 % of trusted examples lie above."""


class Scanned(Record):
    """What a scanner says of the attacked network, and of its clean twin."""

    scanner: str
    found: int
    """The class that stands out most in the attacked network."""
    right: bool
    """Whether it is one that the attack leads to."""
    statistic: float
    """Of that class; higher is more suspicious."""
    clean: float
    """Largest statistic of the twin."""
    problem: str = ""
    """Why it says nothing; the numbers then mean nothing."""


class StealthCell(Record):
    """One attack."""

    basis: str
    attack: str
    accuracy: float
    clean_accuracy: float
    """Of the twin that nothing was planted in."""
    success: float
    carried: float
    """Success of the same trigger on that twin."""
    inputs: InputTraces
    features: FeatureTraces
    weights: WeightTraces
    clean_weights: WeightTraces
    """Of the twin, under the same trigger."""
    repaired: tuple[Repaired, ...] = ()
    detected: tuple[Detected, ...] = ()
    scanned: tuple[Scanned, ...] = ()
    seconds: float = 0.0

    @property
    def planted(self) -> float:
        """Success above that on the twin: what counts as planted."""
        return self.success - self.carried


class StealthRun(Record):
    """The top record."""

    schema_version: int = SCHEMA_VERSION
    status: Status
    message: str = ""
    name: str
    title: str
    description: str = ""
    data: str
    architecture: str
    train: int
    trusted: int
    cells: tuple[StealthCell, ...] = ()
