"""Sources: what they refuse before anything is read, and what they suggest to a task."""

import pytest
import torch
from safetensors.torch import save_file

from anomech.kernel import plugins
from anomech.kernel.config import suggested
from anomech.kernel.errors import ConfigError, ModelError
from anomech.sources.factory import Factory
from anomech.tasks.image_classifier import ImageClassifierOptions

NETWORK = "from torch import nn\n\n\ndef make():\n    return nn.Linear(2, 2, bias=False)\n"


@pytest.mark.parametrize("name", plugins.names("source"))
def test_a_source_that_names_nothing_is_refused_and_still_has_a_title(name):
    source = plugins.get("source", name)()
    assert source.title == "model"
    with pytest.raises(ConfigError, match="names no model; give --"):
        source.check()


def test_a_factory_takes_weights_and_its_title_has_no_folders(tmp_path):
    (tmp_path / "net.py").write_text(NETWORK)
    save_file({"weight": torch.eye(2)}, tmp_path / "w.safetensors")
    source = Factory(factory=f"{tmp_path}/net.py:make", weights=f"{tmp_path}/w.safetensors")
    opened = source.open()
    assert torch.equal(opened.model.weight, torch.eye(2))
    assert opened.title == source.title == "w.safetensors"
    assert Factory(factory=f"{tmp_path}/net.py:make").title == "net.py:make"


def test_weights_of_another_network_are_refused(tmp_path):
    (tmp_path / "net.py").write_text(NETWORK)
    save_file({"weight": torch.eye(3)}, tmp_path / "w.safetensors")
    source = Factory(factory=f"{tmp_path}/net.py:make", weights=f"{tmp_path}/w.safetensors")
    with pytest.raises(ModelError, match="weight"):
        source.open()


def test_what_a_plan_says_wins_over_a_suggestion():
    known = {"mean": (0.5,), "std": (0.25,), "template": "none of this task"}
    assert suggested(ImageClassifierOptions(), known).mean == (0.5,)
    said = suggested(ImageClassifierOptions(std=(2.0,)), known)
    assert (said.mean, said.std) == ((0.5,), (2.0,))
