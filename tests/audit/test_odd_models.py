"""Models as strangers write them, through the whole audit: right verdicts, or why not."""

import copy
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from odd_networks import (
    Answering,
    Batched,
    Dropping,
    Endless,
    Frozen,
    Instance,
    Leaving,
    Library,
    Locked,
    Output,
    Raising,
    Rowwise,
    Scaled,
    Viewing,
)
from torch import nn

from anomech.audit.auditor import Auditor, load_profile
from anomech.data.subset import Subset
from anomech.kernel import plugins
from anomech.kernel.errors import AnomechError, Inconclusive, ModelError
from anomech.tasks.image_classifier import ImageClassifier

NO_TWINS = {"twins": {"rungs": 0}}
"""Relearning takes rounding far apart; how a model answers and responds is what is held here."""

BUDGET = 0.05


@pytest.fixture(scope="module")
def net(digits_world):
    """The trained network with a patch, in evaluation mode."""
    model = copy.deepcopy(digits_world.model).eval().requires_grad_(False)
    return model.to(memory_format=torch.contiguous_format)  # as it comes from a file


@pytest.fixture(scope="module")
def audit(digits_world, examples_of):
    """Fits an auditor to a model and judges clean and triggered inputs."""

    def run(model, labels=None, keep=None, options=None, **settings):
        trusted = digits_world.trusted
        labels = trusted.labels if labels is None else labels
        keep = np.arange(300) if keep is None else keep
        chosen = examples_of(trusted.values[keep], labels[keep], "trusted")
        auditor = Auditor(budget=BUDGET, options=NO_TWINS | (options or {}))
        fitted = auditor.fit(ImageClassifier(model, **settings), chosen)
        clean = fitted.score(Subset(digits_world.clean, np.arange(80)))
        planted = fitted.score(Subset(digits_world.planted, np.arange(60)))
        return fitted, clean, planted

    return run


@pytest.fixture(scope="module")
def usual(audit, net):
    """What the network gets without anything odd about it."""
    return audit(net)


@pytest.fixture(scope="module")
def inside(audit, net):
    """What it gets inside another module; projections are drawn by the names of parameters."""
    return audit(Answering(net, lambda logits: logits))


def codes(fitted):
    return {each.code for each in fitted.findings}


def numbers(rows):
    return [row.p_value for row in rows]


def caught(rows, answer="0"):
    """Share of triggered inputs with the planted answer that are flagged."""
    fired = [row for row in rows if row.answer == answer]
    return np.mean([row.decision == "flag" for row in fired])


def all_inconclusive(rows, word):
    return all(row.decision == "inconclusive" and word in row.reason for row in rows)


OUTPUTS = {
    "probabilities": lambda logits: logits.softmax(1),
    "log_probabilities": lambda logits: logits.log_softmax(1),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_of_softmax_are_judged_as_its_inputs(kind, audit, net, inside):
    fitted, clean, planted = audit(Answering(net, OUTPUTS[kind]))
    assert fitted.task.seen.kind == kind
    assert codes(fitted) == {"not-logits"}
    assert numbers(clean) == numbers(inside[1])
    assert numbers(planted) == numbers(inside[2])
    assert caught(planted) > 0.9


def test_without_a_layer_of_logits_probabilities_are_turned_back(audit, net):
    both = nn.ModuleList([net, copy.deepcopy(net)])
    both[1].conv1.weight.mul_(1.2)

    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.both = both

        def forward(self, x):
            return (self.both[0](x) + self.both[1](x)).div(2).softmax(1)

    fitted, clean, planted = audit(Mean())
    assert codes(fitted) == {"not-logits", "no-feature-layer"}
    assert caught(planted) > 0.9
    assert sum(row.decision == "flag" for row in clean) <= 15


def test_logits_times_a_hundred_are_scaled_down_and_said(audit, net):
    fitted, clean, planted = audit(Answering(net, lambda logits: 100 * logits))
    assert codes(fitted) == {"outputs-rescaled"}
    assert caught(planted) > 0.9
    assert sum(row.decision == "flag" for row in clean) <= 15


def test_labels_that_exclude_nothing_are_judged_by_the_strongest(audit, net):
    fitted, clean, planted = audit(Answering(net, torch.sigmoid))
    assert fitted.task.seen.kind == "label_probabilities"
    (finding,) = fitted.findings
    assert finding.code == "not-logits"
    assert "strongest label" in finding.detail
    assert caught(planted) > 0.8
    assert sum(row.decision == "flag" for row in clean) <= 15
    said, _, _ = audit(net, outputs="labels")
    assert said.task.seen.kind == "labels"


def halves(logits):
    """Logits of the digits below five and from five on."""
    return torch.stack([logits[:, :5].logsumexp(1), logits[:, 5:].logsumexp(1)], dim=1)


TWO = {
    "two logits": lambda logits: halves(logits),
    "one logit": lambda logits: halves(logits).diff(dim=1),
    "one flat logit": lambda logits: halves(logits).diff(dim=1)[:, 0],
    "one probability": lambda logits: torch.sigmoid(halves(logits).diff(dim=1)),
    "two probabilities": lambda logits: halves(logits).softmax(1),
}


@pytest.mark.parametrize("kind", TWO)
def test_two_classes_come_in_two_outputs_or_one(kind, audit, net, digits_world):
    labels = (digits_world.trusted.labels >= 5).astype(np.int64)
    fitted, clean, planted = audit(Answering(net, TWO[kind]), labels)
    assert fitted.task.classes == 2
    assert ("one-output" in codes(fitted)) == kind.startswith("one")
    assert {row.answer for row in clean} == {"0", "1"}
    # The same mechanism, whichever way its answer is written.
    assert caught(planted) > 0.5
    assert sum(row.decision == "flag" for row in clean) <= 15


def test_objects_and_mappings_with_logits_are_outputs(audit, net, inside):
    for wrap in (Output, lambda logits: {"logits": logits}, lambda logits: logits[:, :, None]):
        assert numbers(audit(Answering(net, wrap))[1]) == numbers(inside[1])
    with pytest.raises(ModelError, match="or an object with `logits`"):
        audit(Answering(net, lambda logits: (logits[None], logits)))


def test_of_several_outputs_the_first_is_taken_and_said(audit, net, inside):
    fitted, clean, _ = audit(Answering(net, lambda logits: (logits, logits[:, :4])))
    assert numbers(clean) == numbers(inside[1])
    assert "first-output" in codes(fitted)
    assert "first-output" not in codes(inside[0])


def test_a_backbone_without_gradients_gives_no_verdicts(audit, net):
    fitted, clean, _ = audit(Frozen(net))
    assert "no-response" in codes(fitted)
    assert all_inconclusive(clean, "torch.no_grad")
    last, clean, planted = audit(Frozen(net), watch="last")
    assert not codes(last)
    assert {row.decision for row in (*clean, *planted)} == {"flag", "clear"}


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (Dropping, "differently from one time to the next"),
        (Batched, "depends on the other inputs of its batch. It takes no example alone"),
        (Instance, "depends on the other inputs of its batch. Log-odds change"),
    ],
)
def test_answers_that_change_give_no_verdicts(build, words, audit, net):
    with torch.random.fork_rng(), pytest.raises(Inconclusive, match=words):
        audit(build(net))


@pytest.mark.parametrize("left", [0, 1])
def test_a_class_without_trusted_examples_is_not_judged(left, audit, net, digits_world):
    labels = digits_world.trusted.labels
    threes = np.flatnonzero(labels == 3)
    keep = np.sort(np.concatenate([np.flatnonzero(labels != 3), threes[:left]]))
    fitted, clean, _ = audit(net, keep=keep)
    (finding,) = fitted.findings
    assert finding.code == "not-covered"
    assert "'3'" in finding.detail
    own = [row for row in clean if row.answer == "3"]
    assert own
    assert all_inconclusive(own, "too few trusted examples have this answer")
    assert all(row.score is None and row.p_value is None for row in own)
    others = [row for row in clean if row.answer != "3"]
    assert sum(row.decision == "flag" for row in others) <= 15


@pytest.mark.parametrize("left", [4, 8])
def test_a_class_with_few_trusted_examples_is_judged_beside_its_own(left, audit, net, digits_world):
    """The target of the backdoor, of which hardly anything is trusted."""
    labels = digits_world.trusted.labels
    zeros = np.flatnonzero(labels == 0)
    keep = np.sort(np.concatenate([np.flatnonzero(labels != 0), zeros[:left]]))
    fitted, clean, planted = audit(net, keep=keep)
    (finding,) = fitted.findings
    assert finding.code == "judged-apart"
    assert "'0'" in finding.detail
    own = [row for row in clean if row.answer == "0"]
    assert len(own) >= 5
    assert sum(row.decision == "clear" for row in own) >= len(own) - 1
    led = [row for row in planted if row.answer == "0"]
    assert len(led) >= 50
    assert sum(row.decision == "flag" for row in led) >= 0.9 * len(led)
    assert min(row.score for row in led if row.decision == "flag") > max(row.score for row in own)


def test_labels_in_another_order_give_no_verdicts_and_name_the_order(audit, net, digits_world):
    order = np.array([0, 2, 3, 4, 5, 6, 7, 8, 9, 1])
    with pytest.raises(Inconclusive, match=r"answers only \d+% .*label 1 as") as error:
        audit(net, order[digits_world.trusted.labels])
    assert "Bring labels and the model's outputs into one order" in str(error.value)


WRAPPED = {
    "view": Viewing,
    "half": lambda net: net.half(),
    "double": lambda net: net.double(),
    "parallel": nn.DataParallel,
    "compiled": torch.compile,
    "compiled inside": lambda net: Answering(torch.compile(net), lambda logits: logits),
    "lock": Locked,
    "weight norm": lambda net: _normed(net, nn.utils.parametrizations.weight_norm),
    "old weight norm": lambda net: _normed(net, nn.utils.weight_norm),
}


def _normed(net, norm):
    for layer in (net.conv2, net.linear):
        norm(layer)
    return net


@pytest.mark.parametrize("kind", WRAPPED)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_wrappings_and_habits_change_little(kind, audit, net, usual, inside):
    fitted, clean, planted = audit(WRAPPED[kind](copy.deepcopy(net)))
    first = next(iter(fitted.task.watched))
    expected = inside[1] if first.startswith("network.") else usual[1]
    assert [row.answer for row in clean] == [row.answer for row in expected]
    if "norm" not in kind:  # that has other parameters
        tolerance = 0.1 if kind == "half" else 0.02
        assert np.abs(np.subtract(numbers(clean), numbers(expected))).max() <= tolerance
    assert caught(planted) > 0.9
    assert sum(row.decision == "flag" for row in clean) <= 15
    assert fitted.calibrated.problems == ()
    assert codes(fitted) == ({"precision-converted"} if kind in ("half", "double") else set())


REFUSED = {
    "meta": (lambda net: net.to("meta"), "meta device"),
    "raises": (Raising, "KeyError: 'pixel_values'"),
    "leaves": (Leaving, "SystemExit: 0"),
    "script": (torch.jit.script, "TorchScript"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_what_cannot_be_judged_is_refused_in_one_sentence(kind, audit, net):
    build, word = REFUSED[kind]
    with pytest.raises(ModelError) as error:
        audit(build(copy.deepcopy(net)))
    assert word in str(error.value)
    assert str(error.value).endswith(".")


def test_a_forward_without_end_is_stopped_at_its_limit(audit, net):
    with pytest.raises(ModelError, match=r"longer than the limit of 0\.2 seconds"):
        audit(Endless(net), pass_timeout=0.2)


ABSURD = {
    "all": (lambda net: [p.mul_(1e18) for p in net.parameters()], "NaN or infinite logits"),
    "one row": (lambda net: net.linear.weight[0].fill_(1e30), "No order of the classes fits"),
    "one weight": (lambda net: net.conv1.weight[0, 0, 0, 0].fill_(1e30), "No order"),
    "one layer": (lambda net: net.linear.weight.mul_(1e18), ""),
    "a small layer": (lambda net: net.linear.weight.mul_(1e-18), "No order"),
}


@pytest.mark.parametrize("kind", ABSURD)
def test_absurd_weights_are_one_sentence_or_verdicts(kind, audit, net):
    broken = copy.deepcopy(net)
    change, word = ABSURD[kind]
    change(broken)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AnomechError, match=word) if word else nullcontext():
            _, clean, _ = audit(broken)
            assert all(row.p_value is None or 0 < row.p_value <= 1 for row in clean)


TRACERS = {
    "gradient": {"features": 16},
    "gaussian": {"draws": 24, "least": 2},
    "last_layer": {},
    "sgld": {"draws": 12, "burn_in": 2, "every": 1, "minibatch": 40, "least": 0},
    "rmsprop_sgld": {"draws": 12, "burn_in": 2, "minibatch": 40, "least": 0},
}


@pytest.mark.parametrize("name", plugins.names("tracer"))
@pytest.mark.parametrize("build", [Scaled, Rowwise, Library])
def test_every_tracer_goes_its_long_way_through_the_audit(name, build, audit, net, library):
    model = library if build is Library else build(copy.deepcopy(net))
    options = {"tracer": {"use": name, **TRACERS.get(name, {})}}
    fitted, clean, planted = audit(model, options=options)
    rows = [*clean, *planted]
    assert {row.decision for row in rows} <= {"flag", "clear"}
    assert all(0 < row.p_value <= 1 for row in rows)
    if name == "gradient":
        coverage = fitted.calibrated.sources[0].coverage
        way = {Scaled: bool(coverage.replayed), Rowwise: "scale" in coverage.looped}
        assert way.get(build, True)
        assert build is Library or caught(planted) > 0.9


@pytest.fixture(scope="module")
def library(digits_world):
    """A transformer trained a little."""
    from anomech.data.digits import load_digits

    images, labels = load_digits()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Library()
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        y = torch.from_numpy(labels)
        steps = torch.optim.Adam(model.parameters(), 5e-3)
        for _ in range(150):
            some = torch.randint(0, len(x), (128,))
            loss = nn.functional.cross_entropy(model(x[some]).logits, y[some])
            steps.zero_grad()
            loss.backward()
            steps.step()
    return model.eval()


@pytest.mark.parametrize("watch", ["all", "last"])
def test_a_profile_remembers_what_the_model_was_seen_to_be(
    watch, audit, net, tmp_path, digits_world
):
    model = Answering(net, lambda logits: logits.softmax(1))
    fitted, clean, _ = audit(model, watch=watch)
    fitted.save(tmp_path / "profile.safetensors")
    again = load_profile(tmp_path / "profile.safetensors", ImageClassifier(model, watch=watch))
    assert again.task.seen == fitted.task.seen
    assert again.findings == fitted.findings
    assert again.score(Subset(digits_world.clean, np.arange(80))) == clean
