"""What cannot be audited is refused: an exit code, one sentence with a remedy, no traceback."""

import html
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from anomech.records import Run, read_findings, read_record


@pytest.fixture
def refused(run, files, tmp_path, one_sentence):
    """Runs an audit that must be refused and checks how; returns its folder."""

    def check(*parts, code=2, words=(), **changed):
        out = tmp_path / "run"
        answer = run(*files.options(**changed), "--out", out, *words)
        assert answer.code == code, answer.err
        one_sentence(answer.error, *parts)
        assert answer.out == ""
        return out

    return check


def check_noted(out, status="failed"):
    """Checks that a refused run and its report say why."""
    record = read_record(out / "run.json", Run)
    assert record.status == status
    page = (out / "report.html").read_text()
    assert record.message
    assert record.message in html.unescape(page)


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"model": None}, ("names no model", "--model")),
        ({"reference": None}, ("names no reference", "--reference")),
        ({"inputs": None}, ("names no inputs", "--inputs")),
        ({"backdoorbench": "attack_result.pt"}, ("not both",)),
    ],
)
def test_something_is_not_named(refused, changed, parts):
    assert not refused(*parts, **changed).exists()


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"model": "nowhere.py:make_model"}, ("nowhere.py does not exist", "FACTORY.py:")),
        ({"model": "factory"}, ("which function", "FACTORY.py:make_model")),
        ({"weights": "nowhere.safetensors"}, ("does not exist", ".safetensors")),
        ({"reference": "nowhere"}, ("nowhere does not exist", "folder of images")),
        ({"inputs": "nowhere.npz"}, ("nowhere.npz does not exist", "folder of images")),
        ({"plan": "nowhere.yaml"}, ("no plan at nowhere.yaml", "anomech plan new")),
        ({"model": None, "weights": None, "backdoorbench": "no.pt"}, ("no.pt does not exist",)),
    ],
)
def test_wrong_paths(refused, changed, parts):
    refused(*parts, **changed)


def test_unknown_function_gets_a_hint(refused, files):
    refused("no function 'make_modle'", "'make_model'?", model=f"{files.factory}:make_modle")


def test_no_images(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    refused("holds no images", "name a folder", inputs=tmp_path / "empty")
    np.savez(tmp_path / "none.npz", images=np.zeros((0, 8, 8, 1), np.uint8))
    refused("there are no images", inputs=tmp_path / "none.npz")


@pytest.mark.parametrize("kept", [0, 30, 60], ids=["empty", "header", "body"])
def test_corrupt_image(refused, files, tmp_path, kept):
    folder = tmp_path / "inputs"
    folder.mkdir()
    for index in range(3):
        Image.fromarray(files.images[1200 + index, ..., 0]).save(folder / f"{index}.png")
    data = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(data[:kept])
    refused("1.png is not a readable image", "replace it or remove it", inputs=folder)


def test_images_of_two_sizes(refused, files, tmp_path):
    np.savez(tmp_path / "large.npz", images=np.zeros((4, 9, 9, 1), np.uint8))
    refused("8x8", "9x9", "one size", inputs=tmp_path / "large.npz")


def test_images_the_model_does_not_take(refused, files, tmp_path):
    images = files.images[files.trusted]
    labels = files.labels[files.trusted]
    np.savez(tmp_path / "color.npz", images=np.repeat(images, 3, axis=3), labels=labels)
    refused("8x8 pixels and 3 channels", "check", reference=tmp_path / "color.npz")
    np.savez(tmp_path / "small.npz", images=images[:, ::2, ::2], labels=labels)
    small = tmp_path / "small.npz"
    refused("4x4 pixels and 1 channels", "check", reference=small, inputs=small)


def test_wrong_normalization_length(refused):
    refused("1 channels", "task.mean", words=("--set", "task.mean=0.1,0.2,0.3"))


def test_labels_out_of_range(refused, files, tmp_path):
    labels = files.labels[files.trusted].copy()
    labels[3] = 10
    np.savez(tmp_path / "t.npz", images=files.images[files.trusted], labels=labels)
    refused("label 10", "10 classes", "check the labels", reference=tmp_path / "t.npz")


def test_no_labels(refused, files, tmp_path):
    np.savez(tmp_path / "t.npz", images=files.images[files.trusted])
    refused("has no labels", "sub-folder per class", reference=tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("x.mean()", ("must return logits",)),
        ("x.flatten(1)[:, :1]", ("label 9, but the model has 2 classes",)),
        ("self.net(x) * float('nan')", ("NaN",)),
        ("(x, self.net(x))", ("must return logits", "tuple")),
        ("self.net(x[:, :, 4:])", ("cannot take images of 8x8", "check the image size")),
    ],
)
def test_model_with_wrong_answers(refused, tmp_path, body, parts):
    factory = tmp_path / "odd.py"
    factory.write_text(
        "import torch\nfrom anomech.architectures.digits import DigitsNet\n\n\n"
        "class Odd(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.net = DigitsNet()\n\n"
        f"    def forward(self, x):\n        return {body}\n\n\n"
        "def make_model():\n    return Odd()\n"
    )
    check_noted(refused(*parts, model=f"{factory}:make_model", weights=None))


def test_factory_that_fails(refused, tmp_path):
    factory = tmp_path / "odd.py"
    factory.write_text("def make_model():\n    raise ValueError('no\\nway')\n")
    refused("ValueError: no way", "run it on its own", model=f"{factory}:make_model")


def test_weights_of_another_model(refused, files, tmp_path):
    state = load_file(files.weights)
    missing = {name: tensor for name, tensor in state.items() if name != "linear.bias"}
    save_file(missing, tmp_path / "missing.safetensors")
    refused("missing in the checkpoint (linear.bias)", weights=tmp_path / "missing.safetensors")
    save_file({**state, "extra": torch.zeros(2)}, tmp_path / "more.safetensors")
    refused("not in the model (extra)", "build the model", weights=tmp_path / "more.safetensors")
    save_file({**state, "linear.bias": torch.zeros(4)}, tmp_path / "shape.safetensors")
    refused("other shapes (linear.bias is [4]", weights=tmp_path / "shape.safetensors")


class Bomb:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        import os

        return os.system, (self.command,)


def test_malicious_weights_are_refused_and_named(refused, tmp_path):
    marker, weights = tmp_path / "marker", tmp_path / "weights.pt"
    torch.save({"state_dict": Bomb(f"touch {marker}")}, weights)
    out = refused("posix.system", "nothing in it was executed", "safetensors", weights=weights)
    assert not marker.exists()
    check_noted(out)
    findings = read_findings(out / "findings.json")
    assert [finding.code for finding in findings] == ["unsafe-checkpoint"]
    assert "posix.system" in findings[0].detail
    assert "posix.system" in (out / "report.html").read_text()
    # What was found stays: another plan does not take this folder.
    refused("another plan", "choose another --out")


def test_malicious_bare_pickle(refused, tmp_path):
    marker, weights = tmp_path / "marker", tmp_path / "weights.pth"
    weights.write_bytes(pickle.dumps(Bomb(f"touch {marker}")))
    refused("posix.system", weights=weights)
    assert not marker.exists()


def test_too_few_trusted_examples(refused):
    out = refused("at least 199 trusted examples", "there are 160", code=3, budget=0.005)
    check_noted(out, "inconclusive")


def test_labels_in_another_order(refused, files, tmp_path):
    shifted = (files.labels[files.trusted] + 1) % 10
    np.savez(tmp_path / "t.npz", images=files.images[files.trusted], labels=shifted)
    out = refused("into one order", code=3, reference=tmp_path / "t.npz")
    check_noted(out, "inconclusive")
    (found,) = read_findings(out / "findings.json")
    assert (found.code, found.severity) == ("class-order", "high")
    # What was found says what to mend in the command, so the mended one may use this folder.
    refused("at least 199 trusted examples", code=3, budget=0.005)
    assert read_findings(out / "findings.json") == []


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--set", "task.wach=last"), ("'wach'", "did you mean 'watch'?")),
        (("--set", "bugdet=0.1"), ("'bugdet'", "did you mean 'budget'?")),
        (("--set", "detectors.knn.kk=3"), ("'kk'", "'k'")),
        (("--set", "budget"), ("NAME=VALUE",)),
        (("--set", "=3"), ("NAME=VALUE",)),
        (("--set", "budget.x=3"), ("'budget' holds a value",)),
        (("--set", "budget=[1"), ("not valid YAML",)),
        (("--set", "budget=2"), ("plan.budget",)),
        (("--set", "task.watch=nothing*"), ("nothing*",)),
        (("--set", "task.device=tpu"), ("task.device", "use cpu")),
        (("--set", "task.std=0"), ("task.std", "positive")),
        (("--budget", "0"), ("plan.budget",)),
        (("--seed", "-1"), ("plan.seed",)),
        (("--detector", "kn"), ("no detector is named 'kn'", "did you mean 'knn'?")),
        (("--set", "task.precision=half"), ("task.precision", "bfloat16")),
        (("--memory", "lots"), ("--memory", "512MB or 4GB", "'lots'")),
        (("--memory", "12"), ("--memory", "512MB or 4GB", "'12'")),
        (("--engine", "rey"), ("no engine is named 'rey'", "did you mean 'ray'?")),
        (("--engine-set", "workers=2"), ("engine serial has no option 'workers'",)),
    ],
)
def test_options_that_do_not_fit(refused, words, parts):
    refused(*parts, words=words)


def test_folder_that_is_no_run(run, files, tmp_path, one_sentence):
    (tmp_path / "notes.txt").write_text("mine")
    for out in (tmp_path, tmp_path / "notes.txt"):
        answer = run(*files.options(), "--out", out)
        assert answer.code == 2
        one_sentence(answer.error, "choose another --out")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_folder_of_another_plan(run, files, finished, one_sentence):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    answer = run(*files.options(budget=0.1), "--out", finished)
    assert answer.code == 2
    one_sentence(answer.error, "another plan", "budget", "choose another --out")
    assert before == {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}


def test_a_mended_command_may_use_the_folder(run, files, tmp_path):
    out = tmp_path / "run"
    assert run(*files.options(weights="typo.safetensors"), "--out", out).code == 2
    assert run(*files.options(), "--out", out).code == 0


def test_content_that_changed_since_is_no_longer_this_run(run, files, tmp_path, one_sentence):
    inputs, out = tmp_path / "inputs.npz", tmp_path / "run"
    np.savez(inputs, images=files.images[1200:1210])
    assert run(*files.options(inputs=inputs), "--out", out).code == 0
    np.savez(inputs, images=files.images[1201:1211])
    answer = run(*files.options(inputs=inputs), "--out", out)
    assert answer.code == 2
    one_sentence(answer.error, "the inputs changed", "choose another --out")


def test_inputs_that_are_also_trusted(run, files, tmp_path):
    np.savez(tmp_path / "inputs.npz", images=files.images[files.trusted][:9])
    out = tmp_path / "run"
    answer = run(*files.options(inputs=tmp_path / "inputs.npz"), "--out", out)
    assert answer.code == 0
    assert "overlap" in [finding.code for finding in read_findings(out / "findings.json")]
    assert "9 inputs are also in the trusted set" in answer.out


def test_report_of_what_is_no_run(run, tmp_path, one_sentence):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nothing"):
        answer = run("report", folder)
        assert answer.code == 2
        one_sentence(answer.error)
