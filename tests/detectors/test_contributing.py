"""The code in CONTRIBUTING.md does what the text says."""

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from anomech.kernel.types import silent

ROOT = Path(__file__).parents[2]
CODE = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)


@pytest.fixture
def module(monkeypatch):
    """Runs a text as a module of this name."""

    def made(text, name):
        found = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, found)
        exec(compile(text, "CONTRIBUTING.md", "exec"), found.__dict__)
        return found

    return made


def test_the_detector_passes_the_test_that_is_written_for_it(module, anchors, queries):
    module(CODE[0], "anomech.detectors.margin")
    module(CODE[1], "test_margin").test_it_is_how_far_the_runner_up_is_behind(anchors, queries)


def test_the_screen_suspects_labels_that_few_have(module, anchors):
    method = module(CODE[2], "anomech.screens.rare_labels").RareLabels(rare=2)
    labels = np.zeros(len(anchors), np.int64)
    labels[:1] = 1
    found = method.screen(anchors, labels, None, seed=0, progress=silent)
    assert found.suspects.tolist() == [True] + [False] * (len(anchors) - 1)
    assert found.suspicion.argmax() == 0
