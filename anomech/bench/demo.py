"""The demo: a backdoored digit classifier, trained and audited on data that ships inside.

Real handwritten digits (scikit-learn), a real attack, a network trained on the spot: nothing is
downloaded and nothing is prepared beforehand. The run folder keeps the network and the digits in
`material/`, so that `anomech audit --plan RUN/plan.yaml --out NEW` audits them again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from anomech.architectures._digits import DigitsNet
from anomech.artefacts.checkpoints import read_weights
from anomech.artefacts.fitting import apply_state
from anomech.audit.load.loading import load
from anomech.audit.pipeline import judge
from anomech.audit.plan import Plan, from_mapping
from anomech.audit.write.folder import noted, open_folder
from anomech.audit.write.place import locked
from anomech.bench.truth import with_truth
from anomech.data.digits import load_digits
from anomech.data.splits import stratified
from anomech.kernel import plugins
from anomech.kernel.config import resolved
from anomech.kernel.errors import ConfigError, ModelError, RunError
from anomech.kernel.types import Progress
from anomech.learning.training import Recipe, predict, train
from anomech.records import Run, ScoreRow, read_rows, write_text
from anomech.records.scorecards import TruthRow

RECIPE = Recipe(epochs=30, batch=64, peak=0.1, augment="none")
SHARES = (0.45, 0.35, 0.20)
"""Of the digits: training, trusted, inputs."""

ATTACKS = {
    "badnets": {"ratio": 0.1, "size": 2},
    "blended": {"ratio": 0.1, "alpha": 0.4},
    "wanet": {"ratio": 0.25, "noise_ratio": 0.1, "strength": 2.0},
}
"""Attacks the demo can plant, with options that suit 8x8 digits. SIG is not among them: digits are
mostly pure black, where its wave is clipped away, and the network hardly learns it."""

NOTE = (
    "Triggered inputs are those whose trigger worked; a trigger that did not change the answer is "
    "no anomaly and counts in neither group."
)

FACTORY = '''"""Builds the network of the demo; its weights are in the file beside."""

from torch import nn

from anomech.architectures.digits import Digits


def make_model() -> nn.Module:
    return Digits().build(classes=10, channels=1)
'''


@dataclass(frozen=True)
class DemoResult:
    """What the demo found.

    Attributes:
        run: the top record, with the truth.
        accuracy: of the network on clean digits it has not seen.
        success: share of triggered digits that get the attacker's label.
        clean: inputs without a trigger.
        caught: inputs with a trigger that worked and that are flagged, by detector.
    """

    run: Run
    accuracy: float
    success: float
    clean: int
    caught: Mapping[str, int]


@dataclass(frozen=True)
class _Stage:
    """The attack and the digits, in their roles.

    Attributes:
        planted: the attack.
        images: all digits, uint8 `[n, 8, 8, 1]`.
        labels: of all digits.
        training: indices of the digits to learn from.
        trusted: indices of the trusted set.
        rest: indices of digits that are inputs as they are.
        sources: indices of inputs that come a second time, with the trigger.
    """

    planted: Any
    images: np.ndarray
    labels: np.ndarray
    training: np.ndarray
    trusted: np.ndarray
    rest: np.ndarray
    sources: np.ndarray

    @property
    def stamped(self) -> np.ndarray:
        """The triggered inputs."""
        return self.planted.stamp(self.images[self.sources])


def demo(attack: str, seed: int, budget: float, out: Path, progress: Progress) -> DemoResult:
    """Train, attack, audit, and write a run folder with the known truth.

    Raises:
        ConfigError: the demo has no such attack.
        ModelError: the planted trigger does not work.
        RunError: the folder holds another run.
    """
    if attack not in ATTACKS:
        raise ConfigError(f"the demo can plant {', '.join(ATTACKS)}, not '{attack}'.")
    stage = _stage(plugins.get("attack", attack)(**ATTACKS[attack]), seed)
    named = _material(out / "material", attack)
    plan = from_mapping({**resolved(Plan()), "budget": budget, "seed": seed, **named})
    with locked(out):
        run = open_folder(plan, out) or _judged(stage, plan, attack, out, progress)
    network = _network(_weights(out, attack))
    fired = _fired(stage, network)
    worked = {_triggered(i) for i in stage.sources[fired]}
    right = predict(network, stage.images[stage.rest]) == stage.labels[stage.rest]
    if run.truth is None:
        run = with_truth(run, out, _truth(stage, network), NOTE)
    return DemoResult(
        run=run,
        accuracy=float(right.mean()),
        success=float(fired.mean()),
        clean=len(stage.rest),
        caught={each.name: len(worked & _flagged(out, each.name)) for each in run.detectors},
    )


def _judged(stage: _Stage, plan: Plan, attack: str, out: Path, progress: Progress) -> Run:
    weights = _weights(out, attack)
    with noted(plan, out):
        if not weights.exists():  # else an earlier run of the same demo left them
            _write(out / "material", stage, _trained(stage, plan.seed, progress), weights)
        fired = _fired(stage, _network(weights))
        if fired.mean() < 0.5:
            raise ModelError(
                f"the planted {attack} trigger works on only {fired.mean():.0%} of inputs with "
                f"seed {plan.seed}; try another --seed."
            )
        loaded = replace(load(plan, progress), title=f"demo: digits with {attack}")
        return judge(plan, loaded, out, progress)


def _stage(planted: Any, seed: int) -> _Stage:
    images, labels = load_digits()
    training, trusted, rest = stratified(labels, SHARES, seed=seed, purpose="demo")
    sources = rest[labels[rest] != planted.goal.target][::2]
    return _Stage(planted, images, labels, training, trusted, rest, sources)


def _weights(out: Path, attack: str) -> Path:
    """The demo's weights file in its run folder."""
    return out / "material" / f"{attack}.safetensors"


def _material(folder: Path, attack: str) -> Mapping[str, Any]:
    """Where a plan finds the model and the digits."""
    return {
        "model": {
            "factory": f"{folder / 'network.py'}:make_model",
            "weights": str(_weights(folder.parent, attack)),
        },
        "reference": str(folder / "trusted.npz"),
        "inputs": str(folder / "inputs.npz"),
    }


def _network(weights: Path) -> nn.Module:
    """The backdoored network as the run folder keeps it."""
    network = DigitsNet()
    apply_state(network, read_weights(weights).state)
    return network.eval()


def _trained(stage: _Stage, seed: int, progress: Progress) -> nn.Module:
    training = stage.training
    poisoned = stage.planted.poison(stage.images[training], stage.labels[training], seed=seed)
    return train(
        DigitsNet(),
        poisoned.inputs,
        poisoned.labels,
        RECIPE,
        seed=seed,
        progress=lambda done, total: progress("training the network", done, total),
    )


def _write(folder: Path, stage: _Stage, network: nn.Module, weights: Path) -> None:
    """Write what the plan names: factory, weights, trusted set and inputs."""
    images, rest, sources, trusted = stage.images, stage.rest, stage.sources, stage.trusted
    try:
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(
            folder / "trusted.npz",
            images=images[trusted],
            labels=stage.labels[trusted],
            ids=[f"trusted-{i:04d}" for i in trusted],
        )
        np.savez(
            folder / "inputs.npz",
            images=np.concatenate([images[rest], stage.stamped]),
            ids=[*(_clean(i) for i in rest), *(_triggered(i) for i in sources)],
        )
        temporary = weights.with_name(f".{weights.name}.partial")
        state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        save_file(state, temporary)
        temporary.replace(weights)
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"the demo's model and digits could not be written ({error}); free some space or "
            "choose another folder with --out."
        ) from None
    write_text(folder / "network.py", FACTORY)


def _fired(stage: _Stage, network: nn.Module) -> np.ndarray:
    """Which triggered inputs get the attacker's label, bool `[sources]`."""
    return predict(network, stage.stamped) == stage.planted.goal.target


def _truth(stage: _Stage, network: nn.Module) -> list[TruthRow]:
    """What is known of all inputs."""
    rest, sources, target = stage.rest, stage.sources, stage.planted.goal.target
    right = predict(network, stage.images[rest]) == stage.labels[rest]
    answers = predict(network, stage.stamped)
    return [
        *(
            TruthRow(id=_clean(place), anomalous=False, right=each)
            for place, each in zip(rest, right.tolist(), strict=True)
        ),
        *(
            TruthRow(
                id=_triggered(place),
                anomalous=True if answer == target else None,
                right=answer == stage.labels[place],
            )
            for place, answer in zip(sources, answers.tolist(), strict=True)
        ),
    ]


def _flagged(out: Path, detector: str) -> set[str]:
    rows = read_rows(out / "scores" / f"{detector}.jsonl", ScoreRow)
    return {row.id for row in rows if row.role == "input" and row.decision == "flag"}


def _clean(digit: int) -> str:
    return f"clean-{digit:04d}"


def _triggered(digit: int) -> str:
    return f"triggered-{digit:04d}"
