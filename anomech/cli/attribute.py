"""`anomech attribute`: which heads of a language model carry a known trigger."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomech.cli.console import plain, progress, say
from anomech.cli.engines import HOW
from anomech.cli.guard import keep_details_in
from anomech.cli.options import WHAT, WHERE, Adapter, Base, Settings
from anomech.cli.summary import say_report

if TYPE_CHECKING:
    from anomech.roles.source import Source
    from anomech.roles.task_options import TaskOptions

Model = Annotated[
    str,
    typer.Option(metavar="FOLDER", help="Hugging Face folder of the model.", rich_help_panel=WHAT),
]
CleanModel = Annotated[
    str,
    typer.Option(
        metavar="FOLDER",
        help="Folder of the model without the backdoor, as control of the probe.",
        rich_help_panel=WHAT,
    ),
]
Triggered = Annotated[
    str,
    typer.Option(metavar="FILE", help="Prompts with the trigger.", rich_help_panel=WHAT),
]
Clean = Annotated[
    str,
    typer.Option(metavar="FILE", help="Prompts without the trigger.", rich_help_panel=WHAT),
]
Exact = Annotated[
    bool | None,
    typer.Option(
        "--exact/--first-order",
        help="Patch heads one by one, or follow the answer back to all at once.",
        show_default="one by one up to 256 heads",
        rich_help_panel=HOW,
    ),
]
VectorHeads = Annotated[
    int,
    typer.Option(
        help="Heads that the vector is summed over.",
        show_default="a thirtieth of all, 4 at least",
        rich_help_panel=HOW,
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, rich_help_panel=HOW)]
Folder = Annotated[
    Path,
    typer.Option("--out", help="Folder of the attribution.", rich_help_panel=WHERE),
]


def attribute(
    ctx: typer.Context,
    model: Model = "",
    adapter: Adapter = "",
    base: Base = "",
    clean_model: CleanModel = "",
    triggered: Triggered = "",
    clean: Clean = "",
    exact: Exact = None,
    vector_heads: VectorHeads = 0,
    seed: SeedOption = 0,
    settings: Settings = None,
    out: Folder = Path("runs/attribution"),
) -> None:
    """Show which attention heads carry a known trigger, and what switches it off.

    Needs prompts with the trigger and prompts without; the model answers both. Exit codes: 0 done,
    2 bad input, 4 an unexpected error, 130 interrupted.
    """
    from anomech.attributing.pipeline import Attributing
    from anomech.attributing.pipeline import attribute as run_attribution
    from anomech.kernel.errors import ConfigError

    keep_details_in(ctx, out)
    for name, value in (("model", model), ("triggered", triggered), ("clean", clean)):
        if not value:
            raise ConfigError(f"give --{name} {'FOLDER' if name == 'model' else 'FILE'}.")
    source, task = _opened(model, adapter, base, settings or [])
    asked = Attributing(
        model=source,
        clean_model=_opened(clean_model, "", "", [])[0] if clean_model else None,
        task=task,
        triggered=triggered,
        clean=clean,
        vector_heads=vector_heads,
        exact=exact,
        seed=seed,
    )
    with progress() as shown:
        found = run_attribution(asked, out, shown)
    say(
        f"{plain(found.title)}: the bad answer comes to {found.success:.0%} of triggered prompts "
        f"and to {found.success_clean:.0%} of clean ones.",
        style="bold",
    )
    for heads, left, kept in zip(
        found.ablation.heads, found.ablation.success, found.ablation.utility, strict=True
    ):
        say(f"without {heads:>4} heads: {left:.0%} left, clean answers keep {kept:.0%}")
    say(
        f"one vector at {plain(found.chosen)}: taken away {found.steered.suppressed:.0%} are left, "
        f"added it leads {found.steered.elicited:.0%} of clean prompts."
    )
    say_report(out)


def _opened(
    model: str, adapter: str, base: str, settings: list[str]
) -> "tuple[Source, TaskOptions]":
    """Where the model comes from, and how prompts reach it."""
    from anomech.audit.plan import Plan, from_mapping
    from anomech.audit.settings import assign, put
    from anomech.cli.groups import Network
    from anomech.cli.planning import asked
    from anomech.kernel.config import resolved

    values = resolved(Plan())
    for name, value in asked([Network(model=model, adapter=adapter, base=base)], {}).items():
        values = put(values, name, value, Plan)
    plan = from_mapping(assign(values, settings, Plan))
    return plan.model, plan.task
