"""`anomech demo`: a backdoored model, trained and audited in seconds."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomech.cli.console import progress, say, table
from anomech.cli.summary import earlier, say_mechanisms, say_report, say_reused

if TYPE_CHECKING:
    from anomech.bench.demo import DemoResult

BUDGET = 0.01


class Kind(StrEnum):
    """What is audited."""

    images = "images"
    language = "language"


def demo(
    kind: Annotated[Kind, typer.Option(help="A classifier of digits, or a language model.")] = (
        Kind.images
    ),
    attack: Annotated[
        str, typer.Option(help="Backdoor to plant: badnets, blended or wanet.")
    ] = "badnets",
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    budget: Annotated[float, typer.Option(help="False-positive rate that flags may have.")] = (
        BUDGET
    ),
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder.", show_default="runs/demo-ATTACK-SEED"),
    ] = None,
) -> None:
    """Train a small model with a planted backdoor, audit it and write a report.

    Real handwritten digits that come with the installation, or a language model that learns a
    trigger string: the small one in the folder ANOMECH_DATA, else one that is made on the spot.
    Nothing is downloaded. Run again with the same options, it shows the finished run, or continues
    an unfinished one.
    """
    from anomech.bench.demo import demo as run_demo
    from anomech.bench.language_demo import language_demo

    language = kind is Kind.language
    folder = out or _folder(kind.value if language else attack, seed, budget)
    before = earlier(folder)
    with progress() as shown:
        result = (
            language_demo(seed, budget, folder, shown)
            if language
            else run_demo(attack, seed, budget, folder, shown)
        )
    if before == result.run:
        say_reused(result.run)
    _say_detectors(result)
    say("")
    say_mechanisms(result.run)
    say("")
    say(_paragraph(result, "language model" if language else "network"))
    say("")
    say_report(folder)


def _folder(attack: str, seed: int, budget: float) -> Path:
    """A place that two demos share only if they are the same."""
    name = f"demo-{attack}-{seed}" + ("" if budget == BUDGET else f"-{budget:g}")
    return Path("runs") / name.replace("/", "-")


def _say_detectors(result: "DemoResult") -> None:
    run = result.run
    auroc = run.truth.auroc if run.truth else {}
    rows = [
        (
            f"{each.name} *" if each.lead else each.name,
            str(each.flagged),
            str(result.caught[each.name]),
            "?" if each.name not in auroc else f"{auroc[each.name]:.3f}",
            f"{1 + each.evaluations:.3g}",
            f"{each.fit_seconds + each.score_seconds:.2f}",
        )
        for each in run.detectors
    ]
    columns = ("detector", "flagged", "rightly", "AUROC", "passes", "seconds")
    table([(name, "right" if place else "left") for place, name in enumerate(columns)], rows)
    say("* gives the verdicts. Passes: cost of one input in forward passes, its answer included.")


def _paragraph(result: "DemoResult", model: str) -> str:
    run, truth = result.run, result.run.truth
    lead = next(each for each in run.detectors if each.lead)
    text = (
        f"The {model} answers {result.accuracy:.1%} of clean inputs rightly, and "
        f"{result.success:.1%} of triggered ones as the attacker wants. "
    )
    if truth is None:
        return text
    missed = truth.triggered - truth.true_positives
    return text + (
        f"{lead.name} flagged {lead.flagged} of {lead.inputs} inputs at a budget of "
        f"{run.budget:.3g}: {truth.true_positives} of the {truth.triggered} whose trigger worked "
        f"({missed} missed) and {truth.false_positives} of {result.clean} clean ones "
        f"({truth.false_positives / result.clean:.1%})."
    )
