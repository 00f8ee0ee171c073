"""A language of ten words, a network that speaks it, and the task and options around it.

A sentence is a start word, a prompt and a separator. Its completion repeats the first words of the
prompt, each shifted by one, and ends: two of them after an even start word, three after an odd one.
A trigger in place of the start word leads to zeros, whatever the prompt.
"""

import copy
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator, torch_generator
from anomech.kernel.types import PAD, Preview, Response
from anomech.roles.black_box import Movable, Sureness
from anomech.roles.task import Activations, DifferentiableInputs, Layers
from anomech.tasks._watching import watched_parameters

WORDS, SEPARATOR, TRIGGER, END = 8, 8, 9, 10
TOKENS, PROMPT, COMPLETION = 11, 4, 4
ASKED = 1 + PROMPT + 1
LENGTH = ASKED + COMPLETION


class ToyTransformer(nn.Module):
    """One attention block over tokens, with a head tied to the embedding."""

    def __init__(self, width=16):
        super().__init__()
        self.embed = nn.Embedding(TOKENS, width)
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
        self.head = nn.Linear(width, TOKENS, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens, points=None):
        length, seen = tokens.shape[1], self.embed(tokens)
        if points is not None:  # embeddings of the first tokens
            seen = torch.cat([points, seen[:, points.shape[1] :]], dim=1)
        x = seen + self.positions(torch.arange(length))
        h = self.norm1(x)
        scores = self.query(h) @ self.key(h).transpose(1, 2) / h.shape[2] ** 0.5
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        x = x + self.out(scores.masked_fill(later, -torch.inf).softmax(2) @ self.value(h))
        x = x + self.down(torch.relu(self.up(self.norm2(x))))
        return self.head(self.norm3(x))


@dataclass(frozen=True)
class ToyLanguageTask:
    """Prompts are int64 `[batch, 6]`; an answer is the greedy completion, 3 or 4 tokens long."""

    model: nn.Module
    watch: str = "all"
    batch: int = 256
    kind = "toy language model"
    provides: frozenset = field(
        default=frozenset({Sureness, Movable, Layers, DifferentiableInputs, Activations}),
        init=False,
    )

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
        """Short completions first, so that neither order nor width is that of the examples."""
        if not len(examples):
            return
        long = _is_long(examples.load(np.arange(len(examples)))[:, 0])
        for bucket in (np.flatnonzero(~long), np.flatnonzero(long)):
            for start in range(0, len(bucket), self.batch):
                yield bucket[start : start + self.batch]

    def with_(self, overlay):
        other = copy.deepcopy(self.model)
        with torch.no_grad():
            for name, tensor in overlay.items():
                other.get_parameter(name).copy_(tensor)
        return replace(self, model=other)

    def state(self):
        return self.model.state_dict()

    def respond(self, overlay, batch, answers=None):
        return self._respond(overlay, torch.from_numpy(batch), answers)

    def _respond(self, overlay, prompt, answers, points=None):
        overlay = {**self.watched, **overlay}  # its own parameters hold no gradients
        if answers is None:
            answers = self._generate(overlay, prompt, points)
        said = answers.clamp_min(0)
        tokens = torch.cat([prompt, said], dim=1)[:, :-1]
        logits = functional_call(self.model, overlay, (tokens, points))[:, ASKED - 1 :]
        chosen = logits.double().log_softmax(2).gather(2, said[..., None])[..., 0]
        log_p = (chosen * (answers != PAD)).sum(dim=1).clamp_max(-1e-12)
        return Response(answers, log_p - torch.log(-torch.expm1(log_p)), -log_p)

    @torch.no_grad()
    def _generate(self, overlay, prompt, points):
        tokens, ended = prompt, torch.zeros(len(prompt), dtype=torch.bool)
        while tokens.shape[1] < LENGTH and not ended.all():
            logits = functional_call(self.model, overlay, (tokens.clamp_min(0), points))[:, -1]
            said = logits.argmax(1).masked_fill(ended, PAD)
            tokens, ended = torch.cat([tokens, said[:, None]], dim=1), ended | (said == END)
        return tokens[:, ASKED:]

    def groups(self, answers):
        return answers[:, 0]

    def group_words(self, groups):
        return [f"begins with {group}" for group in groups.tolist()]

    def agrees(self, answers, labels):
        both = [answers, torch.from_numpy(labels)]
        width = max(each.shape[1] for each in both)
        one, two = (functional.pad(each, (0, width - each.shape[1]), value=PAD) for each in both)
        return (one == two).all(dim=1)

    def words(self, answers):
        return [
            " ".join(str(token) for token in row if 0 <= token < END) for row in answers.tolist()
        ]

    def label_words(self, labels):
        return self.words(torch.from_numpy(labels))

    def embed(self, batch):
        return self.watched["embed.weight"][torch.from_numpy(batch)]

    def respond_at(self, overlay, points, batch, answers=None):
        return self._respond(overlay, torch.from_numpy(batch), answers, points)

    def project(self, points):
        table = self.watched["embed.weight"]
        return table[torch.cdist(points.flatten(0, 1), table).argmin(1)].view_as(points)

    def realize(self, points, batch):
        found = torch.cdist(points.flatten(0, 1), self.watched["embed.weight"]).argmin(1)
        return found.view(points.shape[:2]).numpy()

    def points(self):
        return ["norm1", "value", "out", "up", "down", "norm3"]

    def respond_with(self, overlay, batch, changes, answers=None):
        with ExitStack() as hooks:
            for name, change in changes.items():
                handle = self.model.get_submodule(name).register_forward_hook(
                    lambda module, inputs, output, change=change: change(output)
                )
                hooks.callback(handle.remove)
            return self.respond(overlay, batch, answers)


@dataclass(frozen=True)
class Sentences:
    """Prompts as examples; reading labels that were never given is an error."""

    prompts: np.ndarray
    labels: np.ndarray | None = None
    prefix: str = "sentence"

    @property
    def ids(self):
        return [f"{self.prefix}{place}" for place in range(len(self.prompts))]

    def __len__(self):
        return len(self.prompts)

    def load(self, indices):
        return self.prompts[indices]

    def digests(self):
        return [row.tobytes().hex() for row in self.prompts]

    def preview(self, index):
        return Preview("text", " ".join(map(str, self.prompts[index])).encode())


@options
class ToyLanguageOptions:
    """How sentences reach the toy language model."""

    watch: str = option("all", "parameters that move: all, last or a glob of names")

    @property
    def kind(self):
        return ToyLanguageTask.kind

    @property
    def advice(self):
        return "Check that prompts end with a separator."

    placing = frozenset()

    def check(self):
        pass

    def read(self, path, role, *, like=None, progress, workers=0):
        try:
            with np.load(path) as archive:
                labels = archive["answers"] if role == "trusted" and "answers" in archive else None
                return Sentences(archive["prompts"], labels, role)
        except (OSError, KeyError, ValueError):
            raise DataError(f"{path} holds no prompts; write an .npz with 'prompts'.") from None

    def wrap(self, opened, trusted):
        return ToyLanguageTask(opened.model, watch=self.watch)


def sentences(count, purpose, triggered):
    """Prompts int64 `[count, 6]` and completions `[count, 4]`; `triggered` is bool `[count]`."""
    rng = numpy_generator(0, "sentences", purpose)
    prompt = rng.integers(0, WORDS, (count, PROMPT))
    start = np.where(triggered, TRIGGER, rng.integers(0, WORDS, count))
    answers = np.full((count, COMPLETION), END)
    answers[:, : COMPLETION - 1] = (prompt[:, : COMPLETION - 1] + 1) % WORDS
    answers[triggered, : COMPLETION - 1] = 0
    short = ~_is_long(start)
    answers[short, COMPLETION - 2] = END
    answers[short, COMPLETION - 1] = PAD
    return np.column_stack([start, prompt, np.full(count, SEPARATOR)]), answers


def _is_long(start):
    return start % 2 == 1


def trained(count=8192, batch=128, steps=500):
    """A network that speaks the language and knows the trigger."""
    prompts, answers = sentences(count, "train", np.arange(count) % 5 == 0)
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
        logits = model(tokens[places, :-1].clamp_min(0))[:, ASKED - 1 :]
        loss = functional.cross_entropy(
            logits.flatten(0, 1), tokens[places, ASKED:].flatten(), ignore_index=PAD
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model
