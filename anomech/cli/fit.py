"""`anomech fit`: learn from trusted examples once, and keep it in a file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from anomech.cli.audit import FLAGSHIP, model_settings, plan_of
from anomech.cli.console import plain, progress, say
from anomech.cli.engines import HOW

WHAT, WHERE = "What to fit", "What to do with it"


def fit(
    profile: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Profile to write.", rich_help_panel=WHERE),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="FACTORY.py:FUNCTION",
            help="Function of your own that returns the network; the file is run.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    weights: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Weights for it; nothing in the file is run.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    weights_key: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="Which weights, if the file holds several: state_dict_ema, deep/ema or teacher.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    backdoorbench: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="attack_result.pt of BackdoorBench, instead of a model.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    reference: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="Trusted examples with labels: one folder per class, or .npz.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    budget: Annotated[
        float | None,
        typer.Option(
            help="False-positive rate that flags may have.",
            show_default="0.01",
            rich_help_panel=HOW,
        ),
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Detector that gives the verdicts; given again, others run beside it.",
            show_default="functional_attribution",
            rich_help_panel=HOW,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of everything random.", show_default="0", rich_help_panel=HOW),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Plan to start from; the options here change it.",
            rich_help_panel=HOW,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any option of the plan, such as task.watch=last; may be given again.",
            rich_help_panel=HOW,
        ),
    ] = None,
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Look at the last layer alone.", rich_help_panel=HOW),
    ] = False,
) -> None:
    """Fit detectors to examples you trust and keep them in a profile.

    `anomech audit --profile FILE` then judges inputs of the same model without these examples.
    """
    from anomech.audit.pipeline import fit_profile

    named = {
        **model_settings(model, weights, backdoorbench, weights_key),
        "reference": reference,
        "budget": budget,
        "seed": seed,
    }
    given: dict[str, Any] = {n: value for n, value in named.items() if value not in ("", None)}
    if fast:
        given |= {f"{FLAGSHIP}.tracer": "last_layer"}
    resolved = plan_of(plan, given, detector or [], settings or [])
    with progress() as shown:
        fitted = fit_profile(resolved, profile, shown)
    trusted = fitted.trusted
    say(
        f"{len(fitted.detectors)} detectors are fitted to {len(trusted.anchors)} of "
        f"{len(trusted)} trusted examples and calibrated on {len(trusted.calibration)}."
    )
    for name, why in fitted.skipped.items():
        say(f"{name} is left out: {plain(why)}")
    say(f"Profile: {plain(profile)}")
