"""Classes are partitioned so that every stratum can keep the budget."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from anomech.calibration.strata import SHARED, pooled, stratify


@given(st.lists(st.integers(0, 6), min_size=1, max_size=80), st.integers(1, 30))
def test_every_stratum_is_large_enough_if_there_are_so_many(groups, least):
    groups = torch.tensor(groups)
    strata = stratify(groups, least)
    places = strata.of(groups)
    assert [int((places == one).sum()) for one in range(len(strata.sizes))] == list(strata.sizes)
    assert all(size >= least for size in strata.sizes[1:])
    assert strata.sizes[SHARED] >= min(least, len(groups))
    for group in groups.unique().tolist():
        assert len(places[groups == group].unique()) == 1
        assert (int((groups == group).sum()) >= least) or group not in strata.own


def test_small_classes_share_and_larger_ones_join_only_while_they_must():
    groups = torch.tensor([0] * 50 + [1] * 30 + [2] * 20 + [3] * 4 + [4] * 3)
    assert stratify(groups, 20).own == (0, 1)
    assert stratify(groups, 20).sizes == (27, 50, 30)
    assert stratify(groups, 7).own == (0, 1, 2)
    assert stratify(groups, 60).sizes == (107,)


def test_a_class_that_was_never_seen_is_judged_with_the_rarest():
    groups = torch.tensor([0] * 50 + [1] * 30)
    strata = stratify(groups, 20)
    assert strata.of(torch.tensor([0, 1, 9])).tolist() == [1, SHARED, SHARED]
    assert strata.sizes == (30, 50)


def test_pooled_is_one_stratum():
    assert pooled(7).of(torch.tensor([3, 4])).tolist() == [SHARED, SHARED]
    assert pooled(7).sizes == (7,)
