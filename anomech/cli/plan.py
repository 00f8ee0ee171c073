"""`anomech plan`: write a plan to start from, and check one."""

from pathlib import Path
from typing import Annotated

import typer

from anomech.cli.console import plain, say_whole, warn
from anomech.kernel.errors import ConfigError, RunError

plan = typer.Typer(
    no_args_is_help=True,
    help="Write a commented plan, or check one; `anomech audit --plan FILE` runs it.",
)

STDOUT = Path("-")


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
