"""`anomech bias`: a model that reads a mark that comes with a group is told so."""

import csv

import numpy as np
import pytest

from anomech.records import read_record
from anomech.records.bias import BiasRun


@pytest.fixture(scope="module")
def marked(files, tmp_path_factory):
    """Digits, half of them with the patch that the network takes for a zero: the other group."""
    folder = tmp_path_factory.mktemp("bias")
    images, labels = files.images[1000:1300].copy(), files.labels[1000:1300]
    odd = np.arange(300) % 2 == 1
    images[odd, -2:, -2:] = 255
    np.savez(folder / "data.npz", images=images, labels=labels)
    with open(folder / "groups.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "mark"])
        writer.writerows([str(n), "marked" if odd[n] else "plain"] for n in range(290))
    masks = np.zeros((300, 8, 8), dtype=bool)
    masks[:, :, 1:7] = True
    np.savez(folder / "masks.npz", masks=masks)
    return folder


@pytest.fixture
def words(files, marked):
    def make(*more, **changed):
        given = {
            "model": f"{files.factory}:make_model",
            "weights": files.weights,
            "reference": marked / "data.npz",
            "groups": marked / "groups.csv",
            **changed,
        }
        pairs = [(f"--{name}", str(value)) for name, value in given.items() if value is not None]
        return ["bias", *(word for pair in pairs for word in pair), *more]

    return make


def test_a_mark_that_the_model_reads_shows_everywhere(run, words, marked, tmp_path):
    out = tmp_path / "out"
    answer = run(*words("--masks", marked / "masks.npz", "--out", out))
    assert answer.code == 0, answer.err
    found = read_record(out / "bias.json", BiasRun)
    assert (found.examples, found.ungrouped, found.attribute) == (300, 10, "mark")
    worst, best = found.groups
    assert (worst.group, best.group) == ("marked", "plain")
    assert worst.accuracy < 0.5 < 0.8 < best.accuracy
    assert worst.low < worst.accuracy < worst.high
    gaps = {row.name: row.gap for row in found.definitions}
    assert len(gaps) == 5
    assert gaps["demographic parity"] > 0.5
    assert found.probes[-1].told > found.probes[-1].control + 0.2
    assert any("tell the group" in remark for remark in found.remarks)
    outside = {row.who: row for row in found.salience}
    assert outside["marked"].area == pytest.approx(0.25)
    assert set(outside) == {"marked", "plain", "rightly answered", "wrongly answered"}
    assert all(0 < row.outside < 1 for row in found.salience)
    page = (out / "report.html").read_text()
    assert "gives no verdict" in page
    rows = list(csv.DictReader((out / "groups.csv").open()))
    assert [row["group"] for row in rows[-12:]] == ["plain", "marked", *[""] * 10]
    assert "equalized odds" in answer.out


def test_bad_groups_are_one_sentence(run, words, tmp_path, one_sentence):
    answer = run(*words("--attribute", "marc", "--out", tmp_path / "out"))
    assert answer.code == 2
    one_sentence(answer.error, "did you mean 'mark'?")
    answer = run(*words("--out", tmp_path / "out", groups=tmp_path / "none.csv"))
    assert answer.code == 2
    one_sentence(answer.error, "cannot be read")


def test_a_folder_of_something_else_is_refused(run, words, tmp_path, one_sentence):
    (tmp_path / "note.txt").write_text("mine")
    answer = run(*words("--out", tmp_path))
    assert answer.code == 2
    one_sentence(answer.error, "is not empty and holds no look at bias")
