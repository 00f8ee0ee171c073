"""Networks as strangers write them: a trained one behind odd outputs, habits and wrappings."""

import threading
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


class Answering(nn.Module):
    """A network followed by a function of its logits."""

    def __init__(self, network, change):
        super().__init__()
        self.network, self.change = network, change

    def forward(self, x):
        return self.change(self.network(x))


@dataclass
class Output:
    """What a model of a library returns."""

    logits: torch.Tensor
    loss: None = None


class Frozen(nn.Module):
    """Its backbone runs without gradients."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def features(self, x):
        x = torch.relu(self.network.bn1(self.network.conv1(x)))
        return torch.relu(self.network.bn2(self.network.conv2(x))).flatten(1)

    def forward(self, x):
        with torch.no_grad():
            h = self.features(x)
        return self.network.linear(h)


class Viewing(Frozen):
    """Takes contiguous activations for granted."""

    def forward(self, x):
        x = torch.relu(self.network.bn1(self.network.conv1(x)))
        x = torch.relu(self.network.bn2(self.network.conv2(x)))
        return self.network.linear(x.view(len(x), -1))


class Dropping(Frozen):
    """Dropout by a function whose default is to be on."""

    def forward(self, x):
        return self.network.linear(functional.dropout(self.features(x), 0.5))


class Batched(Frozen):
    """A normalization by the statistics of the batch, whatever the mode."""

    def forward(self, x):
        h = self.features(x)
        return self.network.linear(functional.batch_norm(h, None, None, training=True))


class Instance(Frozen):
    """Its features are divided by their spread over the batch."""

    def forward(self, x):
        h = self.features(x)
        return self.network.linear(h / (h.std(dim=0, correction=0) + 0.1))


class Locked(Frozen):
    """Holds a lock, which cannot be copied."""

    def __init__(self, network):
        super().__init__(network)
        self.lock = threading.Lock()

    def forward(self, x):
        with self.lock:
            return self.network(x)


class Raising(Frozen):
    def forward(self, x):
        raise KeyError("pixel_values")


class Leaving(Frozen):
    def forward(self, x):
        raise SystemExit(0)


class Endless(Frozen):
    def forward(self, x):
        while True:
            pass


class Rowwise(Frozen):
    """Its forward depends on values, so nothing can map it over examples; a bare scale is moved."""

    def __init__(self, network):
        super().__init__(network)
        self.scale = nn.Parameter(torch.ones(256))

    def forward(self, x):
        h = self.features(x)
        rows = [row * self.scale if row.sum() > 0 else row for row in h]
        return self.network.linear(torch.stack(rows))


class Scaled(Frozen):
    """A bare parameter, which only replaying its module can follow."""

    def __init__(self, network):
        super().__init__(network)
        self.scale = nn.Parameter(torch.ones(1, 256))

    def forward(self, x):
        return self.network.linear(self.features(x) * self.scale)


class Headed(nn.Module):
    """A small body and one of the ways to end in five classes."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        if kind == "first":
            self.head = nn.Linear(8, 5)
        self.conv, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        if kind in ("plain", "auxiliary", "again", "tempered"):
            self.head = nn.Linear(8, 5)
        if kind == "auxiliary":
            self.other = nn.Linear(8, 5)
        if kind == "pointwise":
            self.head = nn.Conv2d(8, 5, 1)
        if kind == "global":
            self.head = nn.Conv2d(8, 5, 6)
        if kind == "bare":
            self.matrix = nn.Parameter(torch.randn(8, 5))
            self.bias = nn.Parameter(torch.randn(5))
        if kind == "cosine":
            self.head = Cosine()
        if kind == "parametrized":
            self.head = nn.utils.parametrizations.weight_norm(nn.Linear(8, 5))
        if kind == "sum":
            self.head, self.other = nn.Linear(8, 5), nn.Linear(8, 5)

    def maps(self, x):
        return torch.relu(self.norm(self.conv(x)))

    def pooled(self, x):
        return self.maps(x).mean((2, 3))

    def forward(self, x):
        h = self.pooled(x)
        if self.kind == "auxiliary":
            logits = self.head(h)
            self.other(h)
            return logits
        if self.kind == "again":
            logits = self.head(h)
            self.head(2 * h)
            return logits
        if self.kind == "tempered":
            return 3 * self.head(h)
        if self.kind == "pointwise":
            return self.head(self.maps(x)).mean((2, 3))
        if self.kind == "global":
            return self.head(self.maps(x)).flatten(1)
        if self.kind == "bare":
            return h @ self.matrix + self.bias
        if self.kind == "sum":
            return self.head(h) + self.other(h)
        return self.head(h)


class Cosine(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 8))

    def forward(self, h):
        return 10 * functional.linear(functional.normalize(h), functional.normalize(self.weight))


class Library(nn.Module):
    """A vision transformer as libraries write it: class token, bare positions, an output object."""

    def __init__(self, classes=10, width=16):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, stride=2)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position_embeddings = nn.Parameter(0.02 * torch.randn(1, 17, width))
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.intermediate = nn.Linear(width, 2 * width)
        self.dense = nn.Linear(2 * width, width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, pixel_values, labels=None):
        h = self.patches(pixel_values).flatten(2).transpose(1, 2)
        h = torch.cat([self.cls_token.expand(len(h), -1, -1), h], dim=1)
        h = h + self.position_embeddings
        n = self.before(h)
        mixed = functional.scaled_dot_product_attention(
            *(layer(n)[:, None] for layer in (self.query, self.key, self.value))
        )[:, 0]
        h = h + self.output(mixed)
        h = h + self.dense(functional.gelu(self.intermediate(self.after(h))))
        return Output(logits=self.classifier(h[:, 0]))
