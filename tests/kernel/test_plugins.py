"""The folder is the registry, and another package joins by an entry point."""

import sys
from pathlib import Path

import numpy as np
import pytest
from plugin_package import TOYS, announce, installed, toy_points

import anomech
from anomech.audit.auditor import Auditor
from anomech.data.subset import Subset
from anomech.kernel import plugins
from anomech.kernel.errors import ConfigError


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_every_public_file_of_the_folder_is_a_method(kind):
    folder = Path(anomech.__file__).parent / plugins.KINDS[kind].partition(".")[2].replace(".", "/")
    files = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    assert plugins.names(kind) == files
    for name in files:
        cls = plugins.get(kind, name)
        assert cls.__name__ == plugins.class_name(name) + plugins.SUFFIX.get(kind, "")
        assert cls.__module__ == f"{plugins.KINDS[kind]}.{name}"


def test_names_map_to_classes():
    assert plugins.class_name("rmsprop_sgld") == "RmspropSgld"
    assert plugins.get("tracer", "rmsprop_sgld").__name__ == "RmspropSgld"


def test_unknown_kinds_and_names_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="no detector is named 'enrgy': did you mean 'energy'"):
        plugins.get("detector", "enrgy")
    with pytest.raises(ConfigError, match="no kind of method is named 'detectr'"):
        plugins.names("detectr")
    with pytest.raises(ConfigError):
        plugins.get("tracer", "_layers")  # private files are no methods
    with pytest.raises(ConfigError):
        plugins.get("detector", "../energy")


@pytest.fixture
def foreign(tmp_path):
    """The toy package, as if it were installed."""
    announce(tmp_path, "anomech-toys", toy_points())
    with installed(TOYS, tmp_path):
        yield


def test_a_package_joins_by_entry_point_and_works_like_our_own(foreign, digits_world):
    assert "answer_number" in plugins.names("detector")
    assert "answer_number" not in plugins.names("tracer")
    assert "anomech_toys" not in sys.modules  # listing imports nothing
    assert plugins.get("detector", "answer_number")().factor == 2.0
    auditor = Auditor(detector="answer_number", options={"factor": 3.0}, budget=0.1)
    fitted = auditor.fit(digits_world.task, digits_world.trusted)
    verdicts = fitted.score(Subset(digits_world.clean, np.arange(3)))
    assert [verdict.score for verdict in verdicts] == [3.0 * int(v.answer) for v in verdicts]
    with pytest.raises(ConfigError, match="did you mean 'factor'"):
        Auditor(detector="answer_number", options={"factr": 1}).fit(None, None)


def test_without_the_package_the_method_is_gone():
    assert "answer_number" not in plugins.names("detector")
