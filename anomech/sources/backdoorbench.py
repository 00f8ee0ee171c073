"""BackdoorBench: an attacked network as that benchmark saves it, `attack_result.pt`.

Belief: published attack results are the first thing to try a detector on.
Source: Wu et al. (2022), "BackdoorBench", https://github.com/SCLBD/BackdoorBench
Needs: the file alone; its architecture is built here, nothing in the file is run.
Fails when: the architecture is none that is built here; then its weights go with a factory.
"""

from pathlib import Path

from anomech.artefacts.backdoorbench import NORMALIZATION, build_network, read_attack
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.roles.source import Opened


@options
class Backdoorbench:
    """An attack result of BackdoorBench."""

    file: str = option("", "attack_result.pt, loaded without running anything in it")

    @property
    def title(self) -> str:
        """The name of the file."""
        return Path(self.file).name or "model"

    def check(self) -> None:
        """See `anomech.roles.source.Source.check`."""
        if not self.file:
            raise ConfigError("the plan names no model; give --backdoorbench attack_result.pt.")

    def open(self) -> Opened:
        """See `anomech.roles.source.Source.open`."""
        result = read_attack(self.file)
        # The files do not hold the normalization; the data set's name implies it.
        known = NORMALIZATION.get(result.dataset)
        suggested = {} if known is None else {"mean": known[0], "std": known[1]}
        return Opened(build_network(result), f"{result.model_name} on {result.dataset}", suggested)
