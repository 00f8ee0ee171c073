"""Methods of other packages on the command line: described, listed, and their faults told."""

import pytest
from plugin_package import TOYS, announce, installed, toy_points

from anomech.kernel import plugins

BARE = '''
"""A detector whose author forgot `option`."""

from anomech.kernel.config import options


@options
class Bare:
    """One bare field."""

    factor: float = 2.0
'''
BROKEN = "import a_library_that_nobody_has\n"


@pytest.fixture
def toys(tmp_path):
    announce(tmp_path / "toys", "anomech-toys", toy_points())
    with installed(TOYS, tmp_path / "toys"):
        yield


@pytest.fixture
def faulty(tmp_path):
    """A package whose screens cannot be used."""
    folder = tmp_path / "faulty"
    points = {"bare": "faulty_pack.bare:Bare", "broken": "faulty_pack.broken:Broken"}
    announce(folder, "faulty-pack", {"anomech.screens": points | {"gone": "no_such_pack:Gone"}})
    (folder / "faulty_pack").mkdir()
    for name, text in (("__init__", ""), ("bare", BARE), ("broken", BROKEN)):
        (folder / "faulty_pack" / f"{name}.py").write_text(text)
    with installed(folder):
        yield


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("screen", "rare_labels", "examples of a label that make it common"),
        ("scanner", "favorite_answer", "It has no options"),
        ("mitigation", "dampening", "what weights are multiplied by"),
        ("explainer", "loud_features", "It has no options"),
        ("detector", "answer_number", "what numbers are multiplied by"),
    ],
)
def test_a_foreign_method_is_listed_and_described(toys, run, kind, name, says):
    assert name in run("describe", kind).out
    described = run("describe", kind, name)
    assert described.code == 0
    assert says in " ".join(described.out.split())


def test_the_map_says_which_one_file_adds_each_kind(run):
    shown = run("describe", "--where")
    assert shown.code == 0
    words = shown.out.split()
    for kind, folder in plugins.KINDS.items():
        assert kind in words
        assert f"{folder.replace('.', '/')}/NAME.py" in words
        assert plugins.group(kind) in words
    one = run("describe", "scanner", "--where").out
    assert "anomech/scanners/NAME.py" in one
    assert "anomech/screens/NAME.py" not in one


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bare", "Bare.factor is no option yet"),
        ("broken", "No module named 'a_library_that_nobody_has'"),
        ("gone", "No module named 'no_such_pack'"),
    ],
)
def test_a_faulty_package_is_one_sentence(faulty, run, name, says):
    refused = run("describe", "screen", name)
    assert refused.code == 2
    said = " ".join(refused.err.split())
    assert f"the screen '{name}' of another package" in said
    assert says in said
    assert "mend or uninstall that package" in said
    assert "Traceback" not in refused.err + refused.out


def test_a_faulty_package_does_not_hide_the_others(faulty, run):
    listed = run("describe", "screen")
    assert listed.code == 0
    said = " ".join(listed.out.split())
    assert "spectral_signatures" in said
    assert "Bare.factor is no option yet" in said
