"""The command `anomech`."""

from importlib.metadata import version
from typing import Annotated

import typer

from anomech.cli.attribute import attribute
from anomech.cli.audit import audit
from anomech.cli.baseline import baseline
from anomech.cli.bench import bench
from anomech.cli.bias import bias
from anomech.cli.check import check
from anomech.cli.console import say_whole, tolerant_streams
from anomech.cli.demo import demo
from anomech.cli.describe import describe
from anomech.cli.explain import explain
from anomech.cli.federate import federate
from anomech.cli.fit import fit
from anomech.cli.guard import GuardedGroup, reader_may_leave
from anomech.cli.plan import plan
from anomech.cli.repair import repair
from anomech.cli.report import report
from anomech.cli.review import review
from anomech.cli.scan import scan
from anomech.cli.screen import screen
from anomech.cli.train import train

app = typer.Typer(
    name="anomech",
    cls=GuardedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Tell which of a model's outputs came from a mechanism that trusted data cannot explain.",
)
app.command()(demo)
app.command()(scan)
app.command()(screen)
app.command()(check)
app.command()(audit)
app.command()(fit)
app.command()(explain)
app.command()(attribute)
app.command()(bias)
app.command()(repair)
app.command()(review)
app.command()(report)
app.command()(baseline)
app.command()(bench)
app.command()(federate)
app.command()(train)
app.command()(describe)
app.add_typer(plan, name="plan")


def _version(wanted: bool) -> None:
    if wanted:
        say_whole(f"anomech {version('anomech')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where in the program an error comes from.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line of this process."""
    tolerant_streams()
    with reader_may_leave():
        app(prog_name="anomech")
