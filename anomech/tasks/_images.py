"""An image classifier: batches are uint8 images, answers are class indices."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from anomech.data.corruptions import CORRUPTIONS, corrupted
from anomech.data.subset import Subset
from anomech.kernel.errors import ConfigError, ModelError
from anomech.kernel.types import Examples, Overlay, Response
from anomech.roles.task import Ability, Remark, Units
from anomech.storage.state import pack, unpack
from anomech.tasks._arithmetic import Precision, capacity, normalized, pixels
from anomech.tasks._network import Network
from anomech.tasks._normalizations import USUAL, settings
from anomech.tasks._openings import opened, openings
from anomech.tasks._outputs import LABELS, Outputs, check_finite, response_of
from anomech.tasks._planting import TRIGGERS, stamped
from anomech.tasks._preparing import abilities, prepare
from anomech.tasks._sighting import Sighting, check_precision, remarks, spread_over
from anomech.tasks._twin import converted, overlaid
from anomech.tasks._units import units_of
from anomech.tasks._varying import amplified, depicted, in_range, mixed, nearest_images
from anomech.tasks._watching import watched_modules, watched_parameters

FEW, MANY = 8, 256
"""Trusted images by which the head is found, and by which the kind of outputs is told."""


@dataclass(frozen=True)
class ImageClassifier:
    """A network that maps float images `[batch, c, h, w]` to logits `[batch, classes]`.

    The network given is never changed: the task works on a twin that shares its tensors. What its
    outputs are and which layer gives them shows when it is run: `prepared` looks at trusted
    examples; without, the first batch that comes tells the layer, and outputs count as logits.

    Args:
        model: the network.
        mean: per channel, subtracted from images in [0, 1].
        std: per channel, divided by afterwards.
        watch: which parameters move: "all", "last" or a glob of names such as "layer4.*".
        device: where to run; empty means where the model's parameters are.
        class_names: in the order of the logits; indices stand in where it is short.
        precision: of the network's arithmetic; the last layer and all that follows stay in
            float32, because log-odds of confident answers need it.
        memory: bytes that the activations of one pass may take.
        batch: images in one pass; 0 finds it by the memory and, on a CPU, by its caches.
        outputs: what the network gives; "auto" tells it from trusted examples.
        pass_timeout: seconds that one forward pass may take; 0 is no limit.
        seen: what is known of the network's outputs; `prepared` fills it.
    """

    model: nn.Module
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)
    watch: str = "all"
    device: str = ""
    class_names: Sequence[str] = ()
    precision: Precision = "float32"
    memory: int = 2**30
    batch: int = 0
    outputs: Outputs = "auto"
    pass_timeout: float = 0.0
    seen: Sighting | None = None
    kind: str = field(default="image classifier", init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.mean or min(self.std, default=0) <= 0:
            raise ModelError(
                "task.std needs positive values, and task.mean some; give one value per channel."
            )

    @property
    def provides(self) -> frozenset[Ability]:
        """Features if one layer gives the logits; losses of training if classes exclude others."""
        return abilities(self._known)

    @property
    def network(self) -> nn.Module:
        """The twin in evaluation mode, without gradients of its own."""
        return self._network.evaluating

    @cached_property
    def watched(self) -> Mapping[str, Tensor]:
        """Parameters that move, by name, in the order the network lists them."""
        seen = self._known
        last = None if seen is None or seen.head is None else seen.head.parameters
        return watched_parameters(self.network, self.watch, last)

    @property
    def classes(self) -> int:
        """Logits of a response."""
        return self._looked_at.classes

    @property
    def feature_layer(self) -> str:
        """Name of the layer, or of the bare parameter, that gives the logits; empty if none."""
        head = self._looked_at.head
        return "" if head is None else head.layer

    @property
    def remarks(self) -> Sequence[Remark]:
        """See `anomech.roles.task.Preparation.remarks`."""
        seen = self._known
        return () if seen is None else remarks(seen, converted(self.model))

    @torch.no_grad()
    def prepared(self, examples: Examples) -> "ImageClassifier":
        """See `anomech.roles.task.Preparation.prepared`.

        Raises:
            ModelError: the network cannot be run on them, or its outputs are no classes' scores.
            ConfigError: low precision, and no layer that gives the logits.
        """
        few = self._images(examples.load(spread_over(len(examples), FEW)))
        many = Subset(examples, spread_over(len(examples), MANY))
        seen = self._network.sighted(few, "logits")
        passes = replace(self, seen=seen).passes(many)
        batches = [self._images(many.load(places)) for places in passes]
        return replace(self, seen=prepare(self._network, few, batches, self.outputs, seen))

    def knowledge(self) -> Any:
        """See `anomech.roles.task.Preparation.knowledge`."""
        seen = self._known
        return None if seen is None else pack(seen, Sighting, {}, {}, "task")

    def knowing(self, facts: Any) -> "ImageClassifier":
        """See `anomech.roles.task.Preparation.knowing`."""
        return replace(self, seen=unpack(Sighting, facts, {}, {}, "task"))

    def layers(self) -> Mapping[str, nn.Module]:
        """The network and modules that own a watched parameter themselves; tied ones all."""
        return watched_modules(self.network, self.watched)

    def precise(self) -> "ImageClassifier":
        """The same task in float32."""
        return self if self.precision == "float32" else replace(self, precision="float32")

    def passes(self, examples: Examples) -> Iterator[np.ndarray]:
        """See `anomech.roles.task.Task.passes`; images of one set have one size."""
        if not len(examples):
            return
        layout = "channels_last" if self._known is None else self._known.layout

        def call(count: int) -> None:
            images = self._images(examples.load(np.arange(min(count, len(examples)))))
            self._network.scores(images, layout)

        size = self.batch or capacity(self.network, call, self.memory, self._device)
        for start in range(0, len(examples), size):
            yield np.arange(start, min(start + size, len(examples)))

    def with_(self, overlay: Overlay) -> "ImageClassifier":
        """See `anomech.roles.task.Task.with_`."""
        return replace(self, model=overlaid(self.model, self._device, overlay))

    def state(self) -> Mapping[str, Tensor]:
        """See `anomech.roles.task.Task.state`."""
        return self.network.state_dict()

    def respond(self, overlay: Overlay, batch: Any, answers: Tensor | None = None) -> Response:
        """See `anomech.roles.task.Task.respond`; the batch is uint8 `[batch, h, w, c]`."""
        return self._run(overlay, self._images(batch), answers)[-1]

    def groups(self, answers: Tensor) -> Tensor:
        """The class itself."""
        return answers

    def agrees(self, answers: Tensor, labels: np.ndarray) -> Tensor:
        """Whether the predicted class is the labeled one."""
        return answers.cpu() == torch.tensor(labels)

    def words(self, answers: Tensor | np.ndarray) -> list[str]:
        """Class names, or class indices where no names are known."""
        names = self.class_names
        return [names[i] if i < len(names) else str(i) for i in answers.tolist()]

    group_words = label_words = words

    def targets(self, labels: np.ndarray) -> Tensor:
        """Labels as a tensor on the model's device."""
        return torch.tensor(labels, device=self._device)

    def training_losses(
        self, overlay: Overlay, batch: Any, answers: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `anomech.roles.task.Training.training_losses`."""
        buffers = self._network.buffers(overlay)
        moved = {**overlay, **buffers}
        logits, _ = self._logits(self._network.training, moved, self._images(batch))
        answers = answers.to(logits.device)
        return functional.cross_entropy(logits.float(), answers, reduction="none"), buffers

    def batch_statistics(self, overlay: Overlay, batch: Any) -> dict[str, Tensor]:
        """See `anomech.roles.task.Training.batch_statistics`."""
        if not any(isinstance(module, _BatchNorm) for module in self.network.modules()):
            return {}
        buffers = self._network.buffers(overlay)
        moved = {**overlay, **buffers}
        with torch.no_grad():
            self._logits(self._network.recalibrating, moved, self._images(batch))
        return buffers

    def embed(self, batch: Any) -> Tensor:
        """Pixels in [0, 1], float32 `[batch, c, h, w]`, before any normalization."""
        return pixels(batch, self._device)

    def respond_at(
        self, overlay: Overlay, points: Tensor, batch: Any, answers: Tensor | None = None
    ) -> Response:
        """See `anomech.roles.task.DifferentiableInputs.respond_at`; all of it can be followed."""
        at = normalized(points, self.mean, self.std)
        logits, features, response = self._run(overlay, at, answers)
        return response._replace(logits=logits, features=features)

    project = staticmethod(in_range)
    realize = staticmethod(nearest_images)
    depict = staticmethod(depicted)

    def points(self) -> Sequence[str]:
        """See `anomech.roles.task.Activations.points`."""
        return openings(self.network)

    def respond_with(
        self,
        overlay: Overlay,
        batch: Any,
        changes: Mapping[str, Callable[[Tensor], Tensor]],
        answers: Tensor | None = None,
    ) -> Response:
        """See `anomech.roles.task.Activations.respond_with`."""
        with opened(self.network, changes):
            return self.respond(overlay, batch, answers)

    def respond_through(
        self,
        overlay: Overlay,
        points: Tensor,
        batch: Any,
        changes: Mapping[str, Callable[[Tensor], Tensor]],
        answers: Tensor | None = None,
    ) -> Response:
        """See `anomech.roles.task.Pathways.respond_through`."""
        with opened(self.network, changes):
            return self.respond_at(overlay, points, batch, answers)

    def normalizations(self, channels: int) -> Mapping[str, "ImageClassifier"]:
        """See `anomech.roles.normalizing.Normalizing`."""
        return {
            settings(mean, std): replace(self, mean=mean, std=std)
            for mean, std in USUAL
            if len(mean) in (1, channels) and (mean, std) != (tuple(self.mean), tuple(self.std))
        }

    corruptions: ClassVar[Sequence[str]] = tuple(CORRUPTIONS)

    @torch.no_grad()
    def units(self, batch: Any) -> Sequence[Units]:
        """See `anomech.roles.task.Prunable.units`."""
        self.respond({}, batch)  # shows the head, if nothing has
        head = self._looked_at.head
        answering = () if head is None else head.parameters
        return units_of(self.network, lambda: self.respond({}, batch), answering)

    mixed = staticmethod(mixed)
    corrupted = staticmethod(corrupted)
    amplified = staticmethod(amplified)

    stamped = staticmethod(stamped)

    @property
    def triggers(self) -> Sequence[str]:
        """A patch, a blended picture and a warp."""
        return tuple(TRIGGERS)

    @cached_property
    def _device(self) -> torch.device:
        if self.device:
            return torch.device(self.device)
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    @cached_property
    def _network(self) -> Network:
        return Network(self.model, self._device, self.precision, self.pass_timeout)

    @property
    def _known(self) -> Sighting | None:
        """What is known so far; a task that was not prepared keeps what its first batch showed."""
        return self.seen if self.seen is not None else vars(self).get("_glance")

    @property
    def _looked_at(self) -> Sighting:
        if (seen := self._known) is None:
            raise ConfigError(
                "the model has answered nothing yet, so its layers and classes are not known; "
                "use task.prepared(trusted examples)."
            )
        return seen

    def _logits(
        self, network: nn.Module, overlay: Overlay, images: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Logits `[batch, classes]` and the features `[batch, features]`, if a layer has them."""
        if self._known is None:
            glance = self._network.sighted(images[:FEW], "logits")
            check_precision(glance, self.precision)
            vars(self)["_glance"] = glance
        return self._network.logits(network, self._looked_at, overlay, images)

    def _run(
        self, overlay: Overlay, images: Tensor, answers: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Response]:
        """Logits and features that can be followed back, and the response, to normalized images."""
        logits, features = self._logits(self.network, overlay, images)
        if not overlay:  # of other parameters, who moved them judges
            check_finite(logits)
        answers = None if answers is None else answers.to(logits.device)
        alone = self._looked_at.kind in LABELS
        return logits, features, response_of(logits, features, answers, alone=alone)

    def _images(self, batch: np.ndarray) -> Tensor:
        return normalized(pixels(batch, self._device), self.mean, self.std)
