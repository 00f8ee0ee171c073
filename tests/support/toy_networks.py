"""Small networks that use their parameters in every way a tracer must follow."""

import torch
from torch import nn
from torch.nn import functional


class Head(nn.Module):
    """A body, whatever it gives flattened, and a linear layer to three logits."""

    def __init__(self, body, width):
        super().__init__()
        self.body = body
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)).flatten(1))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x):
        return self.layer(torch.relu(self.layer(x)))


class TwoPaths(nn.Module):
    """The first layers lie beside each other, not behind each other."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x):
        return self.left(x) * self.right(x)


class Tied(nn.Module):
    def __init__(self, functionally=False):
        super().__init__()
        self.embed = nn.Embedding(9, 5)
        self.out = nn.Linear(5, 9, bias=False)
        self.out.weight = self.embed.weight
        self.functionally = functionally

    def forward(self, tokens):
        h = torch.tanh(self.embed(tokens))
        return functional.linear(h, self.embed.weight) if self.functionally else self.out(h)


class Bare(nn.Module):
    def __init__(self, gate=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 6))
        self.temperature = nn.Parameter(torch.tensor(1.3))
        self.layer = nn.Linear(6, 6)

    def forward(self, x):
        return self.layer(x * self.scale) * self.temperature


class Gated(nn.Module):
    """Its bare parameter moves nothing for the first two examples."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))
        self.layer = nn.Linear(6, 6)

    def forward(self, x):
        return self.layer(x) + torch.relu(x[:, :1] - 10) * self.scale


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0]


class Doubled(nn.Linear):
    """A linear layer in name only."""

    def forward(self, x):
        return 2 * super().forward(x) + x.mean() * 0 + self.weight.sum()


class Keyword(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x):
        return self.layer(input=x)


class Positions(nn.Module):
    """All examples share the rows of one embedding."""

    def __init__(self, keep=False):
        super().__init__()
        self.embed, self.positions = nn.Embedding(9, 5), nn.Embedding(4, 5)
        self.keep = keep

    def forward(self, tokens):
        places = torch.arange(tokens.shape[1])
        return self.embed(tokens) + self.positions(places[None] if self.keep else places)


class Merged(nn.Module):
    """Examples and positions become one axis before the layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, x):
        return self.layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Rare(nn.Module):
    """A branch that few batches enter, with rows of some examples only."""

    def __init__(self):
        super().__init__()
        self.layer, self.expert = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x):
        y = self.layer(x)
        chosen = x[:, 0] > 10
        if chosen.any():
            y = y.clone()
            y[chosen] = y[chosen] + self.expert(x[chosen])
        return y


class Branching(nn.Module):
    """A bare parameter whose use depends on the values, which no map over examples can follow."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x):
        parts = [row * self.scale if row.sum() > 0 else row - self.scale for row in x]
        return torch.stack(parts)


class Shared(nn.Module):
    """A convolution whose output goes into a normalization and past it."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        convolved = self.conv(self.first(x))
        return self.norm(convolved) + convolved * 0.5
