"""Any value of any option of the command line is an exit code and one short sentence."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from anomech.cli.app import app

ODD = [
    "1e-320",
    "nan",
    "-1",
    "9" * 400,
    "99999999999999999999",
    "[[[",
    "&a [*a]",
    "",
    "\ud83d",
    "💥",
]
LONG = "/".join(["a" * 200] * 25)


def code_of(*words):
    """The exit code of an audit that cannot start; what it says must be short and whole."""
    result = CliRunner().invoke(app, ["audit", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    said = result.stderr
    assert "Traceback" not in said
    assert len(said) < 4000
    return result.exit_code


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize(
    "option", ["--budget", "--seed", "--workers", "--memory", "--resize", "--crop", "--engine"]
)
def test_odd_numbers(option, value):
    assert code_of(option, value) == 2  # at the latest because no model is named


@pytest.mark.parametrize("value", [*ODD, "9" * 5000], ids=range(len(ODD) + 1))
@pytest.mark.parametrize("option", ["seed", "chunk", "task.std", "task.device", "budget", "lead"])
def test_odd_settings(option, value):
    assert code_of("--set", f"{option}={value}") == 2


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
def test_odd_workers_of_an_engine(value):
    assert code_of("--engine", "processes", "--engine-set", f"workers={value}") == 2


@pytest.mark.parametrize("option", ["--model", "--weights", "--reference", "--inputs", "--plan"])
def test_long_and_strange_paths(option):
    for path in (LONG, f"{LONG}:f", f"{LONG}.py:f", "a\nb.py:f", "💥.py:f", "\udcff.npz"):
        assert code_of(option, path) == 2


@given(st.lists(st.text(st.characters(exclude_characters="\0"), max_size=12), max_size=4))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_words(words):
    assert code_of(*words) in (0, 2)
