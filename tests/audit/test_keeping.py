"""Folders of runs of every kind: whose they are, and what work that ends early leaves in them."""

import pytest

from anomech.audit.write import keeping
from anomech.audit.write.folder import KIND as AUDIT
from anomech.kernel.errors import DataError, Inconclusive, RunError
from anomech.records import ModelScan, RepairRun, Review, Run, Screening, read_record
from anomech.repair.folder import KIND as REPAIR
from anomech.review.pipeline import KIND as REVIEW
from anomech.scan.folder import KIND as SCAN
from anomech.screening.pipeline import KIND as SCREENING

COMMON = {"status": "running", "title": "net", "started": "2026-01-01T00:00:00Z", "seconds": 0.0}

BEGUN = {
    "audit": (AUDIT, Run(**COMMON, task="image_classifier", budget=0.01)),
    "scan": (SCAN, ModelScan(**COMMON, task="image_classifier", level=0.05)),
    "repair": (REPAIR, RepairRun(**COMMON, task="image_classifier")),
    "screening": (SCREENING, Screening(**COMMON, task="image_classifier", lead="scan")),
    "review": (REVIEW, Review(**COMMON)),
}


@pytest.fixture(params=BEGUN, ids=str)
def kind(request):
    return BEGUN[request.param]


def end(kind, begun, out, error):
    assert keeping.opened(kind, out, "seed: 1") is None
    with pytest.raises(type(error)), keeping.noted(kind, out, begun):
        raise error
    return read_record(out / kind.top, kind.record)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), "interrupted", "Stopped by hand"),
        (DataError("no images <b>"), "failed", "no images <b>"),
        (Inconclusive("too few"), "inconclusive", "too few"),
        (ZeroDivisionError(), "failed", "ZeroDivisionError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_ends_work_stands_in_the_record_and_on_the_page(kind, tmp_path, error, status, said):
    record = end(*kind, tmp_path, error)
    assert record.status == status
    assert said in record.message
    page = (tmp_path / "report.html").read_text()
    assert said.replace("<b>", "&lt;b&gt;") in page


def test_what_failed_gives_way_and_what_was_stopped_does_not(kind, tmp_path):
    end(*kind, tmp_path, DataError("no images"))
    assert keeping.opened(kind[0], tmp_path, "seed: 2") is None
    (tmp_path / "plan.yaml").write_text("seed: 1")
    end(*kind, tmp_path, KeyboardInterrupt())
    with pytest.raises(RunError, match=r"another plan.*seed.*another --out"):
        keeping.opened(kind[0], tmp_path, "seed: 2")
    assert keeping.opened(kind[0], tmp_path, "seed: 1") is None


def test_a_folder_of_something_else_is_left_alone(kind, tmp_path):
    (tmp_path / "diary.txt").write_text("dear diary")
    with pytest.raises(RunError, match="not an empty folder"):
        keeping.opened(kind[0], tmp_path, "seed: 1")
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]
