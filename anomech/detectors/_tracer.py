"""What a detector's tracer costs."""

from anomech.roles.tracer import AnsweringSource, TraceSource


def beyond_the_answer(source: TraceSource) -> float:
    """Forward passes an example, beyond the one that answers it."""
    return source.evaluations - float(isinstance(source, AnsweringSource))
