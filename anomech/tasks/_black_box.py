"""A classifier of images that is asked and answers; nothing else of it can be seen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.data.corruptions import CORRUPTIONS, corrupted
from anomech.kernel.errors import CapabilityError, DataError, ModelError, shown
from anomech.kernel.types import Examples, Overlay, Response
from anomech.roles.black_box import Answering, Painting, Pixels, Said, Sureness
from anomech.roles.task import (
    Ability,
    Depicting,
    Logits,
    Preparation,
    Remark,
    Variations,
)
from anomech.tasks._arithmetic import pixels
from anomech.tasks._outputs import inverted, response_of
from anomech.tasks._varying import amplified, depicted, mixed, nearest_images

FEW = 8
"""Trusted images by which it shows what the model answers with."""

ALWAYS = frozenset({Preparation, Pixels, Painting, Variations, Depicting})
"""Abilities of every black box; the others hang on what it answers with."""


class Shown(NamedTuple):
    """What a black box showed of itself.

    Attributes:
        form: what it answers with.
        classes: of its probabilities; 0 if it gives labels alone.
        model: its own word for what it is.
    """

    form: Literal["probabilities", "labels"]
    classes: int
    model: str


@dataclass(frozen=True)
class BlackBox:
    """A model that maps images, uint8 `[batch, h, w, c]`, to probabilities or labels.

    Args:
        model: that is asked.
        class_names: in the order of its probabilities; labels may be given by them.
        batch: images in one question.
        seen: what it showed; `prepared` fills it.
    """

    model: Answering
    class_names: Sequence[str] = ()
    batch: int = 64
    seen: Shown | None = None
    kind: str = field(default="black box", init=False, repr=False)
    watched: Mapping[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    @property
    def provides(self) -> frozenset[Ability]:
        """Logits if it gives probabilities; before it was asked, the best is hoped."""
        alone = self.seen is not None and self.seen.form == "labels"
        return ALWAYS if alone else ALWAYS | {Logits, Sureness}

    @property
    def classes(self) -> int:
        """Probabilities of an answer."""
        if self.seen is None or not self.seen.classes:
            raise CapabilityError("this black box has shown no probabilities.")
        return self.seen.classes

    @property
    def remarks(self) -> Sequence[Remark]:
        """See `anomech.roles.task.Preparation.remarks`."""
        if self.seen is None or self.seen.form != "labels":
            return ()
        return (
            Remark(
                "labels-alone",
                "The model gives labels and no probabilities",
                "Methods that ask how sure it is are left out, and far fewer triggers are seen.",
                "If it can give probabilities, let it.",
            ),
        )

    def prepared(self, examples: Examples) -> "BlackBox":
        """See `anomech.roles.task.Preparation.prepared`.

        Raises:
            ModelError: the model cannot be asked.
        """
        places = np.unique(np.linspace(0, len(examples) - 1, FEW).round().astype(np.int64))
        return replace(self, seen=_shown(self.model.ask(examples.load(places))))

    def knowledge(self) -> Any:
        """See `anomech.roles.task.Preparation.knowledge`."""
        return None if self.seen is None else self.seen._asdict()

    def knowing(self, facts: Any) -> "BlackBox":
        """See `anomech.roles.task.Preparation.knowing`."""
        try:
            found = Shown(str(facts["form"]), int(facts["classes"]), str(facts["model"]))  # type: ignore[arg-type]
        except (LookupError, TypeError, ValueError):
            raise DataError("what is remembered of a black box is damaged; fit it anew.") from None
        return replace(self, seen=found)

    def passes(self, examples: Examples) -> Iterator[np.ndarray]:
        """See `anomech.roles.task.Task.passes`."""
        for start in range(0, len(examples), self.batch):
            yield np.arange(start, min(start + self.batch, len(examples)))

    def respond(self, overlay: Overlay, batch: Any, answers: Tensor | None = None) -> Response:
        """See `anomech.roles.task.Task.respond`; no weights can be laid over a black box.

        Raises:
            ModelError: it answers otherwise than it did at first.
        """
        self.with_(overlay)
        said = self.model.ask(batch)
        now = _shown(said)
        if self.seen is not None and now != self.seen:
            raise ModelError(
                f"the model answered first with {_told(self.seen)} and now with {_told(now)}; let "
                "it stay the same for the whole audit."
            )
        answers = None if answers is None else answers.cpu()
        if said.probabilities is None:
            return _of_labels(self._numbered(said.labels), answers)
        logits = inverted(torch.from_numpy(said.probabilities), "probabilities")
        return response_of(logits, None, answers, alone=False)

    def with_(self, overlay: Overlay) -> "BlackBox":
        """See `anomech.roles.task.Task.with_`.

        Raises:
            CapabilityError: there are weights to lay over it.
        """
        if overlay:
            raise CapabilityError("this black box does not give weights that can be moved.")
        return self

    def state(self) -> Mapping[str, Tensor]:
        """What is asked, in place of tensors that nobody sees; a fingerprint is taken of it."""
        words = bytearray(self.model.asked.encode() or b"?")
        return {"asked": torch.frombuffer(words, dtype=torch.uint8)}

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

    def embed(self, batch: Any) -> Tensor:
        """Pixels in [0, 1], float32 `[batch, c, h, w]`."""
        return pixels(batch, torch.device("cpu"))

    realize = staticmethod(nearest_images)
    depict = staticmethod(depicted)
    mixed = staticmethod(mixed)
    corrupted = staticmethod(corrupted)
    amplified = staticmethod(amplified)
    corruptions: ClassVar[Sequence[str]] = tuple(CORRUPTIONS)

    def _numbered(self, labels: Sequence[int | str]) -> Tensor:
        """Labels as class indices int64 `[batch]`.

        Raises:
            ModelError: a name that no class has.
        """
        places = {name: place for place, name in enumerate(self.class_names)}
        strange = next((x for x in labels if isinstance(x, str) and x not in places), None)
        if strange is not None:
            known = f"known: {', '.join(self.class_names[:8])}" if places else "none are named here"
            raise ModelError(
                f"the model gave the label {shown(strange)}, which is no class of the trusted "
                f"examples ({known}); let it give their names, or numbers in their order."
            )
        return torch.tensor([places[x] if isinstance(x, str) else x for x in labels])


def _shown(said: Said) -> Shown:
    if said.probabilities is None:
        return Shown("labels", 0, said.model)
    return Shown("probabilities", said.probabilities.shape[1], said.model)


def _told(shown_: Shown) -> str:
    what = f"probabilities of {shown_.classes} classes" if shown_.classes else "labels"
    return f"{what} as {shown(shown_.model)}" if shown_.model else what


def _of_labels(own: Tensor, answers: Tensor | None) -> Response:
    """A response of which the signs of the log-odds alone say something."""
    answers = own if answers is None else answers
    log_odds = torch.where(answers == own, 1.0, -1.0)
    return Response(answers, log_odds, torch.nn.functional.softplus(-log_odds))
