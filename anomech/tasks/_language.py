"""A causal language model: batches are conversations, answers are tokens.

A response rests on the *decision token*: the first token at which an answer parts from what nearly
all trusted answers begin with. A constant piece before it says nothing about the answer, and what
comes after follows from it. Answers that were recorded are judged as they are; others are the
model's own, greedy ones.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from anomech.data.conversations import Conversation
from anomech.kernel.types import PAD, Examples, Overlay, Response
from anomech.roles.black_box import Movable, Sureness
from anomech.roles.sequences import Layout, Sequences
from anomech.roles.task import (
    Ability,
    Activations,
    Ancestry,
    DifferentiableInputs,
    Features,
    Layers,
    Preparation,
    Remark,
    Stamping,
    Training,
)
from anomech.tasks._language_ancestry import ancestor_of, changes_of, known
from anomech.tasks._language_answers import repeats
from anomech.tasks._language_blocks import opened
from anomech.tasks._language_editing import rejecting, silenced
from anomech.tasks._language_learned import Learned, learn
from anomech.tasks._language_network import Parts, Precision
from anomech.tasks._language_passes import capacity, passes_of
from anomech.tasks._language_points import nearest_tokens
from anomech.tasks._language_rows import answers_of, decisions, lists_of
from anomech.tasks._language_speaking import Speaker
from anomech.tasks._language_stamping import TRIGGERS, stamped
from anomech.tasks._language_watching import watched_of
from anomech.tasks._sighting import spread_over
from anomech.tasks._twin import overlaid
from anomech.tasks._watching import watched_modules

References = Literal["auto", "exact", "open"]

FEW = 64
"""Trusted conversations by which decision tokens and templates are found."""


@dataclass(frozen=True)
class CausalLM:
    """A decoder of the transformers library with its tokenizer.

    The model given is never changed: the task works on a twin that shares its tensors.

    Args:
        model: such as `AutoModelForCausalLM` gives.
        tokenizer: such as `AutoTokenizer` gives.
        template: how prompts are put: "auto" (the tokenizer's chat template if it has one), "chat",
            "plain", or a text with `{prompt}` in it.
        tokens: of an answer, at the most.
        watch: which parameters move, see `anomech.tasks._language_watching.watched_of`.
        blocks: of those, in which blocks; empty is all.
        device: where to run; empty means where the model is.
        precision: of its arithmetic; "auto" is float32 on a CPU, and the model's own elsewhere.
            Log-odds are float32.
        memory: bytes that the activations of one pass may take.
        references: whether an answer must repeat the reference to count as right ("exact"), any
            answer does ("open"), or trusted examples tell ("auto").
        base: what the model was made of, if that is known and no adapter tells.
        seen: what is known from trusted conversations; `prepared` fills it.
    """

    model: nn.Module
    tokenizer: Any
    template: str = "auto"
    tokens: int = 20
    watch: str = "linear"
    blocks: str = ""
    device: str = ""
    precision: Precision = "auto"
    memory: int = 2**30
    references: References = "auto"
    base: nn.Module | None = None
    seen: Learned | None = None
    kind: str = field(default="causal language model", init=False, repr=False)

    @property
    def provides(self) -> frozenset[Ability]:
        """What every decoder gives; its logits are too many to be kept of every example."""
        found = {
            *(Preparation, Sureness, Movable, Features, Layers, Training),
            *(DifferentiableInputs, Activations, Sequences, Stamping),
        }
        return frozenset(found | {Ancestry} if known(self.network, self.base) else found)

    @property
    def network(self) -> nn.Module:
        """The twin in evaluation mode, without gradients of its own."""
        return self._parts.network

    @cached_property
    def watched(self) -> Mapping[str, Tensor]:
        """Parameters that move, by name, in the order the network lists them."""
        return watched_of(
            self.network, self._parts.blocks, self.feature_layer, self.watch, self.blocks
        )

    @property
    def feature_layer(self) -> str:
        """Name of the layer that gives the logits."""
        return self._parts.head

    @property
    def remarks(self) -> Sequence[Remark]:
        """See `anomech.roles.task.Preparation.remarks`."""
        return () if self.seen is None else self.seen.remarks

    def prepared(self, examples: Examples) -> "CausalLM":
        """See `anomech.roles.task.Preparation.prepared`; a few examples are answered."""
        places = spread_over(len(examples), FEW)
        batch: tuple[Conversation, ...] = examples.load(places)
        prompts = [self._parts.wording.prompt(each) for each in batch]
        texts = [self._parts.wording.text(each) for each in batch if each.turns]
        room = self._parts.wording.room
        found = learn(prompts, texts, [], agreeing=None, room=room)
        task = replace(self, seen=found)
        answers = lists_of(task.answered({}, batch))
        labels = examples.labels
        agreeing = None
        if labels is not None and self.references == "auto":
            # Whether they repeat the reference is asked as if they must.
            strict = replace(task, references="exact")
            agreed = strict.agrees(answers_of(answers, self._parts.device), labels[places])
            agreeing = float(agreed.double().mean())
        found = learn(prompts, texts, answers, agreeing=agreeing, room=room)
        return replace(self, seen=found)

    def strict(self) -> "CausalLM":
        """See `anomech.roles.sequences.Lenient.strict`."""
        return replace(self, references="exact")

    def knowledge(self) -> Any:
        """See `anomech.roles.task.Preparation.knowledge`."""
        return None if self.seen is None else asdict(self.seen)

    def knowing(self, facts: Any) -> "CausalLM":
        """See `anomech.roles.task.Preparation.knowing`."""
        return replace(self, seen=Learned(**{**facts, "lead": tuple(facts["lead"])}))

    def layers(self) -> Mapping[str, nn.Module]:
        """The network and modules that own a watched parameter themselves; tied ones all."""
        return watched_modules(self.network, self.watched)

    def precise(self) -> "CausalLM":
        """The same task: rules are checked in the arithmetic that the model has room for."""
        return self

    def cut(self, examples: Examples) -> list[str]:
        """See `anomech.roles.sequences.Cutting.cut`: prompts that lose their middle."""
        room = self._parts.wording.room
        return [
            i
            for i, n in zip(examples.ids, self._speaker.lengths(examples), strict=True)
            if n > room
        ]

    def passes(self, examples: Examples) -> Iterator[np.ndarray]:
        """See `anomech.roles.task.Task.passes`: conversations of like lengths, short ones first."""
        room = self._parts.wording.room
        lengths = [min(length, room) + self.tokens for length in self._speaker.lengths(examples)]
        return passes_of(lengths, self._capacity)

    def repeated(self, tokens: int) -> Sequence[nn.Module]:
        """See `anomech.roles.sequences.Frugal.repeated`: all, where `memory` cannot hold them."""
        if tokens <= self._capacity:
            return ()
        return [self.network.get_submodule(block.name) for block in self._parts.blocks]

    def with_(self, overlay: Overlay) -> "CausalLM":
        """See `anomech.roles.task.Task.with_`."""
        return replace(self, model=overlaid(self.network, None, overlay, None))

    def state(self) -> Mapping[str, Tensor]:
        """See `anomech.roles.task.Task.state`."""
        return self.network.state_dict()

    def respond(self, overlay: Overlay, batch: Any, answers: Tensor | None = None) -> Response:
        """See `anomech.roles.task.Task.respond`; the batch is conversations.

        Only what comes before the decision token is run, so that the cost of a response does not
        grow with the length of its answer.
        """
        if answers is None:
            answers = self.answered(overlay, batch)
        return self._speaker.response(overlay, batch, answers)

    def answered(self, overlay: Overlay, batch: Any) -> Tensor:
        """Recorded answers, and the model's own where there are none, int64 `[batch, tokens]`."""
        return self._speaker.answers(overlay, batch)

    def groups(self, answers: Tensor) -> Tensor:
        """The decision token of each answer, int64 `[batch]`."""
        rows = lists_of(answers)
        places = decisions(rows, self._learned.lead)
        return torch.tensor([row[at] for row, at in zip(rows, places, strict=True)])

    def group_words(self, groups: Tensor) -> list[str]:
        """What answers of each group begin with."""
        return [f"begins with '{self._parts.wording.piece(each)}'" for each in groups.tolist()]

    def agrees(self, answers: Tensor, labels: np.ndarray) -> Tensor:
        """Whether answers repeat the references, apart from space, case and being cut off.

        Where references are one good wording among others, every answer is right.
        """
        if self.references == "open" or (self.references == "auto" and self._learned.open):
            return torch.ones(len(answers), dtype=torch.bool)
        ended = (
            torch.isin(answers.cpu(), torch.tensor(self._parts.wording.ends)).any(dim=1).tolist()
        )
        said = zip(self.words(answers), self.label_words(labels), ended, strict=True)
        return torch.tensor([repeats(*each) for each in said])

    def words(self, answers: Tensor) -> list[str]:
        """The text of each answer."""
        return [self._parts.wording.words(row).strip() for row in lists_of(answers)]

    def label_words(self, labels: np.ndarray) -> list[str]:
        """The references themselves."""
        return [str(each) for each in np.asarray(labels, object).reshape(-1)]

    def targets(self, labels: np.ndarray) -> Tensor:
        """References as answers, int64 `[n, tokens]`."""
        told = [self._speaker.told(text) for text in self.label_words(labels)]
        return answers_of(told, self._parts.device)

    def training_losses(
        self, overlay: Overlay, batch: Any, answers: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of each answer's tokens `[batch]`, nats; without dropout."""
        losses = self.answer_losses(overlay, batch, answers)
        said = (answers != PAD).to(losses.device)
        return (losses * said).sum(dim=1) / said.sum(dim=1), {}

    def batch_statistics(self, overlay: Overlay, batch: Any) -> dict[str, Tensor]:
        """None: nothing in a decoder depends on the batch."""
        return {}

    def layout(self, batch: Any, answers: Tensor) -> Layout:
        """See `anomech.roles.sequences.Sequences.layout`."""
        return self._speaker.layout(batch, answers)

    def without(self, batch: Any, answers: Tensor, dropped: Tensor) -> Any:
        """See `anomech.roles.sequences.Sequences.without`."""
        return self._speaker.without(batch, answers, dropped)

    def pieces(self, tokens: Tensor) -> list[str]:
        """See `anomech.roles.sequences.Sequences.pieces`."""
        return ["" if each == PAD else self._parts.wording.piece(each) for each in tokens.tolist()]

    def silenced(self, chosen: Tensor) -> Overlay:
        """See `anomech.roles.sequences.Sequences.silenced`."""
        return silenced(self.network, self._parts.blocks, chosen)

    def rejecting(self, direction: Tensor, start: int = 0) -> Overlay:
        """See `anomech.roles.sequences.Sequences.rejecting`."""
        return rejecting(self.network, self._parts.blocks, direction, start)

    def answer_losses(self, overlay: Overlay, batch: Any, answers: Tensor) -> Tensor:
        """See `anomech.roles.sequences.Sequences.answer_losses`."""
        return self._speaker.losses(overlay, batch, answers)

    def ancestor(self) -> Overlay:
        """See `anomech.roles.task.Ancestry.ancestor`."""
        return ancestor_of(self.network, self.base)

    def changes(self) -> Iterator[tuple[int, Tensor]]:
        """See `anomech.roles.task.Ancestry.changes`."""
        return changes_of(self.network, self.base)

    @property
    def streams(self) -> Sequence[str]:
        """See `anomech.roles.sequences.Sequences.streams`."""
        return [name for name in self.points() if name.count(".") <= 1 and name != "norm"]

    @property
    def heads(self) -> Sequence[str]:
        """See `anomech.roles.sequences.Sequences.heads`."""
        return [name for name in self.points() if name.endswith(".heads")]

    @property
    def head_count(self) -> int:
        """Attention heads of a block."""
        return int(getattr(self._parts.config, "num_attention_heads", 1))

    def points(self) -> Sequence[str]:
        """See `anomech.tasks._language_blocks.points_of`."""
        return list(self._parts.points)

    def respond_with(
        self,
        overlay: Overlay,
        batch: Any,
        changes: Mapping[str, Callable[[Tensor], Tensor]],
        answers: Tensor | None = None,
    ) -> Response:
        """See `anomech.roles.task.Activations.respond_with`.

        Activations are `[batch, width, ...]` of the sequences that `layout` describes. Where the
        model answers itself, changes act on its answering too, a token at a time after the prompt.
        """
        with opened(self.network, self._parts.points, changes):
            return self.respond(overlay, batch, answers)

    stamped = staticmethod(stamped)

    @property
    def triggers(self) -> Sequence[str]:
        """A string of rare tokens and a sentence."""
        return tuple(TRIGGERS)

    def embed(self, batch: Any) -> Tensor:
        """Embeddings of the prompts' tokens `[batch, width, features]`, padded on the left."""
        return self._parts.table[self._speaker.prompts(batch).ids].float()

    def respond_at(
        self, overlay: Overlay, points: Tensor, batch: Any, answers: Tensor | None = None
    ) -> Response:
        """See `anomech.roles.task.DifferentiableInputs.respond_at`."""
        points = points.to(self._parts.table.dtype)
        if answers is None:
            answers = self._speaker.own_answers(overlay, batch, points.detach())
        return self._speaker.response(overlay, batch, answers, points)

    def project(self, points: Tensor) -> Tensor:
        """The nearest embeddings of tokens."""
        return self._parts.table[nearest_tokens(self._parts.table, points)].float()

    def realize(self, points: Tensor, batch: Any) -> Any:
        """Conversations of the nearest tokens; those that are as they were stay what they are."""
        return self._speaker.realized(points, batch)

    @property
    def _capacity(self) -> int:
        """Tokens of one pass."""
        number = next(self.network.parameters()).element_size()
        return capacity(self._parts.config, self.memory, self._parts.device, number)

    @property
    def _learned(self) -> Learned:
        return Learned() if self.seen is None else self.seen

    @cached_property
    def _speaker(self) -> Speaker:
        return Speaker(self._parts, self._learned)

    @cached_property
    def _parts(self) -> Parts:
        return Parts(
            self.model, self.tokenizer, self.template, self.tokens, self.device, self.precision
        )
