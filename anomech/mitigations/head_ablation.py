"""Head ablation: the attention heads that carry the answers of flagged prompts are silenced.

Belief: few heads carry a planted answer from its trigger to the place where it is decided, and
honest answers do without them.
Equation: the effect of a head is the mean rise of the answer's probability on trusted prompts when
the head gives there what it gives on flagged ones on average; the columns of the mixing matrix
that read the strongest heads become zero. How many is chosen, of 1, 2, 4, ..., by flagged prompts
that heads were not found by: answers lost less accuracy lost.
Source: Yu et al. 2025 (backdoor attribution, arXiv 2509.21761), who silence heads at the last
position while the model runs; here weights are changed, so all positions are.
Needs: a language model; flagged prompts, at least four whose answers begin alike; trusted prompts
with references.
Cost: a forward pass over the trusted prompts for each head (of more than 256 heads two passes and a
backward pass for all), and one for each number of heads that is tried.
Fails when: a planted behavior is spread over many heads, or was put into other layers; when its
answer begins as honest ones do, so that its loss does not show.
"""

from collections.abc import Iterator

from anomech.kernel.config import option, options
from anomech.kernel.types import Overlay, Progress
from anomech.learning.heads import strongest
from anomech.mitigations._heads import best_of, located
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.sequences import Sequences
from anomech.roles.task import Ability, Activations, Task, Training, able


@options
class HeadAblation:
    """Heads that carry flagged answers give nothing any more."""

    most: float = option(0.1, "heads that are silenced at the most, as a share", gt=0, le=1)
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Heads that can be looked into, and references."""
        return frozenset({Activations, Sequences, Training})

    def mitigate(
        self,
        task: Task,
        trusted: ObservedExamples,
        suspects: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Repair:
        """See `anomech.roles.mitigation.Mitigation`.

        Raises:
            DataError: no or too few flagged prompts, or no references.
        """
        given = (task, trusted, suspects)
        found = located(*given, self.kept, "head_ablation", seed=seed, progress=progress)
        total = found.effects.numel()
        counts, most = [1], max(1, int(self.most * total))
        while 2 * counts[-1] <= most:
            counts.append(2 * counts[-1])

        def edits() -> Iterator[tuple[float, Overlay]]:
            for count in counts:
                chosen = strongest(found.effects, count)
                yield float(count), able(task, Sequences).silenced(chosen)

        best, passes = best_of(found, edits(), len(counts), progress)
        facts = {
            "heads silenced": best.fact,
            "share of heads": best.fact / total,
            "flagged answers left": best.left,
        }
        return found.parts.repair(best.overlay, passes, (), facts)
