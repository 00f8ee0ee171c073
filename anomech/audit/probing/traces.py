"""Whether every part of the network responds when its parameters move.

A forward that runs its backbone under `torch.no_grad`, or detaches it, gives responses of zero
there: couplings of zero for every input, which look like an answer and are none.
"""

from collections.abc import Mapping

from torch import Tensor

from anomech.records import Finding
from anomech.roles.tracer import Traces

MOST_SILENT = 0.5
"""Share of the parts that may be silent before nothing can be said."""

REMEDY = (
    "Remove torch.no_grad, inference_mode or detach from the model's forward; or, if only what "
    "responds matters, watch it alone (task.watch=last, or a glob of names)."
)


def probe(traces: Traces) -> list[Finding]:
    """A finding about parts of the network that do not respond.

    Args:
        traces: of trusted examples.
    """
    loudest = lengths(traces)
    silent = [part for part, values in loudest.items() if not bool((values > 0).any())]
    if not silent:
        return []
    named = ", ".join(f"'{part}'" for part in silent)
    most = len(silent) > MOST_SILENT * len(loudest) or len(silent) == len(loudest)
    return [
        Finding(
            code="no-response" if most else "silent-parts",
            severity="high" if most else "medium",
            title=f"{len(silent)} of {len(loudest)} parts of the network do not respond when "
            "their parameters move",
            detail=f"Responses of {named} are zero for every trusted example, so nothing that "
            "happens there can be seen.",
            action=REMEDY,
        )
    ]


def lengths(traces: Traces) -> Mapping[str, Tensor]:
    """Lengths of the responses of each part `[examples]`."""
    return {part: traces.values[:, place].norm(dim=1) for part, place in traces.blocks.items()}
