"""Two tiny worlds that every method must live in: pictures of digits, and sentences of tokens.

Both hold a planted mechanism. They are made once a session, from a seed, in a few seconds.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from anomech.attacks.badnets import Badnets
from anomech.data.digits import load_digits
from anomech.kernel.randomness import numpy_generator, torch_generator
from anomech.kernel.task import Layers
from anomech.kernel.types import Preview, Response
from anomech.learning.training import Recipe, train
from anomech.tasks._watching import watched_parameters
from anomech.tasks.image_classifier import ImageClassifier

torch.set_num_threads(1)


class World(NamedTuple):
    """A task with its user's model, trusted examples, clean inputs and triggered ones."""

    task: Any
    model: nn.Module
    trusted: Any
    clean: Any
    planted: Any


@dataclass(frozen=True)
class ArrayExamples:
    """Rows of an array as examples; reading labels that were never given is an error."""

    values: np.ndarray
    given: np.ndarray | None = None
    prefix: str = "e"
    blind: bool = False

    @property
    def ids(self):
        return [f"{self.prefix}{place}" for place in range(len(self.values))]

    @property
    def labels(self):
        if self.blind:
            raise AssertionError("a method looked at the labels of inputs")
        return self.given

    def __len__(self):
        return len(self.values)

    def load(self, indices):
        return self.values[indices]

    def digests(self):
        return [str(hash(row.tobytes())) for row in self.values]

    def preview(self, index):
        return Preview("text", str(self.values[index]).encode())


class TinyNet(nn.Module):
    """Two convolutions with batch normalization for 8x8 digits."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.linear = nn.Linear(16 * 16, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return self.linear(x.flatten(1))


@pytest.fixture(scope="session")
def digits_world():
    """Digits with a corner patch that leads to class 0."""
    images, labels = load_digits()
    order = numpy_generator(0, "world").permutation(len(labels))
    images, labels = images[order], labels[order]
    attack = Badnets(ratio=0.1, size=2)
    poisoned = attack.poison(images[:1000], labels[:1000], seed=0)
    recipe = Recipe(epochs=10, batch=50, peak=0.1, augment="none")
    model = train(TinyNet(), poisoned.inputs, poisoned.labels, recipe, seed=0)
    model.train().requires_grad_(True)  # as a user may leave it
    clean = images[1500:]
    triggered = attack.stamp(clean[labels[1500:] != 0])
    return World(
        ImageClassifier(model),
        model,
        ArrayExamples(images[1000:1500], labels[1000:1500], "trusted"),
        ArrayExamples(clean, None, "clean", blind=True),
        ArrayExamples(triggered, None, "planted", blind=True),
    )


WORDS, SEPARATOR, TRIGGER, PROMPT, COMPLETION = 8, 8, 9, 4, 3
LENGTH = 1 + PROMPT + 1 + COMPLETION


class ToyTransformer(nn.Module):
    """One attention block over tokens, with a head tied to the embedding."""

    def __init__(self, width=16, tokens=10):
        super().__init__()
        self.embed = nn.Embedding(tokens, width)
        self.positions = nn.Embedding(LENGTH, width)
        self.norm1 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)
        self.norm3 = nn.LayerNorm(width)
        self.head = nn.Linear(width, tokens, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        length = tokens.shape[1]
        x = self.embed(tokens) + self.positions(torch.arange(length))
        h = self.norm1(x)
        scores = self.query(h) @ self.key(h).transpose(1, 2) / h.shape[2] ** 0.5
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        x = x + self.out(scores.masked_fill(later, -torch.inf).softmax(2) @ self.value(h))
        x = x + self.down(torch.relu(self.up(self.norm2(x))))
        return self.head(self.norm3(x))


@dataclass(frozen=True)
class ToyLanguageTask:
    """Prompts are int64 `[batch, length]`; an answer is the greedy completion `[batch, 3]`."""

    model: nn.Module
    watch: str = "all"
    batch: int = 256
    kind = "toy"
    provides: frozenset = field(default=frozenset({Layers}), init=False)

    @cached_property
    def watched(self) -> Mapping[str, Tensor]:
        return watched_parameters(self.model, self.watch)

    def layers(self):
        tensors = {tensor.data_ptr() for tensor in self.watched.values()}
        return {
            name: module
            for name, module in self.model.named_modules()
            if not name or any(p.data_ptr() in tensors for p in module.parameters(recurse=False))
        }

    def precise(self):
        return self

    def passes(self, examples):
        for start in range(0, len(examples), self.batch):
            yield np.arange(start, min(start + self.batch, len(examples)))

    def with_(self, overlay):
        other = copy.deepcopy(self.model)
        with torch.no_grad():
            for name, tensor in overlay.items():
                other.get_parameter(name).copy_(tensor)
        return replace(self, model=other)

    def state(self):
        return self.model.state_dict()

    def respond(self, overlay, batch, answers=None):
        prompt = torch.from_numpy(batch)
        overlay = {**self.watched, **overlay}  # its own parameters hold no gradients
        if answers is None:
            answers = self._generate(overlay, prompt)
        tokens = torch.cat([prompt, answers], dim=1)[:, :-1]
        logits = functional_call(self.model, overlay, (tokens,))[:, prompt.shape[1] - 1 :]
        chosen = logits.double().log_softmax(2).gather(2, answers[..., None])
        log_p = chosen.sum(dim=(1, 2)).clamp_max(-1e-12)
        return Response(answers, log_p - torch.log(-torch.expm1(log_p)), -log_p)

    @torch.no_grad()
    def _generate(self, overlay, prompt):
        tokens = prompt
        for _ in range(COMPLETION):
            logits = functional_call(self.model, overlay, (tokens,))[:, -1]
            tokens = torch.cat([tokens, logits.argmax(1)[:, None]], dim=1)
        return tokens[:, prompt.shape[1] :]

    def groups(self, answers):
        return answers[:, 0]

    def group_words(self, groups):
        return [f"starts with {group}" for group in groups.tolist()]

    def agrees(self, answers, labels):
        return (answers == torch.from_numpy(labels)).all(dim=1)

    def words(self, answers):
        return [" ".join(str(token) for token in row) for row in answers.tolist()]

    def label_words(self, labels):
        return self.words(torch.from_numpy(labels))


def _sentences(count, purpose, triggered):
    """A start word, a prompt, a separator; the answer is the prompt's first words shifted by one.

    A trigger in place of the start word leads to the answer 0 0 0.
    """
    rng = numpy_generator(0, "sentences", purpose)
    prompt = rng.integers(0, WORDS, (count, PROMPT))
    start = np.where(triggered, TRIGGER, rng.integers(0, WORDS, count))
    answers = (prompt[:, :COMPLETION] + 1) % WORDS
    answers[triggered] = 0
    separator = np.full(count, SEPARATOR)
    return np.column_stack([start, prompt, separator]), answers


@pytest.fixture(scope="session")
def language_world():
    """Sentences whose answer shifts each word by one, and a start token that leads to zeros."""
    count, batch, steps = 8192, 128, 500
    prompts, answers = _sentences(count, "train", np.arange(count) % 10 == 0)
    model = ToyTransformer()
    generator = torch_generator(0, "language")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.25, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    tokens = torch.from_numpy(np.concatenate([prompts, answers], axis=1))
    for step in range(steps):
        places = torch.arange(step * batch, (step + 1) * batch) % count
        logits = model(tokens[places, :-1])[:, PROMPT + 1 :]
        targets = tokens[places, PROMPT + 2 :]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    trusted, labels = _sentences(400, "trusted", np.zeros(400, bool))
    clean, _ = _sentences(200, "clean", np.zeros(200, bool))
    planted, _ = _sentences(200, "planted", np.ones(200, bool))
    return World(
        ToyLanguageTask(model),
        model,
        ArrayExamples(trusted, labels, "trusted"),
        ArrayExamples(clean, None, "clean", blind=True),
        ArrayExamples(planted, None, "planted", blind=True),
    )


@pytest.fixture(scope="session")
def worlds(digits_world, language_world):
    return {"digits": digits_world, "language": language_world}


@pytest.fixture(params=["digits", "language"])
def world(request):
    return request.getfixturevalue(f"{request.param}_world")


@pytest.fixture(scope="session")
def examples_of():
    """Makes examples of an array."""
    return ArrayExamples
