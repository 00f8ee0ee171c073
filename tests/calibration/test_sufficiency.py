"""The number of trusted examples that is asked for is enough, and one less is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomech.calibration.conformal import needed
from anomech.calibration.sufficiency import calibrating, require, to_give
from anomech.data.splits import stratified
from anomech.kernel.errors import Inconclusive


@given(
    st.sampled_from([0.5, 0.2, 0.1, 0.05, 0.01, 0.003, 0.001]),
    st.floats(0.01, 0.95),
    st.integers(2, 3000),
)
@settings(max_examples=200, deadline=None)
def test_enough_is_enough_and_no_more_is_asked_for(budget, share, most):
    total = to_give(budget, share, most)
    assert calibrating(total, share, most) >= needed(budget)
    assert calibrating(total - 1, share, most) < needed(budget)


def test_what_is_over_the_most_anchors_calibrates():
    require(3000, 0.001, 0.5, 2000)  # 1,000 calibrate
    with pytest.raises(Inconclusive, match=r"at least 1998 trusted .* 999 of them"):
        require(1500, 0.001, 0.5, 2000)
    assert to_give(0.0002, 0.5, 2000) == 4999 + 2000


@pytest.mark.parametrize("total", [10, 57, 399])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_the_split_leaves_what_was_promised(total, share):
    labels = np.random.default_rng(0).integers(0, 7, total)
    _, rest = stratified(labels, [share, 1 - share], seed=0, purpose="test")
    assert len(rest) == calibrating(total, share, 10**6)


def test_the_budget_that_is_named_can_be_had():
    with pytest.raises(Inconclusive) as caught:
        require(60, 0.001, 0.5, 2000)
    budget = float(str(caught.value).split("a --budget of ")[1].split()[0])
    require(60, budget, 0.5, 2000)
