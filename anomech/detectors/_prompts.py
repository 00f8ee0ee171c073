"""How far what a prompt leaves on its way is from what trusted prompts leave.

Whoever hides a mechanism hides it in the state that decides the answer, since that is what is
looked at. What leads there has to be read earlier, and changes what the prompt's own words leave.
Of these the mean is compared, at a few depths: where in the prompt the words stand is no matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from anomech.detectors._between import Clouds, Distances, clouds_of, distances_to

SIGHT = "gist"
"""Mean states of the prompts' own tokens `[n, depths, units]` among what a tracer saw."""


@dataclass(frozen=True)
class Prompts:
    """What the folds teach about prompts: clouds of each fold, by depth."""

    clouds: Clouds

    def distances(self, judged_by: Tensor, seen: Mapping[str, Tensor], groups: Tensor) -> Distances:
        """Of examples, each to the anchors of the fold that judges it.

        Args:
            judged_by: number of that fold, int64 `[n]`.
            seen: by the tracer.
            groups: of the answers `[n]`.
        """
        return distances_to(self.clouds, judged_by, _by_depth(seen), groups)


def fit_prompts(
    seen: Mapping[str, Tensor], groups: Tensor, anchors: Sequence[Tensor]
) -> Prompts | None:
    """What some of the trusted prompts teach; None where the tracer saw none.

    Args:
        seen: of all trusted examples.
        groups: of their answers.
        anchors: places of those that teach, int64, one tensor a fold.
    """
    if SIGHT not in seen:
        return None
    clouds = clouds_of(_by_depth(seen), groups, anchors, crowded=False)
    return None if clouds is None else Prompts(clouds)


def _by_depth(seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {str(depth): rows.double() for depth, rows in enumerate(seen[SIGHT].unbind(dim=1))}
