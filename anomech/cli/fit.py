"""`anomech fit`: learn from trusted examples once, and keep it in a file."""

from pathlib import Path
from typing import Annotated

import typer

from anomech.cli.console import plain, progress, say
from anomech.cli.grouped import grouped
from anomech.cli.groups import Judging, Network, Reading, Running
from anomech.cli.options import WHERE, Reference
from anomech.cli.planning import asked, plan_of

ProfileFile = Annotated[
    Path, typer.Option("--profile", metavar="FILE", help="Profile to write.", rich_help_panel=WHERE)
]


@grouped
def fit(
    *,
    profile: ProfileFile,
    network: Network,
    reference: Reference = "",
    reading: Reading,
    judging: Judging,
    running: Running,
) -> None:
    """Fit detectors to examples you trust and keep them in a profile.

    `anomech audit --profile FILE` then judges inputs of the same model without these examples.
    """
    from anomech.audit.pipeline import fit_profile

    _check_place(profile)
    given = asked([network, reading, judging, running], {"reference": reference})
    plan = plan_of(given, running, judging.detector)
    with progress() as shown:
        fitted = fit_profile(plan, profile, shown, workers=running.readers)
    trusted = fitted.trusted
    say(
        f"{len(fitted.detectors)} detectors are fitted to {len(trusted)} trusted examples; "
        f"{fitted.lead.name} is calibrated on {len(fitted.lead.examples)}."
    )
    for name, why in fitted.skipped.items():
        say(f"{name} is left out: {plain(why)}")
    say(f"Profile: {plain(profile)}")


def _check_place(profile: Path) -> None:
    """Refuse a place where no file can be written, before anything is fitted.

    Raises:
        ConfigError: it is one.
    """
    from anomech.kernel.errors import ConfigError

    above = next(folder for folder in profile.absolute().parents if folder.exists())
    if profile.is_dir() or not above.is_dir():
        raise ConfigError(f"{profile} is no place for a file; give --profile a file in a folder.")
