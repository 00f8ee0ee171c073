"""`anomech plan`: write a plan to start from, and check one."""

from pathlib import Path
from typing import Annotated

import typer

from anomech.cli.console import plain, say, say_whole, table, warn
from anomech.kernel.errors import ConfigError, RunError

plan = typer.Typer(
    no_args_is_help=True,
    help="Write a commented plan, or check one; `anomech audit --plan FILE` runs it.",
)

STDOUT = Path("-")

UNITS = {"ms": 1e-3, "s": 1, "min": 60, "h": 3600}
"""Units of time, with their seconds."""


@plan.command()
def new(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="Where to write it; '-' means to stdout.")
    ] = STDOUT,
) -> None:
    """Write a plan with every option, its default and a sentence about it."""
    from anomech.audit.plan import commented

    text = commented()
    if file == STDOUT:
        say_whole(text.rstrip("\n"))
        return
    try:
        with open(file, "x", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
    except FileExistsError:
        raise ConfigError(
            f"{file} exists already and is not overwritten; choose another name or remove it."
        ) from None
    except OSError as error:
        raise RunError(
            f"{file} could not be written ({error.strerror}); choose another place."
        ) from None
    say_whole(plain(file))


@plan.command()
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="The plan.")]) -> None:
    """Check a plan and print it with every option resolved; no data is read."""
    from anomech.audit.load.loading import check_named
    from anomech.audit.plan import as_yaml, from_mapping, read_plan

    checked = from_mapping(read_plan(file))
    say_whole(as_yaml(checked).rstrip("\n"))
    try:
        check_named(checked)
    except ConfigError as error:
        warn(f"the plan is valid, but {error}")


@plan.command()
def estimate(
    model: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER|config.json", help="Of a causal language model; no weights are needed."
        ),
    ],
    machine: Annotated[
        str, typer.Option(help="Where: here, or a graphics card such as h100-80gb.")
    ] = "here",
    trusted: Annotated[int, typer.Option(min=1, help="Trusted examples.")] = 1000,
    inputs: Annotated[int, typer.Option(min=0, help="Inputs to judge.")] = 10_000,
    prompt: Annotated[int, typer.Option(min=1, help="Tokens of a prompt, on average.")] = 200,
    file: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Plan whose options count.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any option of the plan."),
    ] = None,
) -> None:
    """Say what an audit of a language model would take, from its config.json alone.

    On this machine a block of the model's size is run for a moment; of graphics cards a share of
    what their data sheets say is taken.
    """
    from anomech.artefacts.decoder_sizes import decoder_sizes
    from anomech.artefacts.hugging_face_folders import CONFIG, read_json
    from anomech.audit.estimating import estimate as estimated
    from anomech.audit.estimating import machine_of, work_of
    from anomech.cli.groups import Running
    from anomech.cli.planning import plan_of

    resolved = plan_of({"task.use": "causal_lm"}, Running(plan=file, settings=settings))
    sizes = decoder_sizes(read_json(model / CONFIG if model.is_dir() else model))
    where = machine_of(machine, sizes, prompt)
    work = work_of(resolved, sizes, trusted=trusted, inputs=inputs, prompt=prompt)
    found = estimated(sizes, where, work)
    say(f"{sizes.parameters / 1e9:.3g} billion parameters on {where.name}", style="bold")
    rows = [(name, duration(seconds)) for name, seconds in found.seconds.items()]
    rows.append(("together", duration(sum(found.seconds.values()))))
    table([("time", "left"), ("about", "right")], rows)
    say(
        f"One input: {duration(found.once)} beyond generating its answer, which is "
        f"{found.passes:g} forward passes."
    )
    say("")
    held = [(name, f"{size / 1e9:.2f} GB") for name, size in found.bytes.items()]
    needed = sum(found.bytes.values())
    table([("memory", "left"), ("about", "right")], [*held, ("together", f"{needed / 1e9:.2f} GB")])
    for sentence in found.advice(where):
        warn(sentence)


def duration(seconds: float) -> str:
    """So long, in a unit that fits."""
    for name, size in UNITS.items():
        if seconds < 100 * size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds / 86400:.3g} days"
