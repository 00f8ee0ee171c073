"""The folder is the registry, and another package joins by an entry point."""

import sys
from pathlib import Path

import numpy as np
import pytest

import anomech
from anomech.audit.auditor import Auditor
from anomech.data.subset import Subset
from anomech.kernel import plugins
from anomech.kernel.errors import ConfigError

FOREIGN = '''
"""A detector of another package."""

from dataclasses import dataclass, field

from anomech.kernel.config import option, options
from anomech.kernel.detector import Scores
from anomech.kernel.tracer import Health


@options
class AnswerNumber:
    """Scores an answer by its number."""

    factor: float = option(2.0, "what numbers are multiplied by")

    @property
    def needs(self):
        return frozenset()

    def fit(self, anchors, *, seed, progress):
        return Fitted(self.factor)


@dataclass(frozen=True)
class Fitted:
    factor: float
    health: Health = field(default_factory=Health)
    left_out: dict = field(default_factory=dict)
    evaluations: float = 0.0

    def score(self, observed, progress):
        return Scores(observed.groups.double() * self.factor, {})
'''


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_every_public_file_of_the_folder_is_a_method(kind):
    folder = Path(anomech.__file__).parent / plugins.KINDS[kind].rpartition(".")[2]
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
def foreign(tmp_path, monkeypatch):
    """An installed package with one detector."""
    (tmp_path / "other_package").mkdir()
    (tmp_path / "other_package" / "__init__.py").write_text("")
    (tmp_path / "other_package" / "answer_number.py").write_text(FOREIGN)
    info = tmp_path / "other_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[anomech.detectors]\nanswer_number = other_package.answer_number:AnswerNumber\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins._foreign.cache_clear()
    yield
    plugins._foreign.cache_clear()
    for name in [name for name in sys.modules if name.startswith("other_package")]:
        del sys.modules[name]


def test_a_package_joins_by_entry_point_and_works_like_our_own(foreign, digits_world):
    assert "answer_number" in plugins.names("detector")
    assert "answer_number" not in plugins.names("tracer")
    assert "other_package" not in sys.modules  # listing imports nothing
    assert plugins.get("detector", "answer_number")().factor == 2.0
    auditor = Auditor(detector="answer_number", options={"factor": 3.0}, budget=0.1)
    fitted = auditor.fit(digits_world.task, digits_world.trusted)
    verdicts = fitted.score(Subset(digits_world.clean, np.arange(3)))
    assert [verdict.score for verdict in verdicts] == [3.0 * int(v.answer) for v in verdicts]
    with pytest.raises(ConfigError, match="did you mean 'factor'"):
        Auditor(detector="answer_number", options={"factr": 1}).fit(None, None)


def test_without_the_package_the_method_is_gone():
    assert "answer_number" not in plugins.names("detector")
