"""What a bench leaves on disk. A bench run is a folder; these are its files.

suite.yaml            the resolved suite; running it again replays the bench
bench.json            `BenchRun`: what was asked, provenance, comparisons
cells/ID/cell.yaml    everything that determines the cell's numbers
cells/ID/card.json    `Scorecard` of one cell, written last
cells/PLACE/audit-CODE/...  the audit of several cells together: a run folder with its report
cells/PLACE/audit-CODE/truth.jsonl  `TruthRow` for every input

ID is PLACE/DETECTOR. A cell that was judged alone has the files of its audit in its own folder.
leaderboard.html, leaderboard.md, leaderboard.csv
"""

from typing import Literal

from anomech.records import Record

Role = Literal["development", "check"]
ThresholdKind = Literal["calibrated", "oracle"]


class TruthRow(Record):
    """What is known about one input, and no user would know.

    `anomalous` is None for an input that counts as neither, such as one whose trigger failed.
    `right` says whether its answer is its true label. `control` names a kind of input that is out
    of the ordinary and means no harm; it counts as neither too, and is judged apart.
    """

    id: str
    anomalous: bool | None = None
    right: bool
    control: str = ""


class Rates(Record):
    """How detection did at one threshold.

    Attributes:
        threshold: "calibrated" on trusted examples, or "oracle": the one that flags exactly the
            budget's share of normal inputs, which no user knows.
        budget: false-positive rate that was asked for.
        filtered: only normal inputs that are answered rightly and triggers that worked count, as
            in published evaluations; else normal inputs count as they come.
        der: detector form, `(1 + TPR - FPR) / 2`.
        der_model: `(max(0, ASR drop) - max(0, accuracy drop) + 1) / 2` of the network with flagged
            inputs rejected; None where nothing was planted.
    """

    threshold: ThresholdKind
    budget: float
    filtered: bool
    fpr: float
    tpr: float | None = None
    precision: float | None = None
    f1: float | None = None
    der: float | None = None
    der_model: float | None = None


class ControlRate(Record):
    """How often one kind of control was flagged, all of which is a false alarm.

    Attributes:
        control: what its inputs are.
        budget: calibrated false-positive rate that was asked for.
        inputs: how many there are.
        flagged: share of them that was flagged.
    """

    control: str
    budget: float
    inputs: int
    flagged: float


class Interval(Record):
    """An estimate with its bootstrap interval at 95 %."""

    value: float
    low: float
    high: float


class Cost(Record):
    """What a cell took.

    Attributes:
        passes: cost of one input in forward passes, the one that answers it included.
        fit_seconds: once a model.
        score_seconds: all inputs, the pass that answers them included.
        tracing_seconds: the part of both that went into traces; detectors that look at the same
            traces in one audit share it, so it was spent once for all of them.
        plain_seconds: one inference pass over the same inputs.
        peak_mib: largest resident memory while the cell's audit ran, with all detectors that take
            part in it; None where the system does not say.
    """

    passes: float
    fit_seconds: float
    score_seconds: float
    plain_seconds: float
    tracing_seconds: float = 0.0
    peak_mib: float | None = None


class Scorecard(Record):
    """One cell: a detector on one network under one condition.

    Attributes:
        id: folder of the cell, unique in the suite.
        suite: name of the suite.
        data: name of the data set.
        network: architecture.
        part: of the suite; empty if the suite has no parts.
        kind: of network, as the suite calls it; empty if all its networks are of one kind.
        subject: what was planted, as the suite calls it ("clean" if nothing was).
        condition: what the inputs or the trusted set were subjected to; empty if nothing.
        group: rows that are averaged together, such as "near" and "far"; empty if none.
        axis: what the condition is a step of, such as "poisoned share of the trusted set, in
            percent"; empty if it is a condition of its own kind.
        value: position of the condition on that axis.
        role: whether the case was looked at while methods were made.
        seed: of network, attack and split.
        detector: its name.
        status: a failed or inconclusive cell says why in `reason` and holds no rates. Inconclusive
            is an answer: there is too little trusted data for any of the suite's budgets.
        accuracy: of the network on the cell's normal inputs.
        success: share of the triggered or perturbed inputs that are answered as the attacker wants,
            before detection; None where there are none.
        robust: share of them answered with their true label.
        normal: number of normal inputs.
        anomalous: number of anomalous inputs.
        trusted: number of trusted examples.
        auroc: of the ranking; None where one of both kinds is missing.
        controls: false alarms on each kind of control at each calibrated budget.
        audit: name of the folder, beside the cell's own, of the audit that it shares with cells of
            other detectors; empty if its audit is in its own folder.
    """

    id: str
    suite: str
    data: str
    network: str
    part: str = ""
    kind: str = ""
    subject: str
    condition: str = ""
    group: str = ""
    axis: str = ""
    value: float | None = None
    role: Role
    seed: int
    detector: str
    status: Literal["done", "inconclusive", "failed"]
    reason: str = ""
    accuracy: float | None = None
    success: float | None = None
    robust: float | None = None
    normal: int = 0
    anomalous: int = 0
    trusted: int = 0
    auroc: Interval | None = None
    audit: str = ""
    rates: tuple[Rates, ...] = ()
    controls: tuple[ControlRate, ...] = ()
    cost: Cost | None = None


class Comparison(Record):
    """A paired difference between two detectors on one case: `first` less `second`.

    Attributes:
        case: subject, condition, part and kind of network, or "mean" over all cases.
        measure: what is compared, such as "AUROC" or "DER".
        difference: with its paired bootstrap interval.
    """

    case: str
    first: str
    second: str
    measure: str
    difference: Interval


class BenchRun(Record):
    """The top record of a bench.

    Attributes:
        status: "interrupted" also where only some of the suite's cells were asked for.
        seconds: of all invocations together.
        cells: of the suite.
        done: cells that have an answer, inconclusive ones included.
        failed: cells that have none, with the reason on their cards.
    """

    schema_version: int = 1
    suite: str
    title: str
    description: str
    status: Literal["running", "interrupted", "complete"]
    started: str
    seconds: float
    cells: int
    done: int
    failed: int
    versions: dict[str, str]
    hardware: str
    comparisons: tuple[Comparison, ...] = ()
