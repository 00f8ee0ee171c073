"""Bench folders with made-up numbers that look like real ones."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from anomech import records
from anomech.records.scorecards import BenchRun, Comparison, Cost, Interval, Rates, Scorecard

STRENGTH = {
    "functional_attribution": 4.6,
    "ted": 3.4,
    "mahalanobis": 2.6,
    "beatrix": 2.4,
    "knn": 2.1,
    "scale_up": 1.5,
    "strip": 1.2,
    "energy": 0.5,
}
PASSES = (4.2, 1.1, 1.05, 1.1, 1.1, 6.0, 65.0, 1.0)


@dataclass(frozen=True)
class MadeCase:
    """One column; `hard` is taken off every detector's strength."""

    subject: str
    condition: str = ""
    group: str = ""
    role: str = "development"
    axis: str = ""
    value: float | None = None
    data: str = "cifar10"
    network: str = "resnet18"
    hard: float = 0.0
    anomalous: int = 1000


@dataclass
class Bench:
    """Writes a bench folder.

    Attributes:
        cases: its columns.
        detectors: its rows.
        seeds: each cell is made once a seed.
        budgets: rates are made at each.
        reports: which cells have a report, from (detector, case, seed).
        failed: why a cell fails, "" if it does not, from the same.
        status: of the bench.
        title: of the bench.
        description: of the bench.
    """

    cases: Sequence[MadeCase]
    detectors: Sequence[str] = tuple(STRENGTH)
    seeds: Sequence[int] = (0,)
    budgets: Sequence[float] = (0.01, 0.05)
    reports: Callable[[str, MadeCase, int], bool] = lambda detector, case, seed: True
    failed: Callable[[str, MadeCase, int], str] = lambda detector, case, seed: ""
    status: str = "complete"
    title: str = "Backdoors in small image classifiers"
    description: str = (
        "Eight ways of telling triggered images from clean ones, on networks with backdoors of "
        "many kinds and on clean networks."
    )
    cards: list[Scorecard] = field(default_factory=list)

    def write(self, out: Path) -> Path:
        """Write the bench's record, cards and reports."""
        number = 0
        for case in self.cases:
            for seed in self.seeds:
                for detector in self.detectors:
                    number += 1
                    name = re.sub(r"\W", "_", detector)[:40]
                    self._cell(out, f"{number:04d}-{name}", detector, case, seed)
        done = sum(card.status == "done" for card in self.cards)
        run = BenchRun(
            suite="backdoors-small",
            title=self.title,
            description=self.description,
            status=self.status,
            started="2026-03-02T09:14:55Z",
            seconds=5432.1,
            cells=len(self.cards),
            done=done,
            failed=len(self.cards) - done,
            versions={"anomech": "0.1.0", "python": "3.11.9", "torch": "2.9.0", "numpy": "2.3.1"},
            hardware="2 cores, 15 GiB memory, no accelerator",
            comparisons=tuple(self._comparisons()),
        )
        records.write_record(out / "bench.json", run)
        return out

    def _cell(self, out: Path, name: str, detector: str, case: MadeCase, seed: int) -> None:
        reason = self.failed(detector, case, seed)
        card = self._failed(name, detector, case, seed, reason) if reason else None
        card = card or self._done(name, detector, case, seed)
        self.cards.append(card)
        folder = out / "cells" / name
        folder.mkdir(parents=True)
        (folder / "card.json").write_text(records.row_text(card), encoding="utf-8")
        if self.reports(detector, case, seed):
            (folder / "report.html").write_text("<!doctype html><title>audit</title>")

    def _failed(
        self, name: str, detector: str, case: MadeCase, seed: int, reason: str
    ) -> Scorecard:
        return Scorecard(**self._known(name, detector, case, seed), status="failed", reason=reason)

    def _known(self, name: str, detector: str, case: MadeCase, seed: int) -> dict[str, object]:
        known = ("data", "network", "subject", "condition", "group", "role", "axis", "value")
        return {
            **{word: getattr(case, word) for word in known},
            "id": name,
            "suite": "backdoors-small",
            "seed": seed,
            "detector": detector,
        }

    def _done(self, name: str, detector: str, case: MadeCase, seed: int) -> Scorecard:
        rng = np.random.default_rng([seed, *f"{detector}{case}".encode()])
        network = np.random.default_rng([seed, *case.subject.encode()])
        normal = 3000
        strength = max(0.05, STRENGTH.get(detector, 2.0) - case.hard + 0.35 * rng.normal())
        found = []
        for budget in self.budgets:
            for threshold in ("calibrated", "oracle"):
                for filtered in (False, True):
                    found.append(
                        self._rates(rng, strength, budget, threshold, filtered, case, normal)
                    )
        auroc = _normal(strength / 2**0.5)
        passes = PASSES[list(STRENGTH).index(detector)] if detector in STRENGTH else 2.0
        clean = case.subject == "clean" and not case.anomalous
        return Scorecard(
            **self._known(name, detector, case, seed),
            status="done",
            accuracy=0.835 + 0.01 * network.normal(),
            success=None if clean else min(1.0, 0.96 + 0.02 * network.normal()),
            robust=None if clean else 0.03 + 0.01 * abs(network.normal()),
            normal=normal,
            anomalous=case.anomalous,
            trusted=800,
            auroc=None
            if not case.anomalous
            else Interval(value=auroc, low=max(0, auroc - 0.01), high=min(1, auroc + 0.006)),
            rates=tuple(found),
            cost=Cost(
                passes=passes,
                fit_seconds=20.0 * rng.uniform(0.8, 1.2),
                score_seconds=4.1 * passes * rng.uniform(0.8, 1.2),
                plain_seconds=4.1,
                peak_mib=900 + 40 * passes,
            ),
        )

    def _rates(self, rng, strength, budget, threshold, filtered, case, normal) -> Rates:
        drift = 1.0 if threshold == "oracle" else rng.uniform(0.7, 1.5)
        fpr = budget if threshold == "oracle" else rng.binomial(normal, budget * drift) / normal
        if not case.anomalous:
            return Rates(threshold=threshold, budget=budget, filtered=filtered, fpr=fpr)
        tpr = _normal(strength + (0.2 if filtered else 0) - 2.33 + 20 * (fpr - 0.01))
        der = (1 + tpr - fpr) / 2
        return Rates(
            threshold=threshold,
            budget=budget,
            filtered=filtered,
            fpr=fpr,
            tpr=tpr,
            precision=0.9,
            f1=0.8,
            der=der,
            der_model=der - 0.02,
        )

    def _comparisons(self) -> list[Comparison]:
        first, *others = self.detectors
        names = (f"{case.subject} {case.condition}".strip() for case in self.cases)
        cases = list(dict.fromkeys(names))
        made = []
        for measure, scale in (("DER", 0.5), ("AUROC", 0.35)):
            for second in others:
                gap = scale * (STRENGTH.get(first, 2) - STRENGTH.get(second, 2)) / 6
                rng = np.random.default_rng([*second.encode(), *measure.encode()])
                for case in ("mean", *cases):
                    value = gap + (0.0 if case == "mean" else 0.08 * rng.normal())
                    wide = 0.02 if case == "mean" else 0.05
                    interval = Interval(value=value, low=value - wide * 1.2, high=value + wide)
                    made.append(
                        Comparison(
                            case=case,
                            first=first,
                            second=second,
                            measure=measure,
                            difference=interval,
                        )
                    )
        return made


def _normal(x: float) -> float:
    """The standard normal distribution function."""
    from math import erf

    return 0.5 * (1 + erf(x / 2**0.5))


ATTACKS = (
    "badnets", "blended", "sig", "wanet", "trojan", "input_aware", "ssba", "low_frequency",
    "label_consistent", "adaptive_blend",
)  # fmt: skip


def backdoors(**more) -> Bench:
    """Eight detectors on twenty cases and two clean networks."""
    cases = [MadeCase(name, hard=0.25 * index) for index, name in enumerate(ATTACKS)]
    cases += [
        MadeCase(name, role="check", hard=0.3 + 0.25 * index) for index, name in enumerate(ATTACKS)
    ]
    clean = [MadeCase("clean", anomalous=0), MadeCase("clean", role="check", anomalous=0)]
    return Bench([*cases, *clean], **more)


def adversarial(**more) -> Bench:
    """A clean network whose inputs are perturbed: conditions rather than attacks."""
    conditions = ("FGSM 8/255", "PGD 8/255", "CW L2", "DeepFool", "AutoAttack 8/255")
    cases = [
        MadeCase("clean", name, hard=0.6 * index, role="check" if index == 4 else "development")
        for index, name in enumerate(conditions)
    ]
    return Bench(
        [*cases, MadeCase("clean", anomalous=0)],
        title="Adversarial examples",
        description="Whether detectors notice inputs that were perturbed to mislead.",
        **more,
    )


def ood(**more) -> Bench:
    """Two groups of conditions whose means are shown apart."""
    near = [MadeCase("clean", name, "near", hard=2) for name in ("CIFAR-100", "Tiny ImageNet")]
    far = [MadeCase("clean", name, "far") for name in ("MNIST", "SVHN", "Textures", "Places365")]
    return Bench(
        [*near, *far],
        title="Out-of-distribution inputs",
        description="Whether detectors notice images that are of none of the classes.",
        **more,
    )


def steps(**more) -> Bench:
    """Subjects along axes: one linear, one logarithmic, one in equal steps."""
    shares = [
        MadeCase(
            "badnets", f"contamination {value:g} %", axis="triggered trusted images, in %",
            value=value, hard=0.7 * value**0.5,
        )
        for value in (0.0, 0.1, 0.5, 1.0, 5.0)
    ]  # fmt: skip
    sizes = [
        MadeCase(
            "badnets", f"trusted {value}", axis="trusted examples", value=value,
            hard=2.0 - 0.3 * np.log2(value / 100),
        )
        for value in (100, 200, 500, 1000, 2000)
    ]  # fmt: skip
    strengths = [
        MadeCase(
            "aligned_trigger", f"strength {value}", axis="alignment strength", value=value,
            hard=3 * value, role="check",
        )
        for value in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]  # fmt: skip
    return Bench([*shares, *sizes, *strengths], title="Harder conditions", **more)
