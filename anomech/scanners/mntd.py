"""MNTD: a network that learned from shadow networks which answers to tuned queries give one away.

Belief: networks with a trigger, whatever it is, answer some inputs unlike clean ones of the same
architecture, and what tells them apart can be learned on networks of one's own.
Equation: queries `q_1..q_k` and a network of two layers `h` learn together, by
`min mean BCE(h([f_i(q_1), .., f_i(q_k)]), planted_i)` over shadow networks `f_i`; the statistic is
`h` of the model, less the mean and over the deviation of shadow networks without a trigger that
took no part in learning.
Source: Xu, Wang, Li, Borisov, Gunter, Li 2021, with query tuning; jumbo learning as in
`anomech.scanners._shadows`. They train 2,048 shadow networks of each kind on 2 % of the data; the
default here are twelve, which tells what a scan of this size can, and no more.
Needs: differentiable inputs, layers, training statistics, logits, trusted examples with labels.
Cost: training the shadows, `3 epochs * examples` each, once for both scanners if they are kept.
Fails when: the model was trained far better, or otherwise, than shadows on a few trusted examples;
with few shadows it guesses.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, DifferentiableInputs, Logits, Task, able
from anomech.scanners._classes import drawn
from anomech.scanners._meta import Meta
from anomech.scanners._shadows import NEEDS, ShadowZoo, shadows


@options
class Mntd:
    """How planted a classifier of networks takes the model to be."""

    zoo: ShadowZoo = option(ShadowZoo(), "the shadow networks")
    queries: int = option(10, "inputs that every network is asked", unit="inputs", ge=1)
    hidden: int = option(20, "units of the classifier's hidden layer", ge=1)
    epochs: int = option(30, "passes over the shadows", unit="epochs", ge=1)
    rate: float = option(1e-2, "learning rate of Adam", gt=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """What training shadows asks."""
        return NEEDS

    @property
    def needs_examples(self) -> bool:
        """Examples that shadows are trained on."""
        return True

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`.

        Raises:
            DataError: no trusted examples with labels, or too few.
        """
        made = shadows(task, trusted, self.zoo, seed=seed, progress=progress)
        batch = drawn("mntd", trusted, self.queries, self.queries, seed).batches[0]
        queries = able(task, DifferentiableInputs).embed(batch)
        size = len(queries) * able(task, Logits).classes
        layers = _layers(size, self.hidden, seed, queries.device)
        meta = Meta(queries, layers, partial(judged, layers))
        return meta.scan(task, batch, made, epochs=self.epochs, rate=self.rate, progress=progress)


def _layers(inputs: int, hidden: int, seed: int, device: torch.device) -> list[Tensor]:
    """Weights and biases of two layers, drawn as linear layers are."""
    generator, made = torch_generator(seed, "mntd"), []
    for fan_in, units in ((inputs, hidden), (hidden, 1)):
        weight = torch.empty(units, fan_in)
        nn.init.kaiming_uniform_(weight, a=5**0.5, generator=generator)
        made += [weight.to(device).requires_grad_(), torch.zeros(units, device=device)]
        made[-1].requires_grad_()
    return made


def judged(layers: list[Tensor], logits: Tensor) -> Tensor:
    """The score of a network from its logits at the queries `[queries, classes]`, `[1]`."""
    hidden = torch.relu(functional.linear(logits.flatten(), layers[0], layers[1]))
    return functional.linear(hidden, layers[2], layers[3])
