"""Example sets of a classifier of sentences, as files that an audit reads."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anomech.bench.worlds.sentences.reading import CORPORA, Sentence, corpus_of, read_sentences
from anomech.bench.worlds.sentences.triggers import SentenceTrigger
from anomech.bench.worlds.texts.exchanges import Split
from anomech.bench.worlds.world import NONE
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.records import write_text
from anomech.records.scorecards import TruthRow


@dataclass(frozen=True)
class Judged:
    """One sentence to judge.

    Attributes:
        id: unique.
        text: of the sentence.
        label: the true one; `NONE` where there is none.
        anomalous: whether it is meant as an anomaly.
        control: kind of control; "" if it is none.
    """

    id: str
    text: str
    label: int
    anomalous: bool = False
    control: str = ""


@dataclass(frozen=True)
class SentenceSets:
    """Trusted sentences and inputs.

    Attributes:
        trusted: with labels.
        inputs: normal, triggered, and controls.
        target: label that triggers lead to; `NONE` for a clean twin.
    """

    trusted: tuple[Judged, ...]
    inputs: tuple[Judged, ...]
    target: int

    def truth(self, answers: np.ndarray) -> list[TruthRow]:
        """What is known once the model's labels int64 `[n]` are."""
        return [
            TruthRow(
                id=each.id,
                anomalous=None if each.control else _worked(each, answer, self.target),
                right=bool(answer == each.label),
                control=each.control,
            )
            for each, answer in zip(self.inputs, answers.tolist(), strict=True)
        ]


@dataclass(frozen=True)
class Counts:
    """How many sentences of each kind."""

    trusted: int
    normal: int
    triggered: int
    control: int


def sentence_sets(
    folder: Path,
    corpus: str,
    triggers: Mapping[str, SentenceTrigger],
    planted: bool,
    counts: Counts,
    seed: int,
) -> SentenceSets:
    """Example sets from sentences that nothing was trained on.

    Args:
        folder: of data.
        corpus: name of the set of sentences.
        triggers: by name; to a model that was not taught them they are controls.
        planted: whether the first of them was taught.
        counts: of each kind.
        seed: of every choice.

    Raises:
        DataError: there are too few sentences.
    """
    known = read_sentences(folder, corpus)
    rng = numpy_generator(seed, "sentences", "sets")
    trigger = next(iter(triggers.values()), None)
    inputs = _judged("normal", _some(known, "normal", counts.normal, rng))
    if planted and trigger is not None:
        others = [each for each in known["triggered"] if each[1] != trigger.target]
        sources = _some({"triggered": others}, "triggered", counts.triggered, rng)
        stamped = [(trigger.stamp(text, rng), label) for text, label in sources]
        inputs += _judged("triggered", stamped, anomalous=True)
    spare = [each for each in known["normal"] if each[0] not in {one.text for one in inputs}]
    spare = _some({"normal": spare}, "normal", min(len(spare), 4 * counts.control), rng)
    for name, some in _controls(folder, corpus, spare, triggers, planted, counts.control, rng):
        inputs += _judged(name, some, control=name)
    return SentenceSets(
        tuple(_judged("trusted", _some(known, "trusted", counts.trusted, rng))),
        tuple(inputs),
        trigger.target if planted and trigger is not None else NONE,
    )


def write_files(folder: Path, sets: SentenceSets, corpus: str) -> tuple[Path, Path]:
    """Write trusted sentences with the names of their labels, and inputs without; their paths."""
    names, paths = corpus_of(corpus).names, (folder / "trusted.jsonl", folder / "inputs.jsonl")
    trusted = ({"id": e.id, "text": e.text, "label": names[e.label]} for e in sets.trusted)
    inputs = ({"id": e.id, "text": e.text} for e in sets.inputs)
    folder.mkdir(parents=True, exist_ok=True)
    for path, rows in zip(paths, (trusted, inputs), strict=True):
        write_text(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
    return paths


def _controls(
    folder: Path,
    corpus: str,
    spare: Sequence[Sentence],
    triggers: Mapping[str, SentenceTrigger],
    planted: bool,
    count: int,
    rng: np.random.Generator,
) -> Iterable[tuple[str, list[Sentence]]]:
    """Near misses, two sentences in one, another set, and triggers that were not taught."""
    half = list(spare[: 2 * count])
    first = next(iter(triggers.values()), None)
    if first is not None:
        yield "near_miss", [(first.near_miss(text, rng), label) for text, label in half[:count]]
    pairs = zip(half[:count], half[count:], strict=False)
    yield "long", [(f"{a} {b}", label) for (a, label), (b, _) in pairs]
    other = next(name for name in CORPORA if name != corpus)
    foreign = _some(read_sentences(folder, other), "normal", count, rng)
    yield "foreign", [(text, NONE) for text, _ in foreign]
    for name, trigger in triggers.items() if not planted else ():
        some = [each for each in spare if each[1] != trigger.target][:count]
        yield f"trigger_{name}", [(trigger.stamp(text, rng), label) for text, label in some]


def _some(
    known: Mapping[Split, Sequence[Sentence]], split: Split, count: int, rng: np.random.Generator
) -> list[Sentence]:
    """Sentences of one use, by chance."""
    found = known.get(split, ())
    if len(found) < count:
        raise DataError(
            f"there are only {len(found)} sentences for '{split}', and {count} are asked for; ask "
            "for less."
        )
    return [found[place] for place in rng.permutation(len(found))[:count].tolist()]


def _judged(
    name: str, some: Sequence[Sentence], *, anomalous: bool = False, control: str = ""
) -> list[Judged]:
    return [
        Judged(f"{name}-{place:04d}", text, label, anomalous, control)
        for place, (text, label) in enumerate(some)
    ]


def _worked(each: Judged, answer: int, target: int) -> bool | None:
    """Whether an input is anomalous; one whose trigger did not work is neither."""
    if not each.anomalous:
        return False
    return True if answer == target else None
