"""The explained fraction and the profile equal what brute force gives."""

import numpy as np
import pytest
import torch

from anomech.attribution.couplings import unit
from anomech.attribution.profile import (
    STATISTICS,
    WHOLE,
    fit_anchors,
    profile,
    profile_of_anchors,
    rows_of,
    unexplained,
)
from anomech.attribution.scores import explained, explained_without_self, span_inverse
from anomech.roles.tracer import Traces

RIDGE, COUNT, WIDTH = 0.1, 24, 10


def responses(count, seed=0):
    """Three groups of responses around directions of their own, of uneven length."""
    rng = np.random.default_rng(seed)
    groups = np.arange(count) % 3
    directions = np.random.default_rng(99).normal(size=(3, WIDTH))
    rows = directions[groups] + 0.8 * rng.normal(size=(count, WIDTH))
    rows *= np.exp(rng.normal(size=(count, 1)))
    return rows, groups


def traces_of(rows, parts=True, centered=False):
    blocks = {"body": slice(0, 6), "head": slice(6, WIDTH)} if parts else {"all": slice(0, WIDTH)}
    return Traces(torch.from_numpy(rows).float(), blocks, centered)


def ridge_share(anchors, query):
    """`phi' Phi' (Phi Phi' + lambda I)^-1 Phi phi` of unit rows, by solving."""
    anchors = anchors / np.linalg.norm(anchors, axis=1, keepdims=True)
    query = query / np.linalg.norm(query)
    coupling = anchors @ query
    gram = anchors @ anchors.T + RIDGE * np.eye(len(anchors))
    return coupling @ np.linalg.solve(gram, coupling)


def statistics(anchors, anchor_groups, query, group):
    """One example's profile in one part, by loops."""
    cosines = np.array([a @ query / np.linalg.norm(a) / np.linalg.norm(query) for a in anchors])
    own = anchor_groups == group
    others = [cosines[anchor_groups == g].mean() for g in np.unique(anchor_groups) if g != group]
    return {
        "mean": cosines.mean(),
        "own": cosines[own].mean() if own.any() else 0,
        "other": max(others, default=-1),
        "nearest": cosines.max(),
        "nearest_ten": np.sort(cosines)[-10:].mean(),
        "explained": ridge_share(anchors, query),
        "explained_own": ridge_share(anchors[own], query) if own.any() else 0,
        "size": np.log(np.linalg.norm(query)),
    }


def by_hand(anchors, anchor_groups, query, group):
    """The profile over all parts, in the order of its names."""
    parts = [slice(0, WIDTH), slice(0, 6), slice(6, WIDTH)]
    return [
        statistics(anchors[:, part], anchor_groups, query[part], group)[name]
        for part in parts
        for name in STATISTICS
    ]


def test_explained_is_the_ridge_share_and_a_fraction():
    rows, _ = responses(COUNT)
    queries, _ = responses(9, seed=1)
    anchors = unit(torch.from_numpy(rows))
    inverse = span_inverse(anchors @ anchors.T, RIDGE)
    found = explained(unit(torch.from_numpy(queries)) @ anchors.T, inverse)
    np.testing.assert_allclose(found, [ridge_share(rows, query) for query in queries], rtol=1e-9)
    assert ((found >= 0) & (found <= 1)).all()


def test_explained_is_one_inside_the_span_and_zero_outside():
    anchors = torch.eye(3, 8, dtype=torch.float64)
    inverse = span_inverse(anchors @ anchors.T, 1e-9)
    inside, outside = torch.eye(8, dtype=torch.float64)[[0, 7]]
    assert explained(inside[None] @ anchors.T, inverse).item() == pytest.approx(1)
    assert explained(outside[None] @ anchors.T, inverse).item() == 0


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 3.0])
def test_more_anchors_never_explain_less(ridge):
    rows, _ = responses(COUNT)
    query = unit(torch.from_numpy(responses(1, seed=5)[0]))
    shares = []
    for count in range(1, COUNT):
        anchors = unit(torch.from_numpy(rows[:count]))
        inverse = span_inverse(anchors @ anchors.T, ridge)
        shares.append(explained(query @ anchors.T, inverse).item())
    assert (np.diff(shares) >= -1e-12).all()


@pytest.mark.parametrize("group", [None, 0, 2])
def test_explained_without_self_is_leave_one_out(group):
    rows, groups = responses(COUNT)
    rows = rows if group is None else rows[groups == group]
    anchors = unit(torch.from_numpy(rows))
    found = explained_without_self(
        span_inverse(anchors @ anchors.T, RIDGE), RIDGE, anchors.square().sum(dim=1)
    )
    expected = [
        ridge_share(np.delete(rows, place, axis=0), rows[place]) for place in range(len(rows))
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


def test_profiles_of_queries_equal_brute_force():
    rows, groups = responses(COUNT)
    queries, _ = responses(7, seed=1)
    query_groups = np.array([0, 1, 2, 0, 1, 2, 8])  # no anchor has group 8
    span = fit_anchors(traces_of(rows), torch.from_numpy(groups), RIDGE)
    found, coupling = profile(span, traces_of(queries), torch.from_numpy(query_groups))
    expected = [
        by_hand(rows, groups, query, group)
        for query, group in zip(queries, query_groups, strict=True)
    ]
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    cosines = unit(torch.from_numpy(queries)) @ unit(torch.from_numpy(rows)).T
    torch.testing.assert_close(coupling.double(), cosines, rtol=1e-4, atol=1e-5)
    assert len(span.names) == found.shape[1]
    assert span.names[0] == f"mean / {WHOLE}"
    assert span.names[-1] == "size / head"


def test_profiles_of_anchors_are_those_against_all_others():
    rows, groups = responses(COUNT)
    span = fit_anchors(traces_of(rows), torch.from_numpy(groups), RIDGE)
    found = profile_of_anchors(span)
    for place in range(COUNT):
        others, other_groups = np.delete(rows, place, axis=0), np.delete(groups, place)
        expected = by_hand(others, other_groups, rows[place], groups[place])
        np.testing.assert_allclose(found[place], expected, rtol=1e-4, atol=1e-5)
        rest = fit_anchors(traces_of(others), torch.from_numpy(other_groups), RIDGE)
        again, _ = profile(rest, traces_of(rows[[place]]), torch.from_numpy(groups[[place]]))
        torch.testing.assert_close(found[[place]], again, rtol=1e-4, atol=1e-5)


def test_an_anchor_that_is_alone_in_its_group_has_no_own_support():
    rows, groups = responses(COUNT)
    groups = np.where(np.arange(COUNT) == 4, 7, groups)
    span = fit_anchors(traces_of(rows), torch.from_numpy(groups), RIDGE)
    found = profile_of_anchors(span)
    assert torch.isfinite(found).all()
    for part in range(3):
        own, explained_own = (
            part * len(STATISTICS) + STATISTICS.index(name) for name in ("own", "explained_own")
        )
        assert found[4, own] == 0
        assert found[4, explained_own] == pytest.approx(0, abs=1e-6)


def test_draw_traces_are_centered_and_one_block_is_the_whole():
    rows, groups = responses(COUNT)
    draws = traces_of(rows + 5, parts=False, centered=True)
    assert rows_of(draws).mean(dim=1).abs().max() < 1e-5
    groups = torch.from_numpy(groups)
    assert list(fit_anchors(draws, groups, RIDGE).parts) == [WHOLE]
    assert list(fit_anchors(traces_of(rows), groups, RIDGE).parts) == [WHOLE, "body", "head"]


def test_the_unexplained_part_is_what_a_ridge_projection_leaves():
    rows, groups = responses(COUNT)
    queries, _ = responses(5, seed=3)
    span = fit_anchors(traces_of(rows[:6]), torch.from_numpy(groups[:6]), RIDGE)
    found = unexplained(span, traces_of(queries))
    anchors, directions = (unit(torch.from_numpy(each)) for each in (rows[:6], queries))
    gram = anchors @ anchors.T + RIDGE * torch.eye(6)
    expected = directions - torch.linalg.solve(gram, anchors @ directions.T).T @ anchors
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-4)


def test_the_order_of_the_anchors_does_not_matter():
    rows, groups = responses(COUNT)
    order = np.random.default_rng(0).permutation(COUNT)
    queries, query_groups = responses(6, seed=2)
    one, two = (
        profile(
            fit_anchors(traces_of(rows[places]), torch.from_numpy(groups[places]), RIDGE),
            traces_of(queries),
            torch.from_numpy(query_groups),
        ).statistics
        for places in (np.arange(COUNT), order)
    )
    torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def test_of_a_row_of_zeros_nothing_is_explained_by_the_others():
    rows = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    rows[3] = 0
    gram = unit(rows) @ unit(rows).T
    found = explained_without_self(span_inverse(gram, RIDGE), RIDGE, gram.diagonal())
    assert found[3].item() == pytest.approx(0, abs=1e-9)
    assert bool((found[[0, 1, 2, 4, 5, 6, 7]] > 0.1).all())
    spans = fit_anchors(Traces(rows, {"all": slice(0, 5)}, False), torch.zeros(8).long(), RIDGE)
    place = spans.names.index("explained / whole network")
    assert profile_of_anchors(spans)[3, place].item() == pytest.approx(0, abs=1e-6)
