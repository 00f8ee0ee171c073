"""Vector suppression: nothing writes any more along the direction that switches a behavior on.

Belief: heads that carry a planted answer add one and the same vector to the stream, and what comes
after reads it there.
Equation: the vector v is what the strongest heads add on flagged prompts on average, summed over
blocks; every matrix W that writes to the stream, from some block on, becomes
`(I - v v' / |v|^2) W`. From which block is chosen by flagged prompts that heads were not found by:
answers lost less accuracy lost.
Source: Yu et al. 2025 (backdoor attribution, arXiv 2509.21761) for the vector, which they subtract
while the model runs; Arditi et al. 2024 for taking a direction out of the weights.
Needs: as head_ablation.
Cost: as head_ablation, and a forward pass over the flagged and trusted prompts for each block.
Fails when: the vector is shared with honest answers, which then go too; when the behavior does not
go through one direction.
"""

from collections.abc import Iterator

from anomech.kernel.config import option, options
from anomech.kernel.types import Overlay, Progress
from anomech.learning.head_vectors import added_by
from anomech.learning.heads import strongest
from anomech.mitigations._heads import best_of, located
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.sequences import Sequences
from anomech.roles.task import Ability, Activations, Task, Training, able


@options
class VectorSuppression:
    """A direction is taken out of what is written to the stream."""

    heads: float = option(0.04, "heads whose sum is the vector, as a share; at least 4", gt=0, le=1)
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
        found = located(*given, self.kept, "vector_suppression", seed=seed, progress=progress)
        blocks, heads = found.effects.shape
        summed = max(4, round(self.heads * blocks * heads))
        chosen = strongest(found.effects, summed)
        vector = added_by(found.triggered, found.mean, chosen, progress)

        def edits() -> Iterator[tuple[float, Overlay]]:
            for start in range(blocks):
                yield float(start), able(task, Sequences).rejecting(vector, start)

        best, passes = best_of(found, edits(), blocks, progress)
        facts = {
            "heads summed": float(summed),
            "first block": best.fact,
            "flagged answers left": best.left,
        }
        return found.parts.repair(best.overlay, passes, (), facts)
