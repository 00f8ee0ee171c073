"""Groups of options: what help shows, what a command gets, and that a plan file keeps the rest."""

from dataclasses import dataclass

import pytest
import typer
from typer.testing import CliRunner

from anomech.cli.grouped import grouped
from anomech.cli.groups import Judging, Network, Running
from anomech.cli.options import Budget, Seed
from anomech.cli.review import _plan
from anomech.kernel.errors import ConfigError


@dataclass(frozen=True)
class Some:
    budget: Budget = None
    seed: Seed = None


def test_a_group_stands_for_its_options():
    got = []

    @grouped
    def command(ctx: typer.Context, *, some: Some, name: str = "n") -> None:
        """Do it."""
        got.append((some, name, ctx.command.name))

    app = typer.Typer()
    app.command()(command)
    assert CliRunner().invoke(app, ["--seed", "3", "--name", "m"]).exit_code == 0
    assert got == [(Some(seed=3), "m", "command")]
    shown = CliRunner().invoke(app, ["--help"]).output
    assert shown.index("Do it.") < shown.index("--budget") < shown.index("--seed")


@pytest.mark.parametrize("command", ["audit", "check", "fit", "review"])
def test_commands_that_judge_take_the_same_options(run, command):
    shown = run(command, "--help").out
    for name in ("--fast", "--full", "--detector", "--sensitivity", "--adapter", "--memory"):
        assert name in shown, name


def test_options_of_a_review_change_its_plan_file(tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text(
        "audit: {budget: 0.02, reference: trusted}\nscan: false\nrounds: 3\ncosts: {attack: [1, 2]}"
    )
    running = Running(plan=file, settings=["lead=knn", "detectors={knn: {}}"])
    plan = _plan({"budget": 0.05}, {"costs": {"prior": [0.1, 0.2]}}, Judging(), running)
    assert (plan.first.budget, plan.first.reference, plan.first.lead) == (0.05, "trusted", "knn")
    assert (plan.scan, plan.rounds, plan.costs.attack) == (False, 3, (1, 2))
    assert plan.costs.prior == (0.1, 0.2)


def test_two_models_are_one_too_many():
    with pytest.raises(ConfigError, match="one model"):
        Network(model="m.py:make", backdoorbench="attack_result.pt").asked()
