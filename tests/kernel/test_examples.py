"""The examples run."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example(path, capsys):
    found = runpy.run_path(str(path))
    assert len(found["flagged"]) >= 80
    assert "flagged" in capsys.readouterr().out
