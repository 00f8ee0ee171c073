"""Options that say what to audit, for every command that opens a model and its data."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from anomech.cli.engines import HOW

WHAT = "What to audit"
"""Heading of these options in a command's help."""

WHERE = "What to do with it"
"""Heading of the options about what a command writes."""

Factory = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="FILE.py:NAME|FOLDER|...",
        help="Function of your own that returns the network, best with logits as outputs; the "
        "file is run. Or a Hugging Face folder, of which nothing is run. Or a model that can only "
        "be asked: command:PROGRAM of your own, or an address of this machine "
        "(docs/black-box.md).",
        rich_help_panel=WHAT,
    ),
]
Weights = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="Weights for it; nothing in the file is run.",
        rich_help_panel=WHAT,
    ),
]
WeightsKey = Annotated[
    str,
    typer.Option(
        metavar="KEY",
        help="Which weights, if the file holds several: state_dict_ema, deep/ema or teacher.",
        rich_help_panel=WHAT,
    ),
]
Backdoorbench = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="attack_result.pt of BackdoorBench, instead of a model.",
        rich_help_panel=WHAT,
    ),
]
Adapter = Annotated[
    str,
    typer.Option(
        metavar="FOLDER",
        help="LoRA adapter that goes on the Hugging Face folder.",
        rich_help_panel=WHAT,
    ),
]
Base = Annotated[
    str,
    typer.Option(
        metavar="FOLDER",
        help="Hugging Face folder that the model was made of, or that its adapter goes on.",
        rich_help_panel=WHAT,
    ),
]
Reference = Annotated[
    str,
    typer.Option(
        metavar="PATH",
        help="Trusted examples: one folder per class, .npz or .csv; of texts .jsonl, .csv or "
        ".parquet.",
        rich_help_panel=WHAT,
    ),
]
Profile = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="Profile that `anomech fit` wrote, instead of trusted examples.",
        rich_help_panel=WHAT,
    ),
]
Inputs = Annotated[
    str,
    typer.Option(
        metavar="PATH",
        help="Inputs to judge: a folder of images, .npz, .npy or .csv; of texts .jsonl, .csv or "
        ".parquet.",
        rich_help_panel=WHAT,
    ),
]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="ROLE=NAME",
        help="Array of an .npz that is the images, labels or ids, such as images=x_test; may be "
        "given again.",
        rich_help_panel=WHAT,
    ),
]
Resize = Annotated[
    int | None,
    typer.Option(
        help="Scale the shorter side of each image to so many pixels.",
        show_default="as it is",
        rich_help_panel=WHAT,
    ),
]
Crop = Annotated[
    int | None,
    typer.Option(
        help="Then cut a square of this side from the center.",
        show_default="as it is",
        rich_help_panel=WHAT,
    ),
]
Budget = Annotated[
    float | None,
    typer.Option(
        help="False-positive rate that flags may have.",
        show_default="0.01",
        rich_help_panel=HOW,
    ),
]
Detectors = Annotated[
    list[str] | None,
    typer.Option(
        "--detector",
        metavar="NAME",
        help="Detector that gives the verdicts; given again, others run beside it.",
        show_default="functional_attribution",
        rich_help_panel=HOW,
    ),
]


class Seen(StrEnum):
    """What of a model detectors may see."""

    labels = "labels"
    probabilities = "probabilities"
    activations = "activations"
    gradients = "gradients"
    weights = "weights"


AccessTo = Annotated[
    Seen | None,
    typer.Option(
        "--access",
        help="What of the model may be seen; detectors that need more are left out.",
        show_default="all that it gives",
        rich_help_panel=HOW,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(help="Of everything random.", show_default="0", rich_help_panel=HOW),
]
PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        metavar="FILE",
        help="Plan to start from; the options here change it.",
        rich_help_panel=HOW,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any option of the plan, such as task.watch=last; may be given again.",
        rich_help_panel=HOW,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=1024,
        help="Processes that read image files ahead; they change no result.",
        show_default="one less than processors, 4 at most",
        rich_help_panel=HOW,
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        metavar="SIZE",
        help="What activations of one pass may take, such as 512MB or 4GB.",
        show_default="1GB",
        rich_help_panel=HOW,
    ),
]
PassTimeout = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        help="What one forward pass of the model may take; code that hangs outside of Python "
        "is not stopped.",
        show_default="no limit",
        min=0,
        rich_help_panel=HOW,
    ),
]
Power = Annotated[
    bool | None,
    typer.Option(
        "--sensitivity/--no-sensitivity",
        help="Plant triggers in copies of the model and say how many of their uses would be "
        "caught; each takes about as long as fitting.",
        show_default="where it costs at most half of the audit",
        rich_help_panel=HOW,
    ),
]


class FailOn(StrEnum):
    """From which result on the exit code is 1."""

    never = "never"
    finding = "finding"
    any = "any"


Strictness = Annotated[
    FailOn,
    typer.Option(
        "--fail-on",
        help="From what on the exit code is 1: a finding of high severity, or any of medium too.",
        rich_help_panel=WHERE,
    ),
]
BaselineFile = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        metavar="FILE",
        help="Findings that were accepted, with reasons; `anomech baseline` makes the file.",
        rich_help_panel=WHERE,
    ),
]


class Form(StrEnum):
    """A form of evidence for other programs."""

    sarif = "sarif"
    sarif_open = "sarif-open"
    junit = "junit"
    cyclonedx = "cyclonedx"
    card = "card"


Forms = Annotated[
    list[Form] | None,
    typer.Option(
        "--format",
        help="Evidence to write into the run folder beside the report; may be given again.",
        show_default="none",
        rich_help_panel=WHERE,
    ),
]
Fast = Annotated[
    bool,
    typer.Option(
        "--fast",
        help="Make no twins, and of a classifier look at the last layer alone: hardly dearer than "
        "inference, but blind to what only earlier layers or relearning show.",
        rich_help_panel=HOW,
    ),
]
Full = Annotated[
    bool,
    typer.Option(
        "--full",
        help="Look at every input in full, also at those that few views settle as clear.",
        rich_help_panel=HOW,
    ),
]
