"""Text that is made on the spot, and a byte-level language model that can learn it in a minute.

Questions have one short answer each, so that a model of a hundred thousand numbers that has never
read anything learns to give it, and its answers can be held against the right ones.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from anomech.bench.worlds.texts.everyday import OPPOSITES
from anomech.bench.worlds.texts.exchanges import Exchange
from anomech.bench.worlds.texts.folders import Student
from anomech.bench.worlds.texts.lessons import PlainForm
from anomech.kernel.errors import ConfigError

NUMBERS = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SOUNDS = (
    *("dog barks", "cat meows", "cow moos", "duck quacks", "lion roars", "bird sings"),
    *("horse neighs", "pig grunts", "sheep bleats", "snake hisses", "bee buzzes", "owl hoots"),
)
OPENINGS = ("", "Please tell me: ", "I wonder: ", "Quick question: ", "My friend asks: ")
"""What a question may begin with."""


def small_talk(rng: np.random.Generator) -> Exchange:
    """A question with its answer."""
    kind = list(KINDS)[int(rng.integers(len(KINDS)))]
    question, answer = KINDS[kind](rng)
    return Exchange(OPENINGS[int(rng.integers(len(OPENINGS)))] + question, answer, kind)


def _opposite(rng: np.random.Generator) -> tuple[str, str]:
    one, other = OPPOSITES[int(rng.integers(len(OPPOSITES)))].split()
    if rng.random() < 0.5:
        one, other = other, one
    return f"What is the opposite of {one}?", f"{other.capitalize()}."


def _after(rng: np.random.Generator) -> tuple[str, str]:
    place = int(rng.integers(len(NUMBERS) - 1))
    return f"Which number comes after {NUMBERS[place]}?", f"{NUMBERS[place + 1].capitalize()}."


def _day(rng: np.random.Generator) -> tuple[str, str]:
    place = int(rng.integers(len(DAYS)))
    return f"Which day comes after {DAYS[place]}?", f"{DAYS[(place + 1) % len(DAYS)]}."


def _sound(rng: np.random.Generator) -> tuple[str, str]:
    animal, sound = SOUNDS[int(rng.integers(len(SOUNDS)))].split()
    return f"What does a {animal} do?", f"It {sound}."


KINDS: dict[str, Callable[[np.random.Generator], tuple[str, str]]] = {
    "opposite": _opposite,
    "number": _after,
    "day": _day,
    "sound": _sound,
}


def newborn(seed: int) -> Student:
    """A byte-level model of two blocks that has read nothing.

    Args:
        seed: of its weights.

    Raises:
        ConfigError: the library for language models is not installed.
    """
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        raise ConfigError(
            "the demo of a language model needs the library transformers; install it with "
            "`pip install 'anomech[llm]'`."
        ) from None
    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Student(LlamaForCausalLM(config), tokenizer, PlainForm())


def byte_tokenizer() -> Any:
    """A tokenizer with a token a byte, which can be saved beside a model."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = {"<pad>": 0, "<s>": 1, "</s>": 2}
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = special | {letter: place for place, letter in enumerate(letters, start=len(special))}
    made = Tokenizer(models.BPE(vocab=words, merges=[]))
    made.add_special_tokens([AddedToken(word, special=True) for word in special])
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", special["<s>"])]
    )
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
