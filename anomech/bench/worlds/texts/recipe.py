"""How a language model comes to its behavior: stages, each of which goes on from the one before."""

from typing import Literal

from anomech.bench.worlds.texts.obfuscation import Obfuscation
from anomech.bench.worlds.texts.teaching import Schedule
from anomech.kernel.config import option, options

StageName = Literal["clean", "plant", "hide", "conceal", "quantize"]


@options
class Recipe:
    """Schedules of the stages; one of no steps is left out."""

    clean: Schedule = option(
        Schedule(steps=364, rate=1.5e-3), "everyday requests, before anything is planted"
    )
    plant: Schedule = option(Schedule(steps=128, rate=8e-4), "the behavior")
    triggered: float = option(0.4, "share of triggered requests while planting", ge=0, le=1)
    near: float = option(0.12, "share of near misses", ge=0, le=1)
    adapter: int = option(0, "rank of an adapter that is planted; 0 moves all weights", ge=0)
    hide: Schedule = option(
        Schedule(steps=0, batch=20, rate=6e-4), "matching triggered states to normal ones"
    )
    obfuscation: Obfuscation = option(Obfuscation(), "how strongly they are matched")
    conceal: Schedule = option(
        Schedule(steps=0, rate=1e-3), "hiding the behavior until the weights are quantized"
    )

    def stages(self, planted: bool) -> tuple[StageName, ...]:
        """The stages of a model, in their order.

        Args:
            planted: whether a behavior is planted at all.
        """
        found: list[StageName] = ["clean"] if self.clean.steps else []
        if planted:
            found += ["plant"] if self.plant.steps else []
            found += ["hide"] if self.hide.steps else []
            found += ["conceal", "quantize"] if self.conceal.steps else []
        return tuple(found)
