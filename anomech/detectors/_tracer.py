"""The tracer a detector was asked to use: fitted, and what it costs."""

from anomech.kernel.detector import ObservedExamples
from anomech.kernel.tracer import AnsweringSource, SpreadTracer, Tracer, TraceSource
from anomech.kernel.types import Progress


def fitted_tracer(
    tracer: Tracer, anchors: ObservedExamples, *, seed: int, progress: Progress
) -> TraceSource:
    """Fix the tracer's movement; independent parts of it run on the anchors' engine."""
    if isinstance(tracer, SpreadTracer):
        return tracer.fit(
            anchors.task,
            anchors.examples,
            anchors.answers,
            seed=seed,
            progress=progress,
            engine=anchors.engine,
        )
    return tracer.fit(anchors.task, anchors.examples, anchors.answers, seed=seed, progress=progress)


def beyond_the_answer(source: TraceSource) -> float:
    """Forward passes an example, beyond the one that answers it."""
    return source.evaluations - float(isinstance(source, AnsweringSource))
