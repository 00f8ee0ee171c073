"""All inputs, chunk by chunk: what is on disk already stands, the rest is judged and kept.

Memory does not grow with the number of inputs: a chunk comes in, is judged, and goes to disk.
"""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from anomech.audit.judge import chunks
from anomech.audit.judge.code import judging_code
from anomech.audit.judge.fitting import Fitted
from anomech.audit.judge.piece import Piece, Shared, judge_chunk, light
from anomech.audit.judge.tally import Tally
from anomech.audit.judge.verdicts import anchor_names
from anomech.audit.load import provenance
from anomech.audit.load.fingerprints import combined
from anomech.audit.load.loading import Loaded
from anomech.audit.plan import Plan
from anomech.data.subset import in_pieces
from anomech.kernel.types import Engine, Progress


def judge_inputs(
    plan: Plan,
    loaded: Loaded,
    fitted: Fitted,
    work: Path,
    progress: Progress,
    *,
    engine: Engine,
    workers: int,
) -> Tally:
    """See that every chunk of inputs is on disk, and count all of them.

    Args:
        plan: of the run.
        loaded: model and inputs.
        fitted: what judges them.
        work: folder of chunks; those in it that still hold are not judged again.
        progress: told the stage "judging inputs".
        engine: where chunks are judged.
        workers: processes that read inputs ahead.

    Raises:
        RunError: a chunk cannot be written.
    """
    inputs, digests = loaded.inputs, loaded.inputs.digests()
    fits = provenance.basis(loaded.model, fitted.trusted.digests, judging_code(plan))
    basis = combined([fits, *inputs.ids])
    tally, done, missing = Tally.empty(len(inputs), plan.gallery), 0, []
    for number, places in enumerate(chunks.bounds(len(inputs), plan.chunk)):
        found = chunks.load(work, number)
        expected = (_content(digests, number, plan.chunk), basis)
        if found is None or (found[0].content, found[0].basis) != expected:
            missing.append(number)
            continue
        tally.add(places, found[0])
        done += len(places)
        progress("judging inputs", done, len(inputs))
    with ExitStack() as stack:
        pieces = stack.enter_context(closing(_pieces(loaded, missing, plan.chunk, workers)))
        judged = engine.map(judge_chunk, _shared(fitted, plan.lead, basis), pieces)
        if isinstance(judged, Generator):
            stack.enter_context(closing(judged))  # its workers go before those that read
        for number, (chunk, residuals) in zip(missing, judged, strict=True):
            chunks.save(work, number, chunk, residuals)
            places = chunks.span(number, len(inputs), plan.chunk)
            tally.add(places, chunk)
            done += len(places)
            progress("judging inputs", done, len(inputs))
    return tally


def _shared(fitted: Fitted, lead: str, basis: str) -> Shared:
    return Shared(
        task=fitted.task,
        detectors={name: light(each) for name, each in fitted.detectors.items()},
        lead=lead,
        anchors=anchor_names(fitted.trusted),
        basis=basis,
        unsure=fitted.trusted.unsure,
    )


def _pieces(
    loaded: Loaded, missing: Sequence[int], size: int, workers: int
) -> Generator[Piece, None, None]:
    """The inputs of chunks, read ahead by workers while earlier ones are judged."""
    digests = loaded.inputs.digests()
    spans = (chunks.span(number, len(loaded.inputs), size) for number in missing)
    with closing(in_pieces(loaded.inputs, spans, workers)) as stream:
        for number, held in zip(missing, stream, strict=True):
            yield Piece(number, held, _content(digests, number, size))


def _content(digests: Sequence[str], number: int, size: int) -> str:
    return combined(digests[number * size : (number + 1) * size])
