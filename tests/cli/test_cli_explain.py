"""Flags of a run explained by command line: the patch is seen, its units are found."""

import pytest
from typer.testing import CliRunner

from anomech.cli.app import app
from anomech.records import ExplainedRun, read_record

FAST = ("ablation_effect", "shared_change", "salience")


@pytest.fixture(scope="module")
def audited(files, tmp_path_factory):
    """A finished audit in which the stamped inputs are flagged."""
    out = tmp_path_factory.mktemp("explained") / "run"
    result = CliRunner().invoke(app, [*files.options(), "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


def test_a_mechanism_is_explained_in_words_and_pictures(run, audited, tmp_path):
    out = tmp_path / "why"
    words = [part for name in FAST for part in ("--explainer", name)]
    result = run("explain", audited, "flags", "--out", out, *words)
    assert result.code == 0, result.err
    assert "in the top hundredth of units" in result.out
    found = read_record(out / "explanation.json", ExplainedRun)
    assert found.about == "all flagged inputs"
    assert [each.name for each in found.explainers] == list(FAST)
    maps = {each.name: each.maps for each in found.explainers}
    assert len(maps["salience"]) == len(found.shown) > 0
    assert maps["ablation_effect"] == ()
    assert found.top
    assert 0 <= found.top[-1].rank <= found.top[0].rank <= 1
    for path in (*maps["salience"], *(each.preview for each in found.shown)):
        assert (out / path).read_bytes().startswith(b"\x89PNG")
    page = (out / "report.html").read_text()
    assert "What the mechanism looks at" in page
    assert "<script" not in page
    again = run("explain", audited, "flags", "--out", out, "--explainer", "shared_change")
    assert again.code == 0


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (["mechanism", "99"], "give the number of a mechanism"),
        (["nobody"], "has no input 'nobody'"),
        (["flags", "--explainer", "magic"], "magic"),
    ],
)
def test_what_is_not_there_is_said(run, audited, tmp_path, what, says):
    result = run("explain", audited, *what, "--out", tmp_path / "why")
    assert result.code == 2
    assert says in result.error


def test_a_folder_that_is_no_run_is_refused(run, tmp_path):
    assert run("explain", tmp_path, "--out", tmp_path / "why").code == 2
