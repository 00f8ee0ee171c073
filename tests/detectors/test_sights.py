"""Views of what a tracer saw: different to any side, or high; and what answers alike leave out."""

import pytest
import torch

from anomech.attribution.profile import STATISTICS
from anomech.attribution.usual import Context
from anomech.detectors._causes import (
    APART,
    ELSEWHERE,
    HANGS,
    LONE,
    NOWHERE,
    PROMPT,
    READS,
    STRAY,
    UNEXPLAINED,
    UNFAMILIAR,
)
from anomech.detectors._sights import AT_ITS_OWN, WHATEVER_IT_IS, fit_sights, lacking
from anomech.kernel.randomness import torch_generator


@pytest.fixture(scope="module")
def trusted():
    """Sights of 300 trusted examples whose confidence decides how far they scatter."""
    generator = torch_generator(0, "sights")
    odds = torch.rand(300, generator=generator).double() * 8
    spread = (1 + (8 - odds) / 2)[:, None]
    groups = torch.randint(3, (300,), generator=generator)
    seen = {
        "where": torch.randn(300, 6, generator=generator) * spread,
        "reads": torch.randn(300, 3, generator=generator) * spread + groups[:, None],
        "unfamiliar": torch.randn(300, 3, generator=generator) * spread,
        "hangs": torch.randn(300, 1, generator=generator).abs() + 1,
        "tokens": torch.zeros(300, 5),
    }
    return seen, Context(groups, odds, torch.ones(300, dtype=torch.bool))


def one(values, odds=7.9, group=0):
    """One example with these sights."""
    seen = {name: torch.full((1, width), float(values.get(name, 0))) for name, width in
            (("where", 6), ("reads", 3), ("unfamiliar", 3), ("hangs", 1))}  # fmt: skip
    right = torch.zeros(1, dtype=torch.bool)
    return seen, Context(torch.tensor([group]), torch.tensor([odds]).double(), right)


def test_every_sight_has_a_view_that_held_out_examples_pass(trusted):
    sights, views = fit_sights(*trusted)
    assert set(views) == {*(ELSEWHERE.name, NOWHERE.name, READS.name, UNFAMILIAR.name, HANGS.name)}
    again = sights.views(*trusted)
    for name, found in views.items():
        assert torch.isfinite(found).all()
        # Judged by a fit to others or by one that knows them, they rank alike.
        both = torch.stack([found.argsort().argsort(), again[name].argsort().argsort()]).double()
        assert float(torch.corrcoef(both)[0, 1]) > 0.9


def test_where_is_two_sided_and_reading_is_not(trusted):
    sights, _ = fit_sights(*trusted)
    usual, high, low = (
        sights.views(*one(dict.fromkeys(("where", "reads"), v))) for v in (0, 4, -4)
    )
    assert high[ELSEWHERE.name] > usual[ELSEWHERE.name] < low[ELSEWHERE.name]
    assert high[READS.name] > usual[READS.name] > low[READS.name]


def test_what_is_usual_depends_on_the_confidence_and_the_answer(trusted):
    sights, _ = fit_sights(*trusted)
    sure, unsure = (sights.views(*one({"reads": 4}, odds))[READS.name] for odds in (7.9, 0.1))
    assert sure > 2 * unsure
    mine, other = (sights.views(*one({"reads": 3}, 7.9, group))[READS.name] for group in (0, 2))
    assert mine > other


def test_where_no_other_answer_comes_from_is_asked_at_any_confidence(trusted):
    sights, _ = fit_sights(*trusted)
    here, there = (sights.views(*one({"where": 4}, *at)) for at in ((7.9, 0), (0.1, 2)))
    assert here[NOWHERE.name] == there[NOWHERE.name]
    assert here[ELSEWHERE.name] > 2 * there[ELSEWHERE.name]
    near = sights.views(*one({"where": 0}))
    assert here[NOWHERE.name] > near[NOWHERE.name]


def test_states_are_sights_and_all_panels_know_their_views(trusted):
    _, at = trusted
    spread = torch_generator(2, "states")
    seen = {
        **trusted[0],
        "lacking": torch.randn(300, 3, generator=spread),
        **{
            name: torch.randn(300, 4, generator=spread)
            for name in ("stray", "prompt", "apart", "lone")
        },
    }
    sights, views = fit_sights(seen, at)
    assert {STRAY.name, PROMPT.name, APART.name, LONE.name} <= set(views)
    assert {*AT_ITS_OWN.views, *WHATEVER_IT_IS.views} <= set(views)
    # At one place alone: what is usual at the others does not speak against it.
    far, usual = ({n: e[:1].clone() * 0 for n, e in seen.items()} for _ in range(2))
    for name in ("stray", "apart"):
        far[name][0] = torch.tensor([8.0, -1, -1, -1])
    context = Context(at.groups[:1], at.log_odds[:1], at.right[:1])
    found, plain = sights.views(far, context), sights.views(usual, context)
    assert found[STRAY.name] > plain[STRAY.name] + 5
    assert found[APART.name] > plain[APART.name] + 5


def test_what_is_lacking_is_support_averaged_over_the_parts():
    profile = torch.arange(2 * 3 * len(STATISTICS)).double().reshape(2, -1)
    for column, name in enumerate(("explained_own", "explained", "nearest")):
        expected = -profile.reshape(2, 3, -1)[:, :, STATISTICS.index(name)].mean(dim=1)
        torch.testing.assert_close(lacking(profile)[:, column], expected)
    sights, views = fit_sights(
        {"lacking": torch.randn(50, 3, generator=torch_generator(1, "lack"))},
        Context(torch.zeros(50, dtype=torch.int64), torch.rand(50).double(), torch.ones(50).bool()),
    )
    assert set(views) == {UNEXPLAINED.name}
    assert sights.different == {}


def test_odd_words_count_as_far_as_the_answer_hangs_on_them(trusted):
    sights, _ = fit_sights(*trusted)
    odd = [sights.views(*one({"unfamiliar": 9, "hangs": drop})) for drop in (-3, 0.5, 5, 50)]
    stays, half, falls, far = (float(each[HANGS.name]) for each in odd)
    assert stays == 0 < half == pytest.approx(falls / 2)
    assert falls == far == pytest.approx(float(odd[0][UNFAMILIAR.name]))
