"""An image classifier: batches are uint8 images, answers are class indices."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from anomech.kernel.errors import DataError, ModelError, answered
from anomech.kernel.task import Ability, Features, Layers, Logits, Training
from anomech.kernel.types import Examples, Overlay, Response
from anomech.tasks._arithmetic import Precision, capacity, watched_head
from anomech.tasks._watching import watched_parameters


@dataclass(frozen=True)
class ImageClassifier:
    """A network that maps float images `[batch, c, h, w]` to logits `[batch, classes]`.

    The network given is never changed: the task works on a twin that shares its tensors.

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
    kind: str = field(default="image classifier", init=False, repr=False)
    provides: frozenset[Ability] = field(
        default=frozenset({Logits, Features, Layers, Training}), init=False, repr=False
    )

    def __post_init__(self) -> None:
        if not self.mean or min(self.std, default=0) <= 0:
            raise ModelError(
                "task.std needs positive values, and task.mean some; give one value per channel."
            )

    @cached_property
    def network(self) -> nn.Module:
        """The twin in evaluation mode, without gradients of its own."""
        return _twin(self.model, self._device).eval()

    @cached_property
    def watched(self) -> Mapping[str, Tensor]:
        """Parameters that move, by name, in the order the network lists them."""
        return watched_parameters(self.network, self.watch)

    def layers(self) -> Mapping[str, nn.Module]:
        """The network and modules that own a watched parameter themselves; tied ones all."""
        tensors = {tensor.data_ptr() for tensor in self.watched.values()}
        return {
            name: module
            for name, module in self.network.named_modules()
            if not name or any(p.data_ptr() in tensors for p in module.parameters(recurse=False))
        }

    def precise(self) -> "ImageClassifier":
        """The same task in float32."""
        return self if self.precision == "float32" else replace(self, precision="float32")

    def passes(self, examples: Examples) -> Iterator[np.ndarray]:
        """See `anomech.kernel.task.Task.passes`; images of one set have one size."""
        if not len(examples):
            return
        size = self.batch or capacity(
            self.network,
            self._prepare(examples.load(np.arange(1))),
            self.memory,
            self._device,
        )
        for start in range(0, len(examples), size):
            yield np.arange(start, min(start + size, len(examples)))

    def with_(self, overlay: Overlay) -> "ImageClassifier":
        """See `anomech.kernel.task.Task.with_`."""
        other = _twin(self.model, self._device)
        named = dict(other.named_parameters()) | dict(other.named_buffers())
        for name, tensor in overlay.items():
            named[name].data = tensor.detach().to(named[name])
        return replace(self, model=other)

    def state(self) -> Mapping[str, Tensor]:
        """See `anomech.kernel.task.Task.state`."""
        return self.network.state_dict()

    def respond(self, overlay: Overlay, batch: Any, answers: Tensor | None = None) -> Response:
        """See `anomech.kernel.task.Task.respond`; the batch is uint8 `[batch, h, w, c]`."""
        images = self._prepare(batch)
        with watched_head(self.network, self.precision, self._device) as caught:
            logits = self._call(self.network, overlay, images)
        logits = _checked(logits, len(images))
        if not overlay:  # of other parameters, who moved them judges
            _check_finite(logits)
        features = caught[-1].detach().float() if caught else logits.detach()
        answers = None if answers is None else answers.to(logits.device)
        return _response(logits, features, answers)

    def groups(self, answers: Tensor) -> Tensor:
        """The class itself."""
        return answers

    def group_words(self, groups: Tensor) -> list[str]:
        """As `words`."""
        return self.words(groups)

    def agrees(self, answers: Tensor, labels: np.ndarray) -> Tensor:
        """Whether the predicted class is the labeled one."""
        return answers.cpu() == torch.tensor(labels)

    def words(self, answers: Tensor) -> list[str]:
        """Class names, or class indices where no names are known."""
        names = self.class_names
        return [names[i] if i < len(names) else str(i) for i in answers.tolist()]

    def label_words(self, labels: np.ndarray) -> list[str]:
        """As `words`."""
        return self.words(torch.tensor(labels))

    def targets(self, labels: np.ndarray) -> Tensor:
        """Labels as a tensor on the model's device."""
        return torch.tensor(labels, device=self._device)

    def training_losses(
        self, overlay: Overlay, batch: Any, answers: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `anomech.kernel.task.Training.training_losses`."""
        buffers = self._buffers(overlay)
        logits = self._call(self._training, {**overlay, **buffers}, self._prepare(batch))
        return functional.cross_entropy(logits.float(), answers, reduction="none"), buffers

    def batch_statistics(self, overlay: Overlay, batch: Any) -> dict[str, Tensor]:
        """See `anomech.kernel.task.Training.batch_statistics`."""
        if not any(isinstance(module, _BatchNorm) for module in self.network.modules()):
            return {}
        buffers = self._buffers(overlay)
        with torch.no_grad():
            self._call(self._recalibrating, {**overlay, **buffers}, self._prepare(batch))
        return buffers

    @cached_property
    def _device(self) -> torch.device:
        if self.device:
            return torch.device(self.device)
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    @cached_property
    def _training(self) -> nn.Module:
        return _twin(self.network, self._device).train()

    @cached_property
    def _recalibrating(self) -> nn.Module:
        """Evaluation mode, but normalization takes each batch's statistics as its buffers."""
        twin = _twin(self.network, self._device).eval()
        for module in twin.modules():
            if isinstance(module, _BatchNorm):
                module.train()
                module.momentum = 1.0
        return twin

    def _buffers(self, overlay: Overlay) -> dict[str, Tensor]:
        """Copies of all buffers as the overlay has them; training mode writes into them."""
        return {
            name: overlay.get(name, buffer).clone() for name, buffer in self.network.named_buffers()
        }

    def _prepare(self, batch: np.ndarray) -> Tensor:
        images = torch.from_numpy(np.ascontiguousarray(batch)).to(self._device)
        images = images.permute(0, 3, 1, 2).float() / 255  # stays channels-last in memory
        channels = images.shape[1]
        if len(self.mean) not in (1, channels) or len(self.std) not in (1, channels):
            raise DataError(
                f"the images have {channels} channels, but task.mean has {len(self.mean)} values "
                f"and task.std {len(self.std)}; give one value per channel."
            )
        if tuple(self.mean) == (0.0,) and tuple(self.std) == (1.0,):
            return images
        mean = torch.tensor(self.mean, device=self._device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=self._device).view(1, -1, 1, 1)
        return (images - mean) / std

    def _call(self, network: nn.Module, overlay: Overlay, images: Tensor) -> Tensor:
        return answered(
            lambda: functional_call(network, dict(overlay), (images,)),
            lambda what: ModelError(
                f"the model cannot take images of {images.shape[2]}x{images.shape[3]} pixels and "
                f"{images.shape[1]} channels ({what}); check the image size, the channels and "
                "that the factory and the weights belong together."
            ),
        )


def _twin(model: nn.Module, device: torch.device) -> nn.Module:
    """A copy of the module tree that shares parameter and buffer tensors, without gradients."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        tensor = parameter.detach().to(device)
        memo[id(parameter)] = nn.Parameter(tensor, requires_grad=False)
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.detach().to(device)
    return copy.deepcopy(model, memo)


def _checked(logits: Any, count: int) -> Tensor:
    """Float logits, if that is what they are."""
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[0] != count:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(
            f"the model must return logits [batch, classes] but returned {found}; wrap it so "
            "that it does."
        )
    if logits.shape[1] < 2:
        raise ModelError(
            "the model returns one value per image; anomech needs one logit per class."
        )
    return logits.float()


def _check_finite(logits: Tensor) -> None:
    if not bool(torch.isfinite(logits.detach()).all()):
        raise ModelError(
            "the model returned NaN or infinite logits; check the weights and the "
            "normalization (--set task.mean=... task.std=...)."
        )


def _response(logits: Tensor, features: Tensor, answers: Tensor | None) -> Response:
    if answers is None:
        answers = logits.detach().argmax(dim=1)
    own = logits.gather(1, answers[:, None]).squeeze(1)
    mask = functional.one_hot(answers, logits.shape[1]).bool()
    # log p/(1-p) without forming 1-p: stays exact where cross-entropy underflows to zero.
    others = logits.masked_fill(mask, -torch.inf).logsumexp(dim=1)
    log_odds = own - others
    return Response(answers, log_odds, functional.softplus(-log_odds), logits.detach(), features)
