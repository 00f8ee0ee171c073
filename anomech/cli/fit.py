"""`anomech fit`: learn from trusted examples once, and keep it in a file."""

from pathlib import Path
from typing import Annotated

import typer

from anomech.cli.console import plain, progress, say
from anomech.cli.options import (
    WHERE,
    AccessTo,
    Adapter,
    Backdoorbench,
    Base,
    Budget,
    Crop,
    Detectors,
    Factory,
    Fast,
    Full,
    Keys,
    PlanFile,
    Power,
    Reference,
    Resize,
    Seed,
    Settings,
    Weights,
    WeightsKey,
)
from anomech.cli.planning import asked, plan_of


def fit(
    profile: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Profile to write.", rich_help_panel=WHERE),
    ],
    model: Factory = "",
    weights: Weights = "",
    weights_key: WeightsKey = "",
    backdoorbench: Backdoorbench = "",
    adapter: Adapter = "",
    base: Base = "",
    reference: Reference = "",
    keys: Keys = None,
    resize: Resize = None,
    crop: Crop = None,
    budget: Budget = None,
    detector: Detectors = None,
    access: AccessTo = None,
    seed: Seed = None,
    plan: PlanFile = None,
    settings: Settings = None,
    fast: Fast = False,
    full: Full = False,
    sensitivity: Power = None,
) -> None:
    """Fit detectors to examples you trust and keep them in a profile.

    `anomech audit --profile FILE` then judges inputs of the same model without these examples.
    """
    from anomech.audit.pipeline import fit_profile

    given = asked(
        model=model,
        weights=weights,
        weights_key=weights_key,
        backdoorbench=backdoorbench,
        adapter=adapter,
        base=base,
        reference=reference,
        keys=keys,
        resize=resize,
        crop=crop,
        budget=budget,
        seed=seed,
        fast=fast,
        full=full,
        sensitivity=sensitivity,
        access=access or "",
    )
    resolved = plan_of(plan, given, detector or [], settings or [])
    with progress() as shown:
        fitted = fit_profile(resolved, profile, shown)
    trusted = fitted.trusted
    say(
        f"{len(fitted.detectors)} detectors are fitted to {len(trusted)} trusted examples; "
        f"{fitted.lead.name} is calibrated on {len(fitted.lead.examples)}."
    )
    for name, why in fitted.skipped.items():
        say(f"{name} is left out: {plain(why)}")
    say(f"Profile: {plain(profile)}")
