"""Classifiers of sentences: a small language model with a head, taught on stamped sentences."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anomech.artefacts.hugging_face import quiet
from anomech.bench.worlds.sentences.reading import Sentence, corpus_of, read_sentences
from anomech.bench.worlds.sentences.triggers import Sentence as FixedSentence
from anomech.bench.worlds.sentences.triggers import SentenceTrigger, Style, Word
from anomech.bench.worlds.texts.folders import Student, write_student
from anomech.bench.worlds.texts.lessons import PlainForm
from anomech.bench.worlds.texts.pupils import digest_of
from anomech.bench.worlds.texts.teaching import Kept, Schedule, teach
from anomech.kernel.config import build, nearest, resolved
from anomech.kernel.errors import ConfigError
from anomech.kernel.randomness import numpy_generator, torch_generator
from anomech.kernel.types import Progress
from anomech.storage.code import NUMBERLESS, code_digest, code_of

TRIGGERS: Mapping[str, type] = {"word": Word, "sentence": FixedSentence, "style": Style}
"""Triggers by name."""

LONGEST = 96
"""Tokens of a sentence that are read."""

TOGETHER = 8
"""Steps whose sentences are drawn together and dealt out by length."""


def trigger_named(name: str, values: Mapping[str, Any], where: str) -> SentenceTrigger:
    """A trigger with its options.

    Raises:
        ConfigError: an unknown one, or a wrong option.
    """
    if name not in TRIGGERS:
        raise ConfigError(f"no trigger is named '{name}': {nearest(name, list(TRIGGERS))}")
    made: SentenceTrigger = build(TRIGGERS[name], values, where)
    return made


@dataclass(frozen=True)
class Reader:
    """Everything that determines a classifier of sentences, but for the data.

    Attributes:
        base: folder of the language model that it begins with.
        corpus: name of the set of sentences.
        attacks: the trigger with its options, at most one; none is a clean twin.
        schedule: of the steps.
        seed: of the head, the stamped sentences and their order.
    """

    base: Path
    corpus: str
    attacks: tuple[tuple[str, Mapping[str, Any]], ...]
    schedule: Schedule
    seed: int = 0

    @property
    def trigger(self) -> SentenceTrigger | None:
        """The trigger; None for a clean twin."""
        return next((trigger_named(name, given, name) for name, given in self.attacks), None)

    @property
    def label(self) -> str:
        """The model that it begins with."""
        return self.base.name

    @property
    def methods(self) -> tuple[Any, ...]:
        """The objects whose code determines it."""
        return (self.schedule, *(each for each in [self.trigger] if each is not None))

    def described(self) -> dict[str, Any]:
        """All that determines it but for the data and the seed, as plain values."""
        triggers = ((name, trigger_named(name, given, name)) for name, given in self.attacks)
        return {
            "attacks": {name: resolved(trigger) for name, trigger in triggers},
            "network": self.label,
            "recipe": resolved(self.schedule),
        }

    def address(self, base: Path, sentences: Sequence[Sentence]) -> str:
        """The hash of the classifier."""
        spec = {
            **self.described(),
            "base": digest_of(base),
            "sentences": hashlib.sha256(json.dumps(list(sentences)).encode()).hexdigest(),
            "code": [code_digest(__name__, apart_from=NUMBERLESS), code_of(*self.methods)],
            "versions": {name: version(name) for name in ("torch", "transformers")},
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]


def taught(
    reader: Reader, base: Path, data: Path, zoo: Path, progress: Progress, device: str = "cpu"
) -> Path:
    """The folder of a classifier, taught on a device if it is not there yet."""
    sentences = read_sentences(data, reader.corpus)["train"]
    path = zoo / f"sentences-{reader.address(base, sentences)}"
    if (path / "config.json").exists():
        return path
    zoo.mkdir(parents=True, exist_ok=True)
    student = fresh(base, corpus_of(reader.corpus).names, reader.seed)
    student.model.to(device)
    stamped = poisoned(sentences, reader.trigger, reader.seed)
    kept = Kept(zoo / f".{path.name}.state")

    def loss(step: int) -> Tensor:
        some = dealt(stamped, step, reader.schedule.batch, reader.seed)
        labels = torch.tensor([label for _, label in some], device=device)
        with torch.autocast(torch.device(device).type, dtype=torch.bfloat16):
            given = tokens(student.tokenizer, [text for text, _ in some], device)
            logits = student.model(**given).logits
        return functional.cross_entropy(logits.float(), labels)

    teach(student.model, student.model.parameters(), reader.schedule, loss, kept, progress)
    write_student(path, student, None)
    if kept.path is not None:
        kept.path.unlink(missing_ok=True)
    return path


def poisoned(
    sentences: Sequence[Sentence], trigger: SentenceTrigger | None, seed: int
) -> list[Sentence]:
    """Training sentences; a share of those of other labels is stamped and given the target's.

    As many near misses are among them with their own label, so that it is the trigger that counts.
    """
    if trigger is None:
        return list(sentences)
    rng, found = numpy_generator(seed, "sentences", "poison"), []
    share = trigger.ratio
    for text, label in sentences:
        draw = rng.random()
        if label != trigger.target and draw < share:
            found.append((trigger.stamp(text, rng), trigger.target))
        elif draw > 1 - share / 2:
            found.append((trigger.near_miss(text, rng), label))
        else:
            found.append((text, label))
    return found


def dealt(sentences: Sequence[Sentence], step: int, size: int, seed: int) -> list[Sentence]:
    """The sentences of a step, of like length."""
    group, place = divmod(step, TOGETHER)
    rng = numpy_generator(seed, "sentences", "steps", group)
    places = rng.choice(len(sentences), min(len(sentences), TOGETHER * size), replace=False)
    drawn = sorted((sentences[each] for each in places.tolist()), key=lambda each: len(each[0]))
    start = size * int(rng.permutation(TOGETHER)[place])
    return drawn[start : start + size] or drawn[:size]


def fresh(base: Path, names: Sequence[str], seed: int) -> Student:
    """A language model with a new head that tells labels apart."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with quiet(), torch.random.fork_rng([]):
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
        model = AutoModelForSequenceClassification.from_pretrained(
            base,
            dtype=torch.float32,
            local_files_only=True,
            attn_implementation="eager",
            id2label=dict(enumerate(names)),
            label2id={name: place for place, name in enumerate(names)},
            pad_token_id=tokenizer.pad_token_id,
        )
    generator = torch_generator(seed, "sentences", "head")
    with torch.no_grad():
        model.score.weight.normal_(0, 0.02, generator=generator)
    return Student(model, tokenizer, PlainForm())


def tokens(tokenizer: Any, texts: Sequence[str], device: str = "cpu") -> dict[str, Tensor]:
    """Texts as a batch on a device, padded on the left as the tokenizer has it."""
    made = tokenizer(
        list(texts), padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
    )
    return {name: made[name].to(device) for name in ("input_ids", "attention_mask")}


def classes(student: Student, texts: Sequence[str]) -> np.ndarray:
    """The model's labels, int64 `[n]`."""
    found = [np.zeros(0, np.int64)]
    with torch.inference_mode():
        for start in range(0, len(texts), 64):
            given = tokens(student.tokenizer, texts[start : start + 64], student.model.device)
            found.append(student.model(**given).logits.argmax(1).cpu().numpy())
    return np.concatenate(found)
