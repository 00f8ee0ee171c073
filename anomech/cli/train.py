"""`anomech train`: a network trained ordinarily or to be robust, in a folder that resumes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomech.cli.console import plain, progress, say, say_whole, warn

if TYPE_CHECKING:
    from anomech.records.training import TrainingRun

WHAT, HOW, WHERE = "What to train", "How to train", "Where things are"


Trainer = Annotated[
    str,
    typer.Argument(
        metavar="TRAINER", help="Such as standard, trades or halo: `anomech describe trainer`."
    ),
]
Data = Annotated[
    str,
    typer.Option(
        metavar="NAME|DIR",
        help="Data set, or a folder with train and test.",
        rich_help_panel=WHAT,
    ),
]
Outliers = Annotated[
    str,
    typer.Option(
        metavar="NAME|PATH",
        help="Foreign images to learn to refuse, for trainers that do.",
        rich_help_panel=WHAT,
    ),
]
Architecture = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Architecture by name.",
        show_default="resnet14",
        rich_help_panel=WHAT,
    ),
]
Own = Annotated[
    str,
    typer.Option(
        metavar="FILE.py:NAME",
        help="A network of your own instead; the file is run.",
        rich_help_panel=WHAT,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(help="Passes over the images.", show_default="20", rich_help_panel=HOW),
]
Half = Annotated[
    bool, typer.Option("--bf16", help="Run the network in bfloat16.", rich_help_panel=HOW)
]
Device = Annotated[
    str,
    typer.Option(
        help="Where, such as cuda.", show_default="a GPU if there is one", rich_help_panel=HOW
    ),
]
Seed = Annotated[
    int | None, typer.Option(help="Of everything random.", show_default="0", rich_help_panel=HOW)
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any option of the plan, such as trainer.robust=6 or recipe.peak=0.1.",
        rich_help_panel=HOW,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder of the training.",
        show_default="runs/train-TRAINER",
        rich_help_panel=WHERE,
    ),
]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data-folder",
        envvar="ANOMECH_DATA",
        help="Folder of named data sets.",
        rich_help_panel=WHERE,
    ),
]


def train(
    trainer: Trainer,
    data: Data,
    outliers: Outliers = "",
    network: Architecture = "",
    model: Own = "",
    epochs: Epochs = None,
    bf16: Half = False,
    device: Device = "",
    seed: Seed = None,
    settings: Settings = None,
    out: Folder = None,
    folder: DataFolder = None,
) -> None:
    """Train an image classifier, ordinarily or so that attacks on it and on scores find less.

    The same command goes on with a killed training from its last epoch, to the same numbers.
    """
    from anomech.audit.settings import assign
    from anomech.bench.training_plan import TrainingPlan, from_mapping

    recipe: dict[str, Any] = {} if epochs is None else {"epochs": epochs}
    given = {
        **{"trainer": trainer, "data": data, "outliers": outliers, "factory": model},
        **{"device": device, "recipe": {**recipe, **({"bfloat16": True} if bf16 else {})}},
        **({"network": network} if network else {}),
        **({} if seed is None else {"seed": seed}),
    }
    plan = from_mapping(assign(given, settings or [], TrainingPlan))
    from anomech.bench.training_run import run_training

    place = out or Path("runs") / f"train-{trainer}"
    with progress() as shown:
        run = run_training(plan, place, data=folder, progress=shown)
    _say(run, place, own=bool(model))


def _say(run: "TrainingRun", place: Path, *, own: bool) -> None:
    for problem in run.problems:
        warn(problem)
    robust = ""
    if run.robust is not None:
        robust = f", {run.robust:.1%} of {run.attacked} moved by at most {run.eps:g} gray levels"
    say(f"{run.trainer}: {run.accuracy:.1%} of the test images are answered rightly{robust}.")
    say_whole(f"Weights: {plain(place / 'network.safetensors')}")
    if not own:
        say_whole(f"Network: {plain(place / 'model.py')}:network")
