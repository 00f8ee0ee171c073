"""What an audit of a language model would take on a machine, before there is either.

A forward pass multiplies every token by every matrix: `2 read` operations, and attention adds
`2 heads head tokens` a block. Going backward through activations costs twice that, and through the
watched matrices once more. Generating reads all weights for every token that is said, so it is
bound by the machine's memory. How many operations a second a machine reaches is measured here on a
block of the model's size, with its attention and norms; of graphics cards it is a share of what
their data sheets say, which nobody has measured with this package.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from anomech.artefacts.decoder_sizes import DecoderSizes
from anomech.audit.plan import LEAD, Plan, resolved_detector
from anomech.kernel.config import nearest, resolved
from anomech.kernel.errors import ConfigError, shown
from anomech.tasks._language_watching import numbers_of

GB = 10**9


@dataclass(frozen=True)
class Machine:
    """What a machine can do.

    Attributes:
        name: for people.
        operations: multiplications and additions a second, as passes reach them.
        flow: bytes a second between memory and arithmetic, as generating reaches them.
        memory: bytes; 0 is not known.
        number: bytes of one number of the model there.
        lost: seconds a token and block beyond that, in the library's own steps.
    """

    name: str
    operations: float
    flow: float
    memory: float
    number: int
    lost: float = 0.0


LOST = 8.5e-6
"""On a processor's core: rotations, masks and calls, measured on models of 0.3 and 3 million
numbers, where it came to 9.1 and 8.3 microseconds."""


def _gpu(name: str, peak: float, flow: float, memory: float) -> Machine:
    """A graphics card by its data sheet: two fifths of its peak, seven tenths of its flow."""
    return Machine(name, 0.4 * peak, 0.7 * flow, memory * GB, 2)


MACHINES: Mapping[str, Machine] = {
    "a100-80gb": _gpu("one A100 with 80 GB", 312e12, 2.0e12, 80),
    "h100-80gb": _gpu("one H100 with 80 GB", 989e12, 3.35e12, 80),
    "rtx-4090": _gpu("one RTX 4090 with 24 GB", 165e12, 1.0e12, 24),
    "t4": _gpu("one T4 with 16 GB", 65e12, 0.3e12, 16),
}
"""By name; bfloat16 (float16 on a T4), dense."""


TRACES = 5
"""Forward passes that judging takes: there, twice as much back, one that reads states between the
layers, and one without the strangest words."""


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes:
        trusted: examples.
        inputs: to judge.
        prompt: tokens of a prompt, on average.
        answer: tokens of an answer.
        rungs: twins of each of the two folds.
        steps: of descent a twin.
        batch: examples a step.
        watched: share of the blocks' matrices that moves.
        activations: bytes that one pass may take.
    """

    trusted: int
    inputs: int
    prompt: int
    answer: int
    rungs: int
    steps: int
    batch: int
    watched: float = 1.0
    activations: int = 2**30


@dataclass(frozen=True)
class Estimate:
    """What it would take.

    Attributes:
        seconds: by step, in words.
        bytes: by what takes them, in words.
        once: seconds of one input, beyond generating its answer.
        passes: the same in forward passes over the prompt.
    """

    seconds: Mapping[str, float]
    bytes: Mapping[str, float]
    once: float
    passes: float

    def advice(self, machine: Machine) -> Iterator[str]:
        """Sentences on what would not fit, and what to do."""
        needed = sum(self.bytes.values())
        if not machine.memory or needed <= machine.memory:
            return
        yield (
            f"about {needed / GB:.0f} GB are needed, and {machine.name} has "
            f"{machine.memory / GB:.0f}."
        )
        twins = sum(size for name, size in self.bytes.items() if "twin" in name)
        if needed - twins <= machine.memory:
            yield (
                "without twins it fits (--set "
                "detectors.functional_attribution.twins.generations=0), or with fewer parameters "
                "that move, such as --set task.watch=attention or task.blocks=0-7."
            )
        else:
            yield "spread the model over several cards (--set model.device_map=auto)."


def here(sizes: DecoderSizes, tokens: int) -> Machine:
    """The processor here, measured for a moment on one block of the model's size.

    Args:
        sizes: of the model.
        tokens: of a prompt.
    """
    run = _block(sizes, tokens)
    operations = TOGETHER * tokens * 2 * (sizes.attention + sizes.part) / _fastest(run)
    many = torch.zeros(2**24)
    flow = many.numel() * 4 / _fastest(lambda: many.sum())
    return Machine("this machine", operations, flow, 0, 4, LOST)


TOGETHER = 4
"""Sequences in one measured pass."""


@torch.no_grad()
def _block(sizes: DecoderSizes, tokens: int) -> Callable[[], Tensor]:
    """A block of a decoder with its attention and norms, as a call; its weights are zeros."""
    wide, narrow = sizes.heads * sizes.head, sizes.shared * sizes.head
    shapes = [(wide, sizes.width), (narrow, sizes.width), (narrow, sizes.width)]
    query, key, value = (torch.zeros(shape) for shape in shapes)
    out, up, down = (
        torch.zeros(shape)
        for shape in ((sizes.width, wide), (sizes.inner, sizes.width), (sizes.width, sizes.inner))
    )
    stream = torch.zeros(TOGETHER, tokens, sizes.width)

    def split(values: Tensor) -> Tensor:
        return values.unflatten(2, (-1, sizes.head)).transpose(1, 2)

    @torch.no_grad()
    def run() -> Tensor:
        seen = functional.rms_norm(stream, (sizes.width,))
        asked, found, told = (split(functional.linear(seen, each)) for each in (query, key, value))
        heads = functional.scaled_dot_product_attention(
            asked, found, told, is_causal=True, enable_gqa=sizes.shared != sizes.heads
        )
        after = stream + functional.linear(heads.transpose(1, 2).flatten(2), out)
        seen = functional.rms_norm(after, (sizes.width,))
        inner = functional.silu(functional.linear(seen, up))
        if sizes.gated:
            inner = inner * functional.linear(seen, up)
        return after + functional.linear(inner, down)

    return run


def _fastest(run: Callable[[], object]) -> float:
    """Seconds of the fastest of several calls: others may want the processor too."""
    best = float("inf")
    for _ in range(8):
        clock = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - clock)
    return max(best, 1e-9)


def forward(sizes: DecoderSizes, machine: Machine, tokens: float) -> float:
    """Seconds of a forward pass over one sequence that gives the logits of its last token."""
    products = 2 * sizes.read * tokens
    attention = 4 * sizes.layers * sizes.heads * sizes.head * tokens**2 / 2
    last = 2 * sizes.vocabulary * sizes.width
    lost = machine.lost * sizes.layers * tokens
    return (products + attention + last) / machine.operations + lost


def generating(sizes: DecoderSizes, machine: Machine, work: Work) -> float:
    """Seconds of one answer when many are made at once."""
    together = max(
        1.0, min(256.0, work.activations / max(1, _of_a_token(sizes, machine) * _length(work)))
    )
    weights = (sizes.read + sizes.vocabulary * sizes.width) * machine.number
    said = 2 * (sizes.read + sizes.vocabulary * sizes.width) / machine.operations
    step = said + weights / machine.flow / together + machine.lost * sizes.layers
    return forward(sizes, machine, work.prompt) + (work.answer - 1) * step


def estimate(sizes: DecoderSizes, machine: Machine, work: Work) -> Estimate:
    """What an audit with the default detector would take.

    Args:
        sizes: of the model.
        machine: where.
        work: what.
    """
    one = forward(sizes, machine, work.prompt)
    answers = generating(sizes, machine, work)
    taught = 3 * forward(sizes, machine, _length(work))
    lessons = 2 * work.rungs * work.steps * work.batch * taught
    seconds = {
        "answers to trusted prompts": work.trusted * (answers + one),
        "their traces": work.trusted * TRACES * one,
        "relearning twins": lessons + work.trusted * work.rungs * one,
        "answers to inputs": work.inputs * answers,
        "their traces and twins": work.inputs * (TRACES + work.rungs) * one,
    }
    moved = sizes.matrices * work.watched * machine.number
    held = {
        "the model": sizes.parameters * machine.number,
        "one pass": float(work.activations),
        "gradients that rules are checked by": moved,
        "twins": 2 * work.rungs * moved,
        "making a twin": 4 * moved if work.rungs else 0.0,
    }
    return Estimate(seconds, held, (TRACES + work.rungs) * one, float(TRACES + work.rungs))


def _length(work: Work) -> int:
    return work.prompt + work.answer


def _of_a_token(sizes: DecoderSizes, machine: Machine) -> int:
    """Bytes that a pass keeps of a token."""
    return sizes.layers * (24 * sizes.width + 4 * sizes.inner) * machine.number


def machine_of(name: str, sizes: DecoderSizes, prompt: int) -> Machine:
    """The machine of a name; "here" is measured.

    Raises:
        ConfigError: there is none of that name.
    """
    if name == "here":
        return here(sizes, prompt)
    if name not in MACHINES:
        raise ConfigError(
            f"no machine is named {shown(name)}: {nearest(name, ['here', *MACHINES])}"
        )
    return MACHINES[name]


def work_of(plan: Plan, sizes: DecoderSizes, *, trusted: int, inputs: int, prompt: int) -> Work:
    """What a plan asks for.

    Args:
        plan: whose task is causal_lm.
        sizes: of the model.
        trusted: examples.
        inputs: to judge.
        prompt: tokens of a prompt.
    """
    options = resolved_detector(LEAD, dict(plan.detectors.get(LEAD, {})))
    twins, task = options["twins"], resolved(plan.task)
    blocks = len(numbers_of(task["blocks"], sizes.layers))
    half = sizes.layers * sizes.attention / sizes.matrices
    shares = {"attention": half, "mlp": 1 - half, "adapter": 0.01, "last": 0.01}
    return Work(
        trusted=trusted,
        inputs=inputs,
        prompt=prompt,
        answer=task["tokens"],
        rungs=twins["generations"],
        steps=twins["steps"],
        batch=twins["batch"],
        watched=shares.get(task["watch"], 1.0) * blocks / sizes.layers,
        activations=task["memory"] * 2**20,
    )
