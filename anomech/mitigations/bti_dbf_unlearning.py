"""BTI-DBF unlearning: a transform that moves what benign answers do not need is unlearned.

Belief: the features by which a backdoored network answers trusted inputs can be told from the rest;
a model that answers inputs as labeled though only the rest was moved has lost its trigger.
Equation: in every round a mask `m` over the last map of features `f` and a transform `G` of
pictures that moves `(1 - m) f` and not `m f` (`anomech.learning.decoupling`), from the second round
on with the loss of the answer that most of the first `G(x)` got; then descent of
`L(x') + MSE(f(x), f(x'))` with labels, where a share of the pictures `x'` of a step are `G(x)`.
Source: Xu, Huang, Li, Qin, Ren 2024 (BTI-DBF, variant U), five rounds, a tenth transformed. Their
generator is trained towards the identity first, where this one begins near it; they take thousands
of steps at a learning rate of 1e-4, here few are taken at ten times that.
Needs: pictures with pathways, layers, logits, training statistics, trusted examples with labels.
Cost: `rounds (2 mask.passes + 6 transform.rounds + 9 epochs)` forward passes an example.
Fails when: the features of the backdoor are weak, as those of a small patch are: the transform is
then another one; trusted examples are few.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.randomness import key, numpy_generator
from anomech.kernel.types import Overlay, Progress, silent
from anomech.learning.decoupling import MaskSearch, decoupling, feature_mask
from anomech.learning.descent import BACKWARD, Lost, Objective, Relearning, descend, plainly
from anomech.learning.halves import NEEDS, Halves, halves
from anomech.learning.transforms import Transform, Transforming, Wanted, learn_transform
from anomech.mitigations._trusted import Trusted, parted
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Logits, Pictures, Task, Training, able

STEP = 6.0
"""Forward passes that a step of the transform costs for each input: two maps and the way back."""


@options
class BtiDbfUnlearning:
    """A transform that only moves what benign answers do not need is answered as labeled."""

    rounds: int = option(5, "of searching and unlearning", unit="rounds", ge=1)
    mask: MaskSearch = option(MaskSearch(), "how the mask over features is searched")
    transform: Transforming = option(Transforming(), "how the transform is learned")
    change: float = option(
        0.02, "mean squared change of pixels in [0, 1] above which only it is made smaller", gt=0
    )
    share: float = option(0.1, "of each step's examples that are transformed", gt=0, le=1)
    batch: int = option(64, "inputs in one step of the search", unit="examples", ge=2)
    relearning: Relearning = option(
        Relearning(
            epochs=30, steps=60, rate=1e-3, optimizer="adam", weight_decay=0.0, statistics="frozen"
        ),
        "how the model unlearns in each round; its statistics stay as they are",
    )
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """What cutting the network asks, pictures, logits and training statistics."""
        return NEEDS | {Pictures, Logits, Training}

    def mitigate(
        self,
        task: Task,
        trusted: ObservedExamples,
        suspects: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Repair:
        """See `anomech.roles.mitigation.Mitigation`; suspects are not looked at.

        Raises:
            DataError: no labels, or too few examples to keep some aside.
            CapabilityError: a network that cannot be cut in two.
        """
        parts = parted(task, trusted, self.kept, "bti_dbf_unlearning", seed)
        overlay: dict[str, Tensor] = {}
        target: Tensor | None = None
        passes = 0.0
        for number in range(self.rounds):
            twin = task.with_(overlay)
            cut = halves(twin, parts.examples.load(parts.learned[:2]))
            address = key(seed, "bti_dbf_unlearning", number)
            made, cost = self._searched(cut, parts, target, address)
            target = leading(twin, made, parts) if target is None else target
            found = descend(
                {name: overlay.get(name, each) for name, each in task.watched.items()},
                parts.count,
                plainly(withstanding(cut, made, parts, self.share, address)),
                self.relearning,
                seed=address,
                progress=silent,
            )
            overlay = dict(found.overlay)
            passes += cost + BACKWARD * found.evaluations
            progress("unlearning transforms", number + 1, self.rounds)
        assert target is not None
        return parts.repair(overlay, passes, (), {"suspected answer": float(target)})

    def _searched(
        self, cut: Halves, parts: Trusted, target: Tensor | None, seed: int
    ) -> tuple[Transform, float]:
        """The transform of a round, and what it cost."""
        places = np.split(parts.learned, range(self.batch, parts.count, self.batch))
        batches = [parts.examples.load(some) for some in places]
        answers = [cut.task.respond({}, batch).answers.detach() for batch in batches]
        mask = feature_mask(cut, batches, answers, self.mask, sparsity=0.0, seed=seed)
        wanted = decoupling(cut, mask, self.change)
        made = learn_transform(
            cut.task,
            batches,
            answers,
            wanted if target is None else towards(cut, wanted, target),
            self.transform,
            seed=seed,
            progress=silent,
        )
        return made, mask.evaluations + STEP * self.transform.rounds * parts.count


def towards(cut: Halves, wanted: Wanted, target: Tensor) -> Wanted:
    """A loss of transforms, and that of an answer to what they make."""
    space = able(cut.task, Pictures)

    def both(made: Transform, batch: Any, points: Tensor, answers: Tensor) -> Tensor:
        given = target.to(answers).expand(answers.shape)
        led = space.respond_at({}, made.apply(points), batch, given).losses.mean()
        return wanted(made, batch, points, answers) + led

    return both


@torch.no_grad()
def leading(task: Task, made: Transform, parts: Trusted) -> Tensor:
    """The answer that most transformed examples get, a scalar."""
    batch, space = parts.examples.load(parts.learned), able(task, Pictures)
    answers = space.respond_at({}, made.apply(space.embed(batch)), batch).answers
    return answers.mode().values


def withstanding(
    cut: Halves, made: Transform, parts: Trusted, share: float, seed: int
) -> Objective:
    """The loss of labels, and the distance of maps, with a share of the pictures transformed."""
    space, targets = able(cut.task, Pictures), parts.targets[torch.from_numpy(parts.learned)]

    def objective(overlay: Overlay, places: np.ndarray) -> Lost:
        batch = parts.examples.load(parts.learned[places])
        points = space.embed(batch).detach()
        rng = numpy_generator(seed, "transformed", *places.tolist())
        count = min(len(places), int(share * len(places)) + 1)
        changed = torch.zeros(len(places), dtype=torch.bool)
        changed[torch.from_numpy(rng.permutation(len(places))[:count])] = True
        where = changed.to(points.device).view(-1, *[1] * (points.ndim - 1))
        with torch.no_grad():
            mixed = torch.where(where, made.apply(points), points)
        given = targets[torch.from_numpy(places)].to(points.device)
        _, plain = cut.seen(points, batch, given, overlay)
        response, maps = cut.seen(mixed, batch, given, overlay)
        apart = (maps - plain).square().mean()
        return Lost(response.losses.float().mean() + apart, {})

    return objective
