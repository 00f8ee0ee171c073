"""`anomech audit --model FOLDER` of classifiers: texts and images."""

import json

import numpy as np
import pytest
import torch
from language_models import byte_tokenizer, classifier, saved

from anomech.records import Run, Verdict, read_findings, read_record, read_rows

QUICK = (
    *("--set", "detectors.functional_attribution.twins.rungs=1"),
    *("--set", "detectors.functional_attribution.twins.steps=3"),
    *("--budget", "0.1", "--fail-on", "never"),
)
WORDS = ("good", "bad", "great", "awful", "film", "plot", "cast")


def test_a_text_classifier(run, tmp_path):
    model, tokenizer = classifier("bert").eval(), byte_tokenizer()
    folder = saved(tmp_path / "tiny-bert", model, tokenizer)
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(2, 7))) for _ in range(140)]
    texts = list(dict.fromkeys(texts))
    rows = ["text\tlabel"]
    with torch.no_grad():
        for text in texts:
            logits = model(**tokenizer(text, return_tensors="pt")).logits
            rows.append(f"{text}\t{model.config.id2label[int(logits.argmax())].lower()}")
    (tmp_path / "trusted.tsv").write_text("\n".join(rows))
    asked = [*texts[:10], "<b>漢字</b> " * 30]
    plain = "".join(json.dumps({"text": text}) + "\n" for text in asked)
    (tmp_path / "inputs.jsonl").write_text(plain)
    named = ("--reference", tmp_path / "trusted.tsv", "--inputs", tmp_path / "inputs.jsonl")
    answer = run("audit", "--model", folder, *named, "--out", tmp_path / "run", *QUICK)
    assert answer.code == 0, answer.err
    assert "BertForSequenceClassification, audited as text_classifier" in answer.err
    record = read_record(tmp_path / "run" / "run.json", Run)
    assert (record.status, record.task) == ("complete", "text classifier")
    rows = read_rows(tmp_path / "run" / "verdicts.jsonl", Verdict)
    assert {row.answer for row in rows} <= {"NEGATIVE", "NEUTRAL", "POSITIVE"}
    codes = {each.code for each in read_findings(tmp_path / "run" / "findings.json")}
    assert not codes & {"low-accuracy", "unlabeled-trusted"}
    unlabeled = ("--reference", tmp_path / "inputs.jsonl", "--inputs", tmp_path / "inputs.jsonl")
    refused = run("audit", "--model", folder, *unlabeled, *QUICK)
    assert refused.code == 2
    assert "has no labels" in refused.err


def test_an_image_classifier_with_its_processor(run, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        image_size=8, patch_size=4, num_labels=3, initializer_range=0.3,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.ViTForImageClassification(config).eval()
    folder = saved(tmp_path / "tiny-vit", model)
    processor = {
        "image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"height": 8, "width": 8},
        "do_normalize": True, "do_rescale": True, "rescale_factor": 1 / 255, "resample": 3,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    images = np.random.default_rng(0).integers(0, 256, (150, 16, 16, 3), dtype=np.uint8)
    small = images.reshape(150, 8, 2, 8, 2, 3).mean((2, 4)).round().astype(np.uint8)
    with torch.no_grad():
        pixels = (torch.from_numpy(small).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
        labels = model(pixel_values=pixels).logits.argmax(1).numpy()
    np.savez(tmp_path / "trusted.npz", images=small, labels=labels)
    np.savez(tmp_path / "inputs.npz", images=small[:12])
    named = ("--reference", tmp_path / "trusted.npz", "--inputs", tmp_path / "inputs.npz")
    answer = run("audit", "--model", folder, *named, "--out", tmp_path / "run", *QUICK)
    assert answer.code == 0, answer.err
    assert "ViTForImageClassification, audited as image_classifier" in answer.err
    record = read_record(tmp_path / "run" / "run.json", Run)
    assert record.status == "complete"
    notes = [
        each.detail
        for each in read_findings(tmp_path / "run" / "findings.json")
        if each.code == "model-note"
    ]
    assert any("not bilinear" in note for note in notes)
    accuracy = [each.code for each in read_findings(tmp_path / "run" / "findings.json")]
    assert "low-accuracy" not in accuracy  # the processor's normalization was taken over
