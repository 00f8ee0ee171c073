"""Factory: a function of the user's own builds the network, and weights are loaded into it.

Belief: whoever audits a network can build it; only its weights are a stranger's.
Source: none; this is how most networks are kept.
Needs: a Python file of the user's own, which is run with the rights of the user.
Fails when: the weights do not belong to the network; the first tensors that differ are named.
"""

from pathlib import Path

from anomech.artefacts.checkpoints import read_weights
from anomech.artefacts.factory import build_model
from anomech.artefacts.fitting import apply_state
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.roles.source import Opened


@options
class Factory:
    """A function that returns the network, with a file of weights."""

    factory: str = option("", "FILE.py:function that returns the network; the file is run")
    weights: str = option("", "weights file, loaded without running anything in it")

    key: str = option("", "where in the file they are, if it holds several, such as state_dict_ema")

    @property
    def title(self) -> str:
        """The name of the weights file, or else of the function; without folders."""
        place, _, function = self.factory.rpartition(":")
        weights = Path(self.weights).name
        return weights or (f"{Path(place).name}:{function}" if place else "model")

    def check(self) -> None:
        """See `anomech.roles.source.Source.check`."""
        if not self.factory:
            raise ConfigError("the plan names no model; give --model FACTORY.py:make_model.")

    def open(self) -> Opened:
        """See `anomech.roles.source.Source.open`."""
        model, notes = build_model(self.factory), list[str]()
        if self.weights:
            weights = read_weights(self.weights, self.key)
            notes += [*weights.notes, *apply_state(model, weights.state)]
        return Opened(model, self.title, {}, tuple(notes))
