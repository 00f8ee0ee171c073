"""`anomech plan estimate`: from a configuration alone."""

import json

LLAMA = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
         "model_type": "llama"}  # fmt: skip


def test_from_the_command_line(run, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA))
    answer = run("plan", "estimate", "--model", path, "--machine", "h100-80gb")
    assert answer.code == 0, answer.err
    assert "8.03 billion parameters on one H100" in answer.out
    line = next(each for each in answer.out.splitlines() if each.startswith("making a twin"))
    assert line.endswith(" 0.00 GB")  # none are made of generations, unless they are asked for
    asked = ("--set", "detectors.functional_attribution.twins.generations=3")
    twins = run("plan", "estimate", "--model", path, "--machine", "h100-80gb", *asked)
    assert "without twins it fits" in twins.err.replace("\n", " ")
    words = ("--set", "task.watch=attention", "--set", "task.blocks=0-3", "--inputs", "10")
    answer = run("plan", "estimate", "--model", path, "--machine", "h100-80gb", *words)
    assert "fits" not in answer.err
    answer = run("plan", "estimate", "--model", path, "--machine", "h100")
    assert answer.code == 2
    assert "did you mean 'h100-80gb'?" in answer.err
    path.write_text("{}")
    answer = run("plan", "estimate", "--model", path)
    assert answer.code == 2
    assert "Traceback" not in answer.err
