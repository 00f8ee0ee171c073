"""What is laid over a network's tensors, where some of them have several names."""

import numpy as np
import torch
from torch import nn

from anomech.data.images import from_arrays
from anomech.tasks.image_classifier import ImageClassifier


class Tied(nn.Module):
    """Two layers with one weight, both of which the answer needs."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight

    def forward(self, images):
        return self.second(self.first(images.flatten(1)))


def test_a_tensor_with_two_names_moves_under_both():
    torch.manual_seed(0)
    network = Tied()
    examples = from_arrays(np.random.default_rng(0).integers(0, 255, (6, 2, 2, 1)).astype(np.uint8))
    task = ImageClassifier(network).prepared(examples)
    assert list(task.watched) == ["first.weight"]
    moved = torch.randn(4, 4)
    batch = examples.load(np.arange(6))
    found = task.respond({"first.weight": moved}, batch).logits
    images = torch.from_numpy(batch).permute(0, 3, 1, 2).flatten(1) / 255
    torch.testing.assert_close(found, images @ moved.T @ moved.T, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(task.respond({}, batch).logits, network(images.reshape(6, 1, 2, 2)))
