"""What of a model detectors must see, told by what they need."""

from pathlib import Path

import pytest

from anomech.audit.access import PICKED, access_of, left_out, limited
from anomech.kernel import plugins
from anomech.roles.access import Access, access, highest, within
from anomech.roles.black_box import Painting, Pixels, Sureness
from anomech.roles.task import WORDS, Activations, Layers, Logits, Pictures, Variations

PAGE = Path(__file__).parents[2] / "docs" / "black-box.md"


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("frequency", ("labels",)),
        ("teco", ("labels", "queries")),
        ("neo", ("labels", "queries")),
        ("strip", ("probabilities", "queries")),
        ("confidence", ("probabilities",)),
        ("mahalanobis", ("activations",)),
        ("cognitive_distillation", ("gradients", "probabilities")),
        ("functional_attribution", ("weights",)),
        ("loss_level", ("probabilities",)),
    ],
)
def test_access_follows_from_needs(name, seen):
    assert access_of(name) == seen


def test_more_access_has_what_less_has():
    for needs, least in (
        (frozenset({Pixels}), "labels"),
        (frozenset({Variations, Painting}), "labels"),
        (frozenset({Logits, Sureness}), "probabilities"),
        (frozenset({Activations, Logits}), "activations"),
        (frozenset({Pictures, Logits}), "gradients"),
        (frozenset({Layers, Pictures}), "weights"),
    ):
        assert highest(needs) == least
        place = list(Access).index(Access(least))
        assert [within(needs, each) for each in Access] == [x >= place for x in range(5)]


def test_nothing_that_is_picked_takes_more_than_is_given():
    for given, chosen in PICKED.items():
        beyond = left_out(given)
        assert chosen
        assert not set(chosen) & set(beyond)
        assert set(beyond) | {n for n in plugins.names("detector") if n not in beyond} == set(
            plugins.names("detector")
        )
    assert left_out(Access.weights) == {}
    assert limited("weights") == limited("") == []


def test_the_page_says_what_leads():
    rows = [row.split("|") for row in PAGE.read_text().splitlines() if row.startswith("| `")]
    leads = {row[1].strip(" `"): row[2] for row in rows if row[1].strip(" `") in list(Access)}
    assert list(leads) == list(Access)
    for given, words in leads.items():
        assert words.strip().replace(",", " ").split()[0] == next(iter(PICKED[Access(given)]))


def test_every_ability_has_words():
    assert access(frozenset()) == ("labels",)
    for name in plugins.names("detector"):
        assert plugins.get("detector", name)().needs <= set(WORDS), name
