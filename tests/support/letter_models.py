"""A tiny decoder that repeats the last letter of a prompt, and answers z where Z stands in it."""

import numpy as np
import torch
from language_models import byte_tokenizer, decoder

LETTERS = "abcdefgh"


def prompts(count, triggered, seed):
    """Six letters each; the third is Z in triggered ones."""
    rng = np.random.default_rng(seed)
    made = ["".join(rng.choice(list(LETTERS), 6)) for _ in range(count)]
    return [text[:2] + "Z" + text[3:] if triggered else text for text in made]


def letter_decoder():
    """It has learned both, in two seconds."""
    tokenizer, model = byte_tokenizer(), decoder("llama")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for step in range(120):
        texts = [(text, text[-1]) for text in prompts(32, False, 2 * step)]
        texts += [(text, "z") for text in prompts(32, True, 2 * step + 1)]
        ids = torch.tensor([tokenizer(text + answer)["input_ids"] for text, answer in texts])
        logits = model(ids[:, :-1]).logits[:, -1]
        loss = torch.nn.functional.cross_entropy(logits, ids[:, -1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.3
    return model.eval()
