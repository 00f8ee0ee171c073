"""A language model as a task: what its scores rest on, and what must not change them."""

import numpy as np
import pytest
import torch
from language_models import END, FIRST, ByteTokenizer, decoder
from torch.nn import functional

from anomech.data.conversations import Conversation, Conversations, Turn, of_prompts
from anomech.kernel.errors import ConfigError, DataError, ModelError
from anomech.kernel.types import PAD, silent
from anomech.learning.twins import Push, push
from anomech.observing.observed import observe
from anomech.observing.preparing import prepared
from anomech.tasks._language_rows import common_lead, decisions
from anomech.tasks.causal_lm import CausalLM
from anomech.tracing.gradient import Gradient

KINDS = ("llama", "gpt2", "neox")
PROMPTS = ("Once", "Lily and Tom", "A", "One day, a little girl", "The dog said so", "Ünïcode 漢字")
EVERY = np.arange(len(PROMPTS))


@pytest.fixture(scope="module")
def models():
    return {kind: decoder(kind) for kind in KINDS}


@pytest.fixture(params=KINDS)
def task(request, models):
    return CausalLM(models[request.param], ByteTokenizer(), tokens=6)


@pytest.fixture
def llama(models):
    return CausalLM(models["llama"], ByteTokenizer(), tokens=6)


@pytest.fixture(scope="module")
def some():
    return of_prompts(PROMPTS)


def alone(some, place):
    return some.load(np.array([place]))


def recorded(answers):
    """The same prompts with answers that were recorded."""
    items = [
        Conversation((Turn("user", text),), each)
        for text, each in zip(PROMPTS, answers, strict=True)
    ]
    return Conversations(tuple(items), [str(place) for place in EVERY])


def test_who_else_is_in_a_batch_changes_no_score_and_no_answer(task, some):
    together = task.respond({}, some.load(EVERY))
    for place in EVERY:
        own = task.respond({}, alone(some, place))
        row = together.answers[place]
        assert own.answers[0].tolist() == row[row != PAD].tolist()
        torch.testing.assert_close(own.log_odds[0], together.log_odds[place], atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(own.features[0], together.features[place], atol=2e-5, rtol=1e-4)


def test_log_odds_are_those_of_the_decision_token(llama, some):
    seen = observe(llama, some)
    model = llama.model.eval()
    for place in EVERY[:3]:
        ids = torch.tensor([llama.tokenizer(PROMPTS[place])["input_ids"]])
        chances = model(ids).logits[0, -1].double().softmax(0)
        token = seen.answers[place, 0]
        assert token == chances.argmax()
        expected = torch.log(chances[token] / (1 - chances[token]))
        torch.testing.assert_close(seen.log_odds[place], expected, atol=1e-4, rtol=1e-4)
        assert float(seen.losses[place]) == pytest.approx(
            -float(chances[token].log().detach()), abs=1e-4
        )


def test_answers_are_greedy_and_end_where_the_model_ends_them(task, some):
    answers = task.respond({}, some.load(EVERY)).answers
    model = task.model.eval()
    for place in EVERY[:2]:
        row = answers[place][answers[place] != PAD].tolist()
        ids = task.tokenizer(PROMPTS[place])["input_ids"]
        for step, token in enumerate(row):
            assert int(model(torch.tensor([ids + row[:step]])).logits[0, -1].argmax()) == token
        assert len(row) == 6 or row[-1] == END


def test_recorded_answers_win_and_others_are_the_models_own(llama, some):
    answers = [None, "yes", None, "no", "", None]
    seen = observe(llama, recorded(answers))
    own = observe(llama, some)
    for place, text in enumerate(answers):
        row = seen.answers[place][seen.answers[place] != PAD].tolist()
        if text is None:
            other = own.answers[place]
            assert row == other[other != PAD].tolist()
        else:
            assert row == [*(FIRST + byte for byte in text.encode()), END]


def test_the_decision_token_is_the_first_after_what_trusted_answers_share(llama, some):
    texts = ["= a", "= bc", "= d", "= a", "= cc", "= e"]
    found = prepared(llama, recorded(texts))
    assert found.seen.lead == tuple(FIRST + byte for byte in b"= ")
    seen = observe(found, recorded(texts))
    assert found.group_words(seen.groups)[:2] == ["begins with 'a'", "begins with 'b'"]
    # An answer that parts from the others earlier is judged where it does.
    strange = observe(found, recorded(["=!", *texts[1:]]))
    assert found.group_words(strange.groups)[0] == "begins with '!'"
    layout = found.layout(recorded(texts).load(EVERY), seen.answers)
    assert layout.chosen.tolist() == seen.groups.tolist()
    assert all(row[-2:].tolist() == list(found.seen.lead) for row in layout.tokens)
    again = CausalLM(llama.model, ByteTokenizer(), tokens=6).knowing(found.knowledge())
    assert again.seen == found.seen


def test_what_most_share_is_common():
    assert common_lead([[1, 2, 3]] * 40 + [[1, 9]]) == (1, 2, 3)
    assert common_lead([[1, 2], [1, 3], [2, 2]]) == ()
    assert common_lead([]) == ()
    assert decisions([[1, 2, 5], [1, 7], [1]], [1, 2]) == [2, 1, 0]


def test_interior_places_hold_the_prompts_own_words(models):
    task = CausalLM(models["llama"], ByteTokenizer("a template"), tokens=3)
    some = of_prompts(PROMPTS)
    task = prepared(task, some)
    seen = observe(task, some)
    layout = task.layout(some.load(EVERY), seen.answers)
    for place, text in enumerate(PROMPTS):
        inside = layout.tokens[place][layout.interior[place]].tolist()
        assert task.tokenizer.decode(inside) == text
        whole = layout.tokens[place][layout.tokens[place] != PAD].tolist()
        assert task.tokenizer.decode(whole).startswith(f"<user>{text}\n<assistant>")
    assert task.pieces(layout.tokens[0])[0] == ""


def test_losses_of_a_whole_answer_are_those_of_its_tokens(task, some):
    answers = task.respond({}, some.load(EVERY)).answers
    found = task.answer_losses({}, some.load(EVERY), answers)
    assert torch.isfinite(found).all()
    assert (found[answers == PAD] == 0).all()
    row = answers[1][answers[1] != PAD].tolist()
    ids = task.tokenizer(PROMPTS[1])["input_ids"]
    logits = task.model.eval()(torch.tensor([ids + row])).logits[0, len(ids) - 1 : -1]
    expected = functional.cross_entropy(logits, torch.tensor(row), reduction="none")
    torch.testing.assert_close(found[1, : len(row)], expected, atol=1e-4, rtol=1e-4)
    losses, buffers = task.training_losses({}, some.load(EVERY), answers)
    assert float(losses[1]) == pytest.approx(float(expected.mean().detach()), abs=1e-4)
    assert buffers == {}


@pytest.mark.parametrize("watch", ["linear", "all"])
def test_every_gradient_rule_agrees_with_automatic_differentiation(task, some, watch):
    task = CausalLM(task.model, task.tokenizer, tokens=3, watch=watch)
    answers = task.respond({}, some.load(EVERY)).answers
    source = Gradient(features=0).fit(task, some, answers, seed=0, progress=silent)
    assert source.coverage.looped == ()
    found = source.answer(some, silent)
    place = 3
    overlay = {n: tensor.detach().requires_grad_() for n, tensor in task.watched.items()}
    value = task.respond(overlay, alone(some, place), answers[place : place + 1]).log_odds.sum()
    slopes = torch.autograd.grad(value, list(overlay.values()))
    by_name = dict(zip(overlay, slopes, strict=True))
    expected = torch.cat([by_name[n].flatten() for names in source.parts.values() for n in names])
    torch.testing.assert_close(
        found.values[place], expected, atol=1e-3 * float(expected.abs().max()), rtol=1e-2
    )


def test_looking_inside_changes_nothing_and_a_change_reaches_the_answer(task, some):
    batch = some.load(EVERY)
    own = task.respond({}, batch)
    width = task.layout(batch, own.answers).tokens.shape[1]
    seen = {}

    def look(name):
        return lambda value: (seen.__setitem__(name, value), value)[1]

    looks = {name: look(name) for name in task.points()}
    there = task.respond_with({}, batch, looks, own.answers)
    torch.testing.assert_close(there.log_odds, own.log_odds)
    assert list(seen) == list(task.points())
    assert {seen[name].shape for name in task.streams} == {(len(PROMPTS), width, 32)}
    assert task.head_count == 4
    assert len(task.heads) == 2
    for name in task.points():
        changed = task.respond_with({}, batch, {name: lambda value: value.roll(1, 2)}, own.answers)
        assert not torch.allclose(changed.log_odds, own.log_odds, rtol=1e-3), name
    assert not any(module._forward_hooks for module in task.network.modules())


def test_prompts_are_points_too(task, some):
    batch = some.load(EVERY)
    own, points = task.respond({}, batch), task.embed(batch)
    there = task.respond_at({}, points, batch)
    assert torch.equal(there.answers, own.answers)
    torch.testing.assert_close(there.log_odds, own.log_odds, atol=1e-4, rtol=1e-4)
    assert task.realize(points, batch) == batch
    moved = points.detach().requires_grad_()
    value = task.respond_at({}, moved, batch, own.answers).log_odds.sum()
    (slope,) = torch.autograd.grad(value, moved)
    mask = task.layout(batch, own.answers).tokens != PAD
    assert (slope[~mask] == 0).all()
    assert (slope[mask].abs().sum(dim=1) > 0).all()


def test_references_teach_and_judge(llama):
    some = of_prompts(PROMPTS, ["yes"] * 6)
    ready = prepared(llama, some)
    assert ready.seen.open  # a random model repeats none of them
    assert [each.code for each in ready.remarks] == ["open-references"]
    seen = observe(ready, some)
    assert ready.agrees(seen.answers, some.labels).all()
    strict = CausalLM(llama.model, llama.tokenizer, tokens=6, references="exact")
    assert not strict.agrees(seen.answers, some.labels).any()
    assert strict.agrees(strict.targets(some.labels), some.labels).all()
    assert strict.label_words(some.labels) == ["yes"] * 6


def test_a_prompt_that_is_too_long_loses_its_middle_and_it_is_said(models):
    task = CausalLM(models["gpt2"], ByteTokenizer(), tokens=8)
    long = of_prompts(["start" + "x" * 300 + "stop", *PROMPTS])
    ready = prepared(task, long)
    assert [each.code for each in ready.remarks] == ["prompts-cut"]
    seen = observe(ready, long)
    assert torch.isfinite(seen.log_odds).all()
    tokens = ready.layout(long.load(np.array([0])), seen.answers[:1]).tokens[0].tolist()
    text = task.tokenizer.decode(tokens)
    assert text.startswith("start")
    assert "stop" in text
    assert len(tokens) <= 128


@pytest.mark.parametrize(
    ("watch", "blocks", "expected"),
    [
        ("linear", "", 14),
        ("attention", "", 8),
        ("mlp", "1", 3),
        ("linear", "0-1", 14),
        ("*.q_proj.weight, *.k_proj.weight", "0", 2),
        ("last", "", 1),
        ("all", "", 20),
    ],
)
def test_watched_parameters(models, watch, blocks, expected):
    task = CausalLM(models["llama"], ByteTokenizer(), watch=watch, blocks=blocks)
    assert len(task.watched) == expected


@pytest.mark.parametrize("given", [{"watch": "nothing*"}, {"watch": "adapter"}, {"blocks": "0-7"}])
def test_watching_what_is_not_there_is_refused(models, given):
    with pytest.raises(ConfigError, match=r"task\.(watch|blocks)"):
        _ = CausalLM(models["llama"], ByteTokenizer(), **given).watched


def test_templates(models, some):
    batch = some.load(EVERY[:1])
    custom = CausalLM(models["llama"], ByteTokenizer(), "User: {prompt}\nAssistant:", tokens=2)
    answers = custom.respond({}, batch).answers
    tokens = custom.layout(batch, answers).tokens[0].tolist()
    assert custom.tokenizer.decode(tokens) == "User: Once\nAssistant:"
    for template in ("chat", "no slot"):
        with pytest.raises(ConfigError, match=r"template"):
            CausalLM(models["llama"], ByteTokenizer(), template).respond({}, batch)
    several = (Conversation((Turn("system", "Be kind."), Turn("user", "Hi"))),)
    with pytest.raises(DataError, match="needs a chat template"):
        custom.respond({}, several)
    chatty = CausalLM(models["llama"], ByteTokenizer("yes"), tokens=2)
    assert torch.isfinite(chatty.respond({}, several).log_odds).all()


def test_what_is_no_decoder_is_refused(some):
    task = CausalLM(torch.nn.Linear(2, 2), ByteTokenizer())
    with pytest.raises(ModelError):
        task.respond({}, some.load(EVERY))


def test_a_trigger_goes_where_it_is_asked_to_and_nowhere_else(llama, some):
    batch, where = some.load(EVERY), EVERY % 2 == 0
    seen = set()
    for trigger in llama.triggers:
        found = llama.stamped(batch, trigger, where)
        assert found == llama.stamped(batch, trigger, where)
        for before, after, has in zip(batch, found, where, strict=True):
            text = after.turns[-1].content
            assert (after == before) != has
            if has:
                words = before.turns[-1].content.split()
                assert [word for word in text.split() if word in words] == words
        seen.add(found)
    assert len(seen) == len(llama.triggers) == 2
    form = (Conversation((Turn("user", "User: what is it?\nAssistant:"),)),)
    for trigger in llama.triggers:
        (after,) = llama.stamped(form, trigger, np.array([True]))
        assert after.turns[-1].content.endswith("\nAssistant:")
        assert after.turns[-1].content.startswith("User: ")
    with pytest.raises(ConfigError, match="no trigger 'patch'"):
        llama.stamped(batch, "patch", where)


def test_a_model_that_accelerate_has_dispatched_is_traced_as_it_is(models, some):
    hooks = pytest.importorskip("accelerate.hooks")
    spread = decoder("llama")
    for module in (*spread.model.layers, spread):
        hook = hooks.AlignDevicesHook(execution_device="cpu", io_same_device=True)
        hooks.add_hook_to_module(module, hook)
    forwards = [module.forward for module in spread.modules()]
    values, tasks = (
        [],
        [CausalLM(each, ByteTokenizer(), tokens=3) for each in (models["llama"], spread)],
    )
    for task in tasks:
        answers = observe(task, some).answers
        source = Gradient(features=16).fit(task, some, answers, seed=0, progress=silent)
        assert source.coverage.looped == ()
        values.append(source(some, answers, silent).values)
    assert torch.equal(*values)
    assert [module.forward for module in spread.modules()] == forwards


def test_a_lesson_in_small_passes_teaches_the_same(models, some):
    twins = []
    for memory in (1, 2**30):
        task = CausalLM(models["llama"], ByteTokenizer(), tokens=3, memory=memory)
        answers = observe(task, some).answers
        twins.append(push(task, some, answers, Push(0.1, steps=3), seed=0, progress=silent))
    assert len(list(CausalLM(models["llama"], ByteTokenizer(), memory=1).passes(some))) == 6
    for name, tensor in twins[0].items():
        torch.testing.assert_close(tensor, twins[1][name], atol=1e-5, rtol=1e-3)


def test_logits_that_are_not_finite_are_refused_with_a_remedy_for_language(some):
    broken = decoder("llama")
    with torch.no_grad():
        broken.model.norm.weight[0] = torch.nan
    with pytest.raises(ModelError, match=r"NaN or infinite logits; .*task\.precision=float32"):
        CausalLM(broken, ByteTokenizer()).respond({}, some.load(EVERY))


def test_the_users_model_stays_as_it_is(some):
    model = decoder("gpt2").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    task = prepared(CausalLM(model, ByteTokenizer(), tokens=2, watch="all"), some)
    answers = observe(task, some).answers
    Gradient().fit(task, some, answers, seed=0, progress=silent)(some, answers, silent)
    push(task, some, answers, Push(0.1, steps=1), seed=0, progress=silent)
    task.respond_with({}, some.load(EVERY), {"block.0": torch.zeros_like}, answers)
    assert all(torch.equal(tensor, before[n]) for n, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
