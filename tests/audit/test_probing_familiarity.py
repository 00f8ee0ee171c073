"""That more inputs lie outside what trusted examples cover than chance gives is told."""

import numpy as np

from anomech.audit.probing.familiarity import OUTSIDE, lies_outside, probe
from anomech.calibration.conformal import tail_probability
from anomech.calibration.excess import LEVEL
from anomech.records import Verdict


def row(p_value):
    return Verdict(
        id="a", answer="b", group=0, score=1.0, p_value=0.5, decision="clear", reason="c",
        views={} if p_value is None else {"unfamiliar input": p_value},
    )  # fmt: skip


def test_alike_inputs_are_hardly_ever_said_to_lie_outside():
    import torch

    rng, said = np.random.default_rng(0), 0
    for _ in range(1000):
        trusted, inputs = (torch.from_numpy(rng.normal(size=count)) for count in (200, 300))
        outside = int((tail_probability(trusted, inputs) <= OUTSIDE).sum())
        said += bool(probe(outside, 0, 300, 200))
    assert said <= 1000 * LEVEL + 5


def test_other_traffic_is_told_with_its_share():
    (finding,) = probe(60, 12, 300, 400)
    assert finding.code == "outside-trusted"
    assert finding.title.startswith("20% of the inputs")
    assert "12 of them are flagged" in finding.detail
    assert not finding.fails
    assert probe(3, 3, 300, 400) == probe(0, 0, 0, 400) == []


def test_an_input_without_such_a_view_does_not_count():
    assert [lies_outside(row(p)) for p in (0.001, 0.02, None)] == [True, False, False]
