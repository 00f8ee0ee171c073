"""A hash of code changes with every file that went in, and with no other."""

import sys

import pytest

from anomech.attacks.badnets import Badnets
from anomech.attacks.input_aware import InputAware
from anomech.detectors.functional_attribution import FunctionalAttribution
from anomech.storage import code
from anomech.storage.code import code_digest, code_of, sources
from anomech.tracing.gradient import Gradient
from anomech.tracing.last_layer import LastLayer


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose files a test may change; nothing of it is imported."""
    root = tmp_path / "paint_shop"
    (root / "inner").mkdir(parents=True)
    for path, text in {
        "__init__.py": "",
        "method.py": "from paint_shop import helper\nfrom .inner.deep import thing\n",
        "helper.py": "def late():\n    import paint_shop.later\n",
        "later.py": "import numpy\n",
        "other.py": "",
        "inner/__init__.py": "",
        "inner/deep.py": "from .. import sideways\nthing = 1\n",
        "sideways.py": "",
    }.items():
        (root / path).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    clear()
    yield root
    clear()


def clear():
    for each in (code._read, code._imported, code._file):
        each.cache_clear()


def test_imports_are_followed_wherever_they_stand(package):
    found = {name.removeprefix("paint_shop").lstrip(".") for name in sources("paint_shop.method")}
    assert found == {"", "method", "helper", "later", "inner", "inner.deep", "sideways"}
    assert "paint_shop" not in sys.modules
    apart = sources("paint_shop.method", apart_from=("paint_shop.inner", "paint_shop.later"))
    assert set(apart) == {"paint_shop", "paint_shop.method", "paint_shop.helper"}


@pytest.mark.parametrize(
    ("file", "counts"),
    [("method.py", True), ("later.py", True), ("sideways.py", True), ("other.py", False)],
)
def test_an_edit_changes_the_hash_of_what_imports_it(package, file, counts):
    before = code_digest("paint_shop.method")
    assert code_digest("paint_shop.method") == before
    with open(package / file, "a") as stream:
        stream.write("# edited\n")
    clear()
    assert (code_digest("paint_shop.method") != before) == counts


def test_our_own_methods_are_known_by_what_they_import():
    found = sources("anomech.attacks.input_aware")
    assert {"anomech.attacks._batches", "anomech.learning.painters"} <= set(found)
    assert not any(name.startswith("anomech.detectors") for name in found)
    assert code_of(Badnets()) == code_of(Badnets(size=2))
    assert code_of(Badnets()) != code_of(InputAware())
    assert code_of(Badnets(), InputAware()) == code_of(InputAware(), Badnets())


def test_what_an_option_holds_counts():
    one, two = (FunctionalAttribution(tracer=tracer) for tracer in (Gradient(), LastLayer()))
    assert code_of(one) == code_of(one, Gradient())
    assert code_of(one) != code_of(two)


def test_a_module_without_a_file_is_left_out():
    assert sources("nowhere.at_all") == {}
    assert sources("sys") == {}
