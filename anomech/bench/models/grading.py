"""How scanners did over networks: pure functions of cards, and the only place that knows the truth.

p-values come from the clean development networks of the suite, and so does the logistic curve that
makes a probability of a statistic. A clean development network is left out of the null that judges
it. Nothing of a check network is used but to be graded.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from anomech.bench.metrics import auroc
from anomech.bench.models.suite import ModelSuite
from anomech.calibration.models import combined
from anomech.calibration.nulls import tail
from anomech.records.modelcards import CLEAN, ModelCard, NetworkCard, ScannerStanding
from anomech.records.scorecards import Role

COMBINED = "combined"
ROLES: tuple[Role, ...] = ("development", "check")

Chances = dict[str, dict[str, float]]
"""p-values by network and scanner."""


def graded(
    networks: Sequence[NetworkCard], cards: Sequence[ModelCard], suite: ModelSuite
) -> tuple[tuple[ScannerStanding, ...], Chances]:
    """Standings of every scanner on networks of each role, and all p-values."""
    known = {each.name: each for each in networks if each.status == "done"}
    done = [each for each in cards if each.status == "done" and each.network in known]
    by_scanner: dict[str, dict[str, ModelCard]] = {}
    for card in done:
        by_scanner.setdefault(card.scanner, {})[card.network] = card
    chances: Chances = {name: {} for name in known}
    for scanner, found in by_scanner.items():
        for name, value in p_values(found, known).items():
            chances[name][scanner] = value
    chosen = suite.combined or tuple(suite.scanners)
    for found_chances in chances.values():
        values = [found_chances[name] for name in chosen if name in found_chances]
        if len(values) == len(chosen):
            found_chances[COMBINED] = combined(values)
    standings = []
    for scanner in (*suite.scanners, COMBINED):
        judged = by_scanner.get(scanner, {})
        for role in ROLES:
            some = {n: k for n, k in known.items() if k.role == role and scanner in chances[n]}
            if some:
                standings.append(
                    _standing(scanner, role, some, judged, known, chances, suite.level)
                )
    return tuple(standings), chances


def p_values(found: Mapping[str, ModelCard], known: Mapping[str, NetworkCard]) -> dict[str, float]:
    """Of each network that a scanner judged, by the clean development networks but itself."""
    clean = {
        name: card.largest
        for name, card in found.items()
        if known[name].kind == CLEAN and known[name].role == "development"
    }
    values = {}
    for name, card in found.items():
        value = tail(card.largest, [each for other, each in clean.items() if other != name])
        if value is not None:
            values[name] = value
    return values


def _standing(
    scanner: str,
    role: Role,
    some: Mapping[str, NetworkCard],
    judged: Mapping[str, ModelCard],
    known: Mapping[str, NetworkCard],
    chances: Chances,
    level: float,
) -> ScannerStanding:
    """How one scanner did on networks of one role."""

    def suspicion(name: str) -> float:
        return judged[name].largest if judged else -float(np.log(chances[name][scanner]))

    bad = [name for name, each in some.items() if each.kind != CLEAN]
    good = [name for name, each in some.items() if each.kind == CLEAN]
    flagged = {name: chances[name][scanner] <= level for name in some}
    kinds = sorted({some[name].kind for name in bad})
    groups = {kind: [name for name in bad if some[name].kind == kind] for kind in kinds}
    findings = {kind: _share(flagged, names) for kind, names in {**groups, "all": bad}.items()}
    aimed = [name for name in bad if some[name].target is not None and name in judged]
    right = [judged[name].top == some[name].target for name in aimed if not judged[name].whole]
    costs = [
        judged[name].seconds / known[name].epoch_seconds
        for name in some
        if name in judged and known[name].epoch_seconds > 0
    ]
    values = [np.array([suspicion(name) for name in names]) for names in (good, bad)]
    return ScannerStanding(
        scanner=scanner,
        role=role,
        attacked=len(bad),
        clean=len(good),
        auroc=auroc(*values) if good and bad else None,
        brier=_brier(suspicion, some, known, chances, scanner),
        false_findings=_share(flagged, good) if good else None,
        findings={kind: share for kind, share in findings.items() if share is not None},
        target_right=float(np.mean(right)) if right else None,
        epochs=float(np.median(costs)) if costs else None,
    )


def _share(flagged: Mapping[str, bool], names: Sequence[str]) -> float | None:
    return sum(flagged[name] for name in names) / len(names) if names else None


def _brier(
    suspicion: Callable[[str], float],
    some: Mapping[str, NetworkCard],
    known: Mapping[str, NetworkCard],
    chances: Chances,
    scanner: str,
) -> float | None:
    """Mean squared error of the probability by a logistic curve of development networks."""
    learned = [n for n, k in known.items() if k.role == "development" and scanner in chances[n]]
    truth = np.array([known[name].kind != CLEAN for name in learned])
    if truth.all() or not truth.any():
        return None
    rows = np.arcsinh([[suspicion(name)] for name in learned])
    curve = LogisticRegression(class_weight="balanced").fit(rows, truth)
    asked = np.arcsinh([[suspicion(name)] for name in some])
    said = curve.predict_proba(asked)[:, 1]
    actual = np.array([each.kind != CLEAN for each in some.values()])
    return float(np.mean((said - actual) ** 2))
