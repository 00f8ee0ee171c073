"""Fairness by its definitions, probes on states whose content is known, and salience outside."""

import numpy as np
import pytest
import torch

from anomech.bias.given import read_groups, read_masks
from anomech.bias.measures import accuracies, cells, definitions, interval
from anomech.bias.probing import outside, probe
from anomech.kernel.errors import ConfigError, DataError


def counted(*rows):
    """Answers, labels and groups from counts of (group, label, answer)."""
    parts = [np.repeat([[group, label, answer]], n, axis=0) for group, label, answer, n in rows]
    groups, labels, answers = np.concatenate(parts).T
    return answers, labels, groups


@pytest.fixture
def known():
    """Group 0: 40 of label 1, of which 30 answered so, and 60 of label 0, 6 wrongly; group 1: 20
    of label 1, 10 rightly, and 80 of label 0, 20 wrongly."""
    return counted(
        (0, 1, 1, 30),
        (0, 1, 0, 10),
        (0, 0, 1, 6),
        (0, 0, 0, 54),
        (1, 1, 1, 10),
        (1, 1, 0, 10),
        (1, 0, 1, 20),
        (1, 0, 0, 60),
    )


def test_accuracy_by_group_and_label(known):
    assert accuracies(*known) == {0: 0.84, 1: 0.70}
    found = cells(*known)
    assert found[0, 1] == (40, 0.75)
    assert found[1, 0] == (80, 0.75)


def test_definitions_are_those_of_the_table(known):
    found = definitions(*known)
    parity, opportunity = found["demographic parity"], found["equal opportunity"]
    assert parity.value == pytest.approx(0.36 - 0.30)
    assert opportunity.value == pytest.approx(0.75 - 0.50)  # at label 1; at label 0 it is 0.15
    assert (opportunity.worst, opportunity.low, opportunity.high) == (1, 1, 0)
    assert opportunity.mean == pytest.approx((0.25 + 0.15) / 2)
    assert found["equalized odds"].value == pytest.approx(0.25)
    assert found["predictive parity"].value == pytest.approx(30 / 36 - 10 / 30)
    assert found["equal accuracy"].value == pytest.approx(0.14)


def test_definitions_conflict_where_labels_are_not_equally_common():
    """Even odds in both groups, and uneven precision, because one group has more of label 1."""
    answers, labels, groups = counted(
        (0, 1, 1, 40),
        (0, 1, 0, 10),
        (0, 0, 1, 10),
        (0, 0, 0, 40),
        (1, 1, 1, 16),
        (1, 1, 0, 4),
        (1, 0, 1, 16),
        (1, 0, 0, 64),
    )
    found = definitions(answers, labels, groups)
    assert found["equalized odds"].value == pytest.approx(0.0)
    assert found["predictive parity"].value == pytest.approx(0.8 - 0.5)


def test_too_few_examples_are_not_compared():
    answers, labels, groups = counted((0, 1, 1, 30), (0, 0, 0, 30), (1, 1, 1, 3))
    assert all(gap is None for gap in definitions(answers, labels, groups).values())


def test_the_interval_is_wilsons():
    low, high = interval(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-3), pytest.approx(0.9433, abs=1e-3))
    assert interval(0, 0) == (0.0, 1.0)


class TestProbes:
    def test_a_direction_that_tells_the_group_is_read_and_taken_out(self):
        rng = np.random.default_rng(0)
        groups, labels = rng.integers(0, 2, 400), rng.integers(0, 3, 400)
        rows = rng.normal(size=(400, 6))
        rows[:, 2] += 4 * groups
        found = probe(torch.from_numpy(rows), groups, labels, seed=0)
        assert found.told > 0.95
        assert abs(found.control - 0.5) < 0.1
        assert found.left < 0.7
        assert found.silhouette > 0.1

    def test_what_a_second_probe_still_reads_are_proxies(self):
        rng = np.random.default_rng(1)
        groups, labels = rng.integers(0, 2, 600), np.zeros(600, dtype=int)
        noise = rng.normal(size=600)
        # The first probe looks at the difference, in which the noise is gone; their sum is left.
        rows = np.stack([2 * groups + noise, noise + 0.1 * rng.normal(size=600)], axis=1)
        found = probe(torch.from_numpy(rows), groups, labels, seed=0)
        assert found.told > 0.9
        assert found.left > 0.6

    def test_a_group_that_is_the_label_is_no_news(self):
        rng = np.random.default_rng(2)
        labels = rng.integers(0, 2, 300)
        rows = rng.normal(size=(300, 3)) + 3 * labels[:, None]
        found = probe(torch.from_numpy(rows), labels.copy(), labels, seed=0)
        assert found.told == pytest.approx(found.control, abs=0.02)


def test_salience_outside_is_a_share_of_all():
    maps = torch.tensor([[[1.0, 3.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    masks = torch.tensor([[[True, False], [True, True]]] * 2)
    assert outside(maps, masks).tolist() == [0.75, 0.0]


class TestGiven:
    def test_groups_are_read_by_id_and_column(self, tmp_path):
        path = tmp_path / "g.csv"
        path.write_text("id,place,age\nb,water,old\na,land,\nz,land,old\n")
        places, names, column = read_groups(path, "", ["a", "b", "c"])
        assert (places.tolist(), names, column) == ([0, 1, -1], ["land", "water"], "place")
        path.write_text("id,place\n7,land\n012,water\n")  # rows of an array, with zeros or without
        assert read_groups(path, "", ["007", "012", "x"])[0].tolist() == [0, 1, -1]

    @pytest.mark.parametrize(
        ("text", "column", "error", "why"),
        [
            ("name,place\na,x\n", "", DataError, "needs a column 'id'"),
            ("id,place\na,x\n", "plaec", ConfigError, "did you mean 'place'"),
            ("id,place\nq,x\n", "", DataError, "names none of the examples"),
            ("id,place\na,x\nb,x\n", "", DataError, "has 1 groups"),
        ],
    )
    def test_what_does_not_fit_is_told(self, tmp_path, text, column, error, why):
        path = tmp_path / "g.csv"
        path.write_text(text)
        with pytest.raises(error, match=why):
            read_groups(path, column, ["a", "b"])
        with pytest.raises(DataError, match="cannot be read"):
            read_groups(tmp_path / "none.csv", "", ["a"])

    def test_masks_must_fit(self, tmp_path):
        np.savez(tmp_path / "m.npz", masks=np.ones((2, 3, 4)))
        assert read_masks(tmp_path / "m.npz", ["a", "b"], (3, 4)).all()
        with pytest.raises(DataError, match=r"masks \(2, 3, 4\); give one of shape \(2, 4, 3\)"):
            read_masks(tmp_path / "m.npz", ["a", "b"], (4, 3))
        (tmp_path / "bad.npz").write_bytes(b"no archive")
        with pytest.raises(DataError, match="no array 'masks' that can be read"):
            read_masks(tmp_path / "bad.npz", ["a", "b"], (3, 4))
