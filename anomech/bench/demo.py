"""The demo: a backdoored digit classifier, trained and audited on data that ships inside.

Real handwritten digits (scikit-learn), a real attack, a network trained on the spot: nothing is
downloaded and nothing is prepared beforehand.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from anomech import plugins
from anomech.audit.folder import noted, open_folder
from anomech.audit.loading import Loaded
from anomech.audit.pipeline import judge
from anomech.audit.plan import Plan, from_mapping
from anomech.bench.training import Recipe, predict, train
from anomech.config import resolved
from anomech.data.digits import load_digits
from anomech.data.images import from_arrays
from anomech.data.splits import stratified
from anomech.errors import ConfigError, ModelError
from anomech.records import Run, ScoreRow, Truth, Verdict, read_rows, write_record
from anomech.report.render import render
from anomech.tasks.image_classifier import ImageClassifier
from anomech.tasks.networks.digits import DigitsNet
from anomech.types import Progress

RECIPE = Recipe(epochs=30, batch=64, peak=0.1, augment="none")
SHARES = (0.45, 0.35, 0.20)
"""Of the digits: training, trusted, inputs."""

ATTACKS = {
    "badnets": {"ratio": 0.1, "size": 2},
    "blended": {"ratio": 0.1, "alpha": 0.3},
    "sig": {"class_ratio": 0.8, "amplitude": 80.0, "frequency": 2.0},
    "wanet": {"ratio": 0.2, "noise_ratio": 0.2, "strength": 1.0},
}
"""Attacks the demo can plant, with options that suit 8x8 digits."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo found.

    Attributes:
        run: the top record, with the truth.
        accuracy: of the network on clean digits it has not seen.
        success: share of triggered digits that get the attacker's label.
    """

    run: Run
    accuracy: float
    success: float


def demo(attack: str, seed: int, budget: float, out: Path, progress: Progress) -> DemoResult:
    """Train, attack, audit, and write a run folder with the known truth.

    Raises:
        ConfigError: the demo has no such attack.
        ModelError: the planted trigger does not work.
    """
    if attack not in ATTACKS:
        raise ConfigError(f"the demo can plant {', '.join(ATTACKS)}, not '{attack}'.")
    planted = plugins.get("attack", attack)(**ATTACKS[attack])
    images, labels = load_digits()
    training, trusted, rest = stratified(labels, SHARES, seed=seed, purpose="demo")
    poisoned = planted.poison(images[training], labels[training], seed=seed)
    network = DigitsNet()
    train(
        network,
        poisoned.images,
        poisoned.labels,
        RECIPE,
        seed=seed,
        progress=lambda done, total: progress("training the network", done, total),
    )
    sources = rest[labels[rest] != planted.target][::2]
    stamped = planted.stamp(images[sources])
    answers = predict(network, stamped)
    success = float((answers == planted.target).mean())
    accuracy = float((predict(network, images[rest]) == labels[rest]).mean())
    if success < 0.5:
        raise ModelError(
            f"the planted {attack} trigger works on only {success:.0%} of inputs with seed {seed}; "
            "try another --seed."
        )
    inputs = from_arrays(
        np.concatenate([images[rest], stamped]),
        ids=[f"clean-{i:04d}" for i in rest] + [f"triggered-{i:04d}" for i in sources],
    )
    loaded = Loaded(
        ImageClassifier(network),
        from_arrays(images[trusted], labels[trusted], [f"trusted-{i:04d}" for i in trusted]),
        inputs,
        f"demo: digits with {attack}",
    )
    plan = from_mapping({**resolved(Plan()), "budget": budget, "seed": seed})
    run = open_folder(plan, out)
    if run is None:
        with noted(plan, out):
            run = judge(plan, loaded, out, progress)
    fired = {
        f"triggered-{i:04d}"
        for i, answer in zip(sources, answers, strict=True)
        if answer == planted.target
    }
    run = _with_truth(run, out, fired)
    return DemoResult(run, accuracy, success)


def _with_truth(run: Run, out: Path, fired: set[str]) -> Run:
    """Join the truth on ids, after scoring."""
    flagged = {
        row.id for row in read_rows(out / "verdicts.jsonl", Verdict) if row.decision == "flag"
    }
    auroc = {}
    for summary in run.detectors:
        rows = read_rows(out / "scores" / f"{summary.name}.jsonl", ScoreRow)
        judged = [row for row in rows if row.role == "input" and _known(row.id, fired)]
        truth = [row.id in fired for row in judged]
        auroc[summary.name] = float(roc_auc_score(truth, [row.score for row in judged]))
    run = run.model_copy(
        update={
            "truth": Truth(
                triggered=len(fired),
                true_positives=len(flagged & fired),
                false_positives=sum(name.startswith("clean-") for name in flagged),
                auroc=auroc,
                note="Triggered inputs are those whose trigger worked; a trigger that did not "
                "change the answer is no anomaly and counts in neither group.",
            )
        }
    )
    write_record(out / "run.json", run)
    render(out)
    return run


def _known(name: str, fired: set[str]) -> bool:
    return name.startswith("clean-") or name in fired
