"""A user's file builds the model; whatever goes wrong is one sentence."""

import sys

import pytest
import torch
from torch import nn

from anomech.artefacts.factory import build_model
from anomech.kernel.errors import ModelError


@pytest.fixture
def write(tmp_path):
    def write(text, name="entry.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def failure(spec):
    with pytest.raises(ModelError) as caught:
        build_model(str(spec))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_builds_the_model(write):
    path = write("from torch import nn\ndef make_model():\n    return nn.Linear(3, 2)\n")
    model = build_model(f"{path}:make_model")
    assert isinstance(model, nn.Linear)
    assert model(torch.ones(1, 3)).shape == (1, 2)


def test_neighbors_are_found_and_forgotten(write):
    entry = (
        "from torch import nn\nfrom dataclasses import dataclass\nimport neighbor_of_entry\n"
        "@dataclass\nclass Options:\n    size: 'int' = neighbor_of_entry.SIZE\n"
        "def make_model():\n    from package_of_entry import late\n"
        "    return nn.Linear(Options().size, late.SIZE)\n"
    )
    for folder, size in (("one", 3), ("two", 5)):
        write(entry, f"{folder}/entry.py")
        write(f"SIZE = {size}", f"{folder}/neighbor_of_entry.py")
        write("", f"{folder}/package_of_entry/__init__.py")
        write(f"SIZE = {size}", f"{folder}/package_of_entry/late.py")
    path, root = list(sys.path), write("")
    for folder, size in (("one", 3), ("two", 5)):
        model = build_model(f"{root.parent / folder / 'entry.py'}:make_model")
        assert model.weight.shape == (size, size)
    assert sys.path == path
    assert not {"neighbor_of_entry", "package_of_entry", "package_of_entry.late"} & set(sys.modules)


def test_path_is_restored_after_a_failure(write):
    path = list(sys.path)
    failure(f"{write('import sys; sys.path.append(3); 1 / 0')}:make_model")
    assert sys.path == path


def test_bad_specs(write, tmp_path):
    path = write(
        "def make_model():\n    return 3\ndef broken():\n    raise ValueError('bad\\nsize')\n"
    )
    assert "FACTORY.py:make_model" in failure(path)
    assert "FACTORY.py:make_model" in failure(f"{path}:")
    assert "does not exist" in failure(f"{tmp_path / 'none.py'}:make_model")
    assert "is not a Python file" in failure(f"{tmp_path}:make_model")
    assert "did you mean 'make_model'?" in failure(f"{path}:make_modl")
    assert "returned a int" in failure(f"{path}:make_model")
    assert "entry.py:broken failed with ValueError: bad size" in failure(f"{path}:broken")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 / 0", "failed with ZeroDivisionError"),
        ("def (", "failed with SyntaxError"),
        ("import sys; sys.exit(0)", "failed with SystemExit"),
        ("import no_such_module_here", "no_such_module_here"),
        ("x = 3", "has no functions"),
        ("def make_model(a):\n    pass", "missing 1 required positional argument"),
        ("from torch.nn import Linear\ndef make_model():\n    return Linear", "the class Linear"),
    ],
)
def test_files_that_fail(write, text, words):
    assert words in failure(f"{write(text)}:make_model")
