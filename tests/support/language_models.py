"""Tiny decoders with random weights, and a tokenizer that reads bytes; for tests alone."""

import pytest
import torch

VOCABULARY = 260
PAD, END, START = 0, 1, 2
FIRST = 3
"""Token of the byte 0."""

SIZES = {"vocab_size": VOCABULARY, "bos_token_id": START, "eos_token_id": END, "pad_token_id": PAD}


NAMES = {0: "NEGATIVE", 1: "NEUTRAL", 2: "POSITIVE"}
"""Classes of the classifiers."""


class ByteTokenizer:
    """What the task asks of a tokenizer, with a token a byte."""

    eos_token_id = END

    def __init__(self, chat_template=None):
        self.chat_template = chat_template

    def __call__(self, text, add_special_tokens=True):
        start = [START] if add_special_tokens else []
        return {"input_ids": start + [FIRST + byte for byte in text.encode()]}

    def decode(self, ids, skip_special_tokens=False):
        return bytes(token - FIRST for token in ids if token >= FIRST).decode("utf-8", "replace")

    def convert_ids_to_tokens(self, token):
        return bytes([max(0, token - FIRST)]).decode("latin-1")

    def apply_chat_template(self, messages, tokenize=False, add_generation_prompt=True):
        turns = "".join(f"<{each['role']}>{each['content']}\n" for each in messages)
        return turns + "<assistant>"


def decoder(kind, seed=0):
    """A decoder of two blocks; `kind` is llama, gpt2 or neox."""
    transformers = pytest.importorskip("transformers")
    made = {
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM, {
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True,
        }),
        "gpt2": (transformers.GPT2Config, transformers.GPT2LMHeadModel, {
            "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128,
        }),
        "neox": (transformers.GPTNeoXConfig, transformers.GPTNeoXForCausalLM, {
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "max_position_embeddings": 128,
        }),
    }  # fmt: skip
    config, model, sizes = made[kind]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return model(config(**SIZES, **sizes, initializer_range=0.3))


def classifier(kind, **changes):
    """A sequence classifier of three classes; `kind` is bert or llama."""
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
             "num_attention_heads": 4}  # fmt: skip
    made = {
        "bert": (transformers.BertConfig, transformers.BertForSequenceClassification, sizes),
        "llama": (transformers.LlamaConfig, transformers.LlamaForSequenceClassification,
                  {**sizes, "num_key_value_heads": 2}),
    }  # fmt: skip
    config, model, own = made[kind]
    options = {"initializer_range": 0.3, "id2label": NAMES, **changes}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model(config(**SIZES, **own, **options))


def byte_tokenizer(chat_template=None):
    """The same as a tokenizer of the transformers library, which can be saved."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    special = {"<pad>": PAD, "<end>": END, "<start>": START}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = special | {letter: FIRST + place for place, letter in enumerate(alphabet)}
    made = Tokenizer(models.BPE(vocab=words, merges=[]))
    made.add_special_tokens([AddedToken(word, special=True) for word in special])
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="<end>", bos_token="<start>"
    )
    tokenizer.chat_template = chat_template
    return tokenizer


def saved(folder, model, tokenizer=None):
    """A Hugging Face folder of a model, and of a tokenizer if it is given."""
    model.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return folder
