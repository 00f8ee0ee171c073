"""The commands `anomech train` and `anomech federate`: what they say and how they end."""

import yaml


def test_a_training_says_how_good_the_network_is(run, tmp_path):
    given = ("train", "standard", "--data", "digits", "--network", "digits", "--device", "cpu")
    answer = run(*given, "--epochs", 1, "--out", tmp_path / "run", "--set", "attacked=20")
    assert answer.code == 0, answer.err
    assert "of the test images are answered rightly" in answer.out
    assert f"{tmp_path / 'run' / 'model.py'}:network" in answer.out
    assert yaml.safe_load((tmp_path / "run" / "plan.yaml").read_text())["recipe"]["epochs"] == 1


def test_bad_trainings_are_one_sentence(run, one_sentence, tmp_path):
    answer = run("train", "halo", "--data", "digits")
    assert answer.code == 2
    one_sentence(answer.error, "halo learns from outliers")
    answer = run("train", "hallo", "--data", "digits")
    one_sentence(answer.error, "did you mean 'halo'?")
    answer = run(
        "train", "standard", "--data", "digits", "--network", "resnet14", "--out", "/proc/x"
    )
    assert answer.code == 2


def test_a_federation_from_the_command_line(run, tmp_path):
    small = ["world.clients=4", "world.images=40", "world.test=30", "rounds.count=1"]
    settings = [word for each in (*small, "local.epochs=1") for word in ("--set", each)]
    given = ("federate", "--clients", "rotated-digits", "--method", "fedavg", "--method", "oracle")
    answer = run(*given, *settings, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert "fedavg" in answer.out
    assert "Rand index" in answer.out
    assert (tmp_path / "run" / "report.html").exists()


def test_suites_of_federations_are_listed_and_mistakes_named(run, one_sentence, tmp_path):
    assert "rotated-mnist" in run("federate", "--list").out
    answer = run("federate")
    assert answer.code == 2
    one_sentence(answer.error, "federate --list")
    answer = run("federate", "--clients", "rotated-digts")
    one_sentence(answer.error, "did you mean 'rotated-digits'?")
    (tmp_path / "empty").mkdir()
    answer = run("federate", "--clients", tmp_path / "empty", "--out", tmp_path / "out")
    assert answer.code == 2
    one_sentence(answer.error, "holds 0 clients")
