"""A suite of seconds: digits, one backdoor and a clean network, two cheap detectors."""

import copy

import pytest

from anomech.bench.cells import cells
from anomech.bench.runner import run_suite
from anomech.bench.suite import from_mapping

VALUES = {
    "name": "tiny",
    "title": "Tiny",
    "data": "digits",
    "network": "digits",
    "recipe": {"epochs": 8, "batch": 64, "peak": 0.1, "augment": "none"},
    "trusted": 300,
    "clean": 150,
    "sources": 80,
    "budgets": [0.01, 0.05],
    "detectors": {"mahalanobis": {}, "confidence": {}},
    "subjects": {
        "BadNets": {
            "attacks": {"badnets": {"ratio": 0.15, "size": 2}},
            "role": "development",
        },
        "clean": {},
    },
}


@pytest.fixture
def values():
    """The suite as a file has it; a test may change its copy."""
    return copy.deepcopy(VALUES)


@pytest.fixture
def suite(values):
    return from_mapping(values)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory):
    """Networks of all these tests, trained once."""
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture(scope="session")
def finished(zoo, tmp_path_factory):
    """A finished bench that tests may read but not change, and its outcome."""
    out = tmp_path_factory.mktemp("finished") / "bench"
    return out, run_suite(from_mapping(copy.deepcopy(VALUES)), out, zoo=zoo)


@pytest.fixture
def cell_of(suite):
    """The cell of a subject and a detector."""

    def find(subject, detector, of=None):
        (found,) = [
            cell for cell in cells(of or suite) if (cell.case, cell.detector) == (subject, detector)
        ]
        return found

    return find
