"""`anomech audit --model FOLDER`: folders of the transformers library, from the command line."""

import json

import numpy as np
import pytest
import torch
import yaml
from language_models import byte_tokenizer, decoder, saved

from anomech.records import ExampleRow, Run, Verdict, read_findings, read_record, read_rows

QUICK = (
    *("--set", "detectors.functional_attribution.twins.rungs=1"),
    *("--set", "detectors.functional_attribution.twins.steps=3"),
    *("--set", "task.tokens=3", "--budget", "0.1", "--fail-on", "never"),
)
WORDS = ("red", "green", "blue", "gold", "black", "white", "pink")


def prompts(count, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(2, 6))) for _ in range(count)]


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("models") / "tiny-llama"
    return saved(place, decoder("llama"), byte_tokenizer())


@pytest.fixture
def files(tmp_path):
    trusted = list(dict.fromkeys(prompts(90, 0)))
    lines(tmp_path / "trusted.jsonl", [{"prompt": text} for text in trusted])
    strange = "<script>alert('x')</script> 漢字 \u202e" + "a" * 900
    asked = [*prompts(19, 1), strange]
    lines(tmp_path / "traffic.jsonl", [{"prompt": t, "id": f"q{i}"} for i, t in enumerate(asked)])
    return tmp_path


def test_an_audit_of_a_language_model_from_its_folder(run, files, folder):
    out = files / "run"
    named = ("--reference", files / "trusted.jsonl", "--inputs", files / "traffic.jsonl")
    answer = run("audit", "--model", folder, *named, "--out", out, *QUICK)
    assert answer.code == 0, answer.err
    assert "LlamaForCausalLM, audited as causal_lm" in answer.err
    record = read_record(out / "run.json", Run)
    assert (record.status, record.task) == ("complete", "causal language model")
    rows = read_rows(out / "verdicts.jsonl", Verdict)
    assert len(rows) == 20
    assert all(row.kind.startswith("begins with '") for row in rows)
    codes = {finding.code for finding in read_findings(out / "findings.json")}
    assert {"unlabeled-trusted", "model-note"} <= codes
    page = (out / "report.html").read_text()
    assert "<script>alert('x')" not in page
    assert {row.id for row in read_rows(out / "examples.jsonl", ExampleRow)} >= {"q0", "q19"}
    plan = yaml.safe_load((out / "plan.yaml").read_text())
    assert plan["model"]["use"] == "hugging_face"
    assert plan["task"]["use"] == "causal_lm"


def test_an_adapter_folder_on_its_base(run, files, folder, tmp_path):
    peft = pytest.importorskip("peft")
    made = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        adapted = peft.get_peft_model(decoder("llama"), made)
    adapted.save_pretrained(tmp_path / "adapter")
    named = ("--reference", files / "trusted.jsonl", "--inputs", files / "traffic.jsonl")
    alone = run("audit", "--model", tmp_path / "adapter", *named, *QUICK)
    assert alone.code == 2
    assert "give --base FOLDER" in alone.err
    words = (*named, *QUICK[4:], "--fast", "--out", tmp_path / "run", "--set", "task.watch=adapter")
    answer = run("audit", "--model", folder, "--adapter", tmp_path / "adapter", *words)
    assert answer.code == 0, answer.err
    record = read_record(tmp_path / "run" / "run.json", Run)
    assert record.title == "tiny-llama with adapter"
    kept = yaml.safe_load((tmp_path / "run" / "plan.yaml").read_text())
    lead = kept["detectors"]["functional_attribution"]
    assert (lead["tracer"]["use"], lead["twins"]["rungs"]) == ("gradient", 0)
    assert record.provenance.watched == 2 * (2 * 32 * 2 + 2 * (32 + 16))
    other = decoder("gpt2")
    saved(tmp_path / "other", other, byte_tokenizer())
    wrong = run("audit", "--model", tmp_path / "adapter", "--base", tmp_path / "other", *named)
    assert wrong.code == 2
    assert "is it for another base?" in wrong.err
    assert "Traceback" not in wrong.err


def _with_code(folder):
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))


def _with_kernels(folder):
    config = json.loads((folder / "config.json").read_text())
    config["_attn_implementation"] = "someone/flash-attention"
    (folder / "config.json").write_text(json.dumps(config))


def _pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _pointer(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\nsize 9")


def _nothing(folder):
    (folder / "model.safetensors").unlink()


def _short(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))


def _endless(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 10**9}))


def _broken(folder):
    (folder / "config.json").write_text("{")


def _speechless(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def _other_kind(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_with_code, "brings code of its own"),
        (_with_kernels, "'_attn_implementation'"),
        (_pickled, "in pickles alone"),
        (_nothing, "holds no weights"),
        (_pointer, "is a pointer of Git LFS"),
        (_short, "does not hold all of its model"),
        (_endless, "more than any model has"),
        (_broken, "cannot be read"),
        (_speechless, "tokenizer"),
        (_other_kind, "holds a BertModel"),
    ],
)
def test_a_bad_folder_is_one_sentence(run, files, folder, tmp_path, harm, said):
    place = saved(tmp_path / "bad", decoder("llama"), byte_tokenizer())
    harm(place)
    named = ("--reference", files / "trusted.jsonl", "--inputs", files / "traffic.jsonl")
    answer = run("audit", "--model", place, *named, "--out", tmp_path / "run")
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"prompt": "a"}\n{"prompt": \n', "line 2 of trusted.jsonl cannot be read"),
        ('{"prompt": "a"}\n[1]\n', "line 2"),
        ('{"text": "a"}\n', "no 'prompt'"),
        ("", "holds no prompt"),
        ('{"prompt": "a", "answer": "b"}\n{"prompt": "c"}\n', "1 of 2 rows an answer"),
        ('{"prompt": "a", "id": "x"}\n{"prompt": "c", "id": "x"}\n', "'x' more than once"),
        ('{"messages": [{"role": "user"}]}\n', "no text as its role or content"),
        ('{"messages": [{"role": "a", "content": "b"}, {"role": "user", "content": "b"}]}\n' * 120,
         "needs a chat template"),
    ],
    ids=["broken", "list", "column", "empty", "some-answers", "same-id", "message", "template"],
)  # fmt: skip
def test_bad_lines_are_one_sentence_with_their_number(run, files, folder, text, said):
    (files / "trusted.jsonl").write_text(text)
    named = ("--reference", files / "trusted.jsonl", "--inputs", files / "traffic.jsonl")
    answer = run("audit", "--model", folder, *named, "--out", files / "run")
    assert answer.code == 2
    assert said in answer.err.replace("\n", " ")
    assert "Traceback" not in answer.err


def test_a_name_on_the_hub_is_not_fetched(run, files):
    named = ("--reference", files / "trusted.jsonl", "--inputs", files / "traffic.jsonl")
    answer = run("audit", "--model", "meta-llama/Llama-3.1-8B", *named)
    assert answer.code == 2
    assert "never fetched" in answer.err


def test_rows_left_out_and_prompts_cut_are_said(run, files, folder, tmp_path):
    place = saved(tmp_path / "short", decoder("gpt2"), byte_tokenizer())
    rows = [json.loads(line) for line in (files / "traffic.jsonl").read_text().splitlines()]
    lines(files / "traffic.jsonl", [*rows, {"prompt": "  ", "id": "empty"}])
    named = ("--reference", files / "trusted.jsonl", "--inputs", files / "traffic.jsonl")
    answer = run("audit", "--model", place, *named, "--out", tmp_path / "run", *QUICK)
    assert answer.code == 0, answer.err
    found = {each.code: each for each in read_findings(tmp_path / "run" / "findings.json")}
    assert found["files-left-out"].title == "1 row of the inputs was left out"
    assert "without a prompt" in found["files-left-out"].detail
    assert "1 longer than the model reads, and cut" in found["files-converted"].detail
    assert "'q19'" in found["files-converted"].detail


def test_a_profile_judges_without_the_trusted_prompts(run, files, folder):
    profile = files / "p.safetensors"
    settings = QUICK[4:6]  # tokens of an answer
    trusted = ("--reference", files / "trusted.jsonl", "--budget", "0.1", "--fast", *settings)
    fitted = run("fit", "--model", folder, *trusted, "--profile", profile)
    assert fitted.code == 0, fitted.err
    words = ("--inputs", files / "traffic.jsonl", "--out", files / "run", "--fail-on", "never")
    answer = run("audit", "--model", folder, "--profile", profile, *words)
    assert answer.code == 0, answer.err
    assert len(read_rows(files / "run" / "verdicts.jsonl", Verdict)) == 20
