"""How undecided a model is about changed inputs."""

from torch import Tensor

from anomech.kernel.types import Response


def entropy(response: Response, own: Tensor) -> Tensor:
    """Of the probabilities of all answers, nats `[batch]`; the own answer does not matter."""
    assert response.logits is not None, "the task gives logits"
    logs = response.logits.double().log_softmax(dim=1)
    return -(logs.exp() * logs).sum(dim=1)
