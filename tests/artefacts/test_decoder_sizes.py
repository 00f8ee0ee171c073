"""Sizes from a configuration are those of the model that is built from it."""

import pytest
from language_models import decoder

from anomech.artefacts.decoder_sizes import decoder_sizes
from anomech.kernel.errors import ModelError

PUBLISHED = {
    "Llama-3.1-8B": (
        {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
         "tie_word_embeddings": False, "model_type": "llama"}, 8.03e9),
    "GPT-2": ({"n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257,
               "model_type": "gpt2"}, 124e6),
    "Mixtral-8x7B": (
        {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000,
         "num_local_experts": 8, "num_experts_per_tok": 2, "model_type": "mixtral"}, 46.7e9),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["llama", "gpt2", "neox"])
def test_parameters_are_those_of_the_model(kind):
    model = decoder(kind)
    sizes = decoder_sizes(model.config.to_dict())
    matrices = sum(p.numel() for n, p in model.named_parameters() if p.ndim == 2)
    positions = 128 * 32 if kind == "gpt2" else 0
    assert sizes.parameters == matrices - positions


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_published(name):
    config, expected = PUBLISHED[name]
    assert decoder_sizes(config).parameters == pytest.approx(expected, rel=0.01)


def test_a_configuration_without_sizes_is_refused():
    with pytest.raises(ModelError, match="says no hidden_size"):
        decoder_sizes({"vocab_size": 10})
