"""What backdoor attribution leaves on disk: `attribution.json`, plan, and a page made from it."""

import pydantic

from anomech.records.run import Record, Status


class Curve(Record):
    """What silencing more and more heads does."""

    heads: tuple[int, ...]
    """How many are silenced, in all blocks together."""
    success: tuple[float, ...]
    """Share of triggered prompts whose bad answer still takes more than half of the probability."""
    utility: tuple[float, ...]
    """Mean probability of clean answers, as a part of what it was."""


class Steered(Record):
    """What one vector does at one place of the stream."""

    place: str
    suppressed: float
    """Success on triggered prompts with the vector taken away."""
    elicited: float
    """Share of clean prompts led to the bad answer with the vector added."""
    random_suppressed: float
    """As `suppressed`, with a random vector of the same length."""
    random_elicited: float
    utility: float
    """Of clean answers with the vector taken away."""


class HeadAttribution(Record):
    """The top record of a backdoor attribution."""

    schema_version: int = 1
    status: Status = "complete"
    title: str
    task: str
    started: str
    """UTC, ISO 8601."""
    seconds: float
    seed: int
    triggered: int
    clean: int
    answer: str
    """The bad answer, in words."""
    success: float
    """On triggered prompts, before anything is changed."""
    success_clean: float
    """Share of clean prompts that give the bad answer anyway."""
    blocks: int
    heads: int
    """Of each block."""
    effects: tuple[tuple[float, ...], ...]
    """Effect of patching each head, by block."""
    first_order: tuple[tuple[float, ...], ...]
    agreement: float | None = None
    """Rank correlation of both."""
    exact: bool = True
    """Whether the effects are those of patching, or their first order."""
    probe: dict[str, float] = pydantic.Field(default_factory=dict)
    """Accuracy of telling triggered from clean prompts, by place of the stream."""
    probe_control: dict[str, float] = pydantic.Field(default_factory=dict)
    """The same on the clean model; empty if none was given."""
    ablation: Curve
    control: Curve
    """With as many heads at random."""
    vector_heads: int
    """Heads that the vector is summed over."""
    chosen: str
    """Place where the vector does most on prompts kept for choosing."""
    steered: Steered
    """What it does there on prompts that nothing was chosen by."""
    notes: tuple[str, ...] = ()
    model: str = ""
    """Fingerprint of the model's tensors."""
