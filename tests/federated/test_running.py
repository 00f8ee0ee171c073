"""A federated run: its rounds, its folder, its page, and what it refuses."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from anomech.architectures.digits import Digits
from anomech.engines._parcels import attempt, opened, pack, pack_job, unpack
from anomech.federated.clients import read_clients
from anomech.federated.local import Local
from anomech.federated.plan import Plan, as_yaml, from_mapping, named_methods, read, shipped
from anomech.federated.run import TOP, run_federation
from anomech.federated.server import Rounds
from anomech.federated.worlds import Poison, World, colored, make_world, rotated
from anomech.kernel.errors import ConfigError, DataError, RunError
from anomech.records import read_record
from anomech.records.federation import FederationRun

WORLD = World(data="digits", angles=(0, 180), clients=4, images=60, test=40)


def plan(*methods, **changes):
    usual = {
        "world": WORLD,
        "network": Digits(),
        "local": Local(epochs=1, batch=16, rate=0.05),
        "rounds": Rounds(count=2),
        "methods": named_methods(methods or ("oracle", "local")),
    }
    return Plan(**{**usual, **changes})


def numbers(run):
    """All of a run but how long it took."""
    return [
        each.model_copy(update={"seconds": 0.0, "grouping_seconds": 0.0}) for each in run.methods
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("federation") / "run"
    return out, run_federation(plan("oracle", "local", "emd_cfl"), out)


def test_groups_share_models_and_traffic_is_counted(finished):
    _, run = finished
    oracle, local, emd = run.methods
    assert oracle.rand_index == 1
    assert (oracle.models, local.models) == (2, 4)
    assert [row.model for row in oracle.clients] == [0, 1, 0, 1]
    size = 4 * sum(each.numel() for each in Digits().build(classes=10, channels=1).parameters())
    assert oracle.down == oracle.up == 2 * 4 * size
    assert emd.grouping_down == 4 * 3 * size
    assert emd.down == oracle.down + emd.grouping_down
    assert len(emd.distances) == 4
    assert oracle.clients[0].before == local.clients[0].before  # all begin alike


def test_the_folder_replays_and_a_finished_run_is_left_alone(finished):
    out, run = finished
    assert run.status == "complete"
    assert read_record(out / TOP, FederationRun) == run
    assert not (out / "work").exists()
    again = run_federation(plan("oracle", "local", "emd_cfl"), out)
    assert again == run
    assert as_yaml(from_mapping(read(str(out / "plan.yaml")))) == (out / "plan.yaml").read_text()
    with pytest.raises(RunError, match=r"another plan \(it differs in seed\)"):
        run_federation(plan("oracle", "local", "emd_cfl", seed=1), out)


def test_the_page_escapes_and_shows_every_method(finished, tmp_path):
    out, run = finished
    page = (out / "report.html").read_text()
    assert "Distances of emd_cfl" in page
    assert page.count("<section") == 4
    assert "<script" not in page
    hostile = run.model_copy(update={"title": "<script>alert(1)</script>"})
    (tmp_path / TOP).write_text(hostile.model_dump_json())
    from anomech.report.federation.render import render

    assert "<script>alert" not in render(tmp_path).read_text()


def test_a_killed_run_goes_on_to_the_same_numbers(finished, tmp_path):
    _, whole = finished

    def stop(stage, done, total):
        if stage.startswith("local") and done == 1:
            raise KeyboardInterrupt

    same = plan("oracle", "local", "emd_cfl")
    with pytest.raises(KeyboardInterrupt):
        run_federation(same, tmp_path / "run", progress=stop)
    left = json.loads((tmp_path / "run" / TOP).read_text())
    assert left["status"] == "interrupted"
    assert [each["name"] for each in left["methods"]] == ["oracle"]
    assert numbers(run_federation(same, tmp_path / "run")) == numbers(whole)


class Parcels:
    """An engine that sends everything as workers get it, and stays here."""

    def map(self, function, shared, pieces):
        job = pack_job(function, shared)
        for piece in pieces:
            yield opened(attempt(lambda: unpack(job), pack(piece, "a piece")))


def test_all_that_clients_need_can_be_sent_to_workers(finished, tmp_path):
    _, whole = finished
    some = plan("oracle", "local", "emd_cfl")
    assert numbers(run_federation(some, tmp_path / "run", engine=Parcels())) == numbers(whole)


def test_partial_participation_keeps_what_nobody_trains(tmp_path):
    run = run_federation(plan("local", rounds=Rounds(count=2, present=1)), tmp_path / "run")
    (local,) = run.methods
    size = 4 * sum(each.numel() for each in Digits().build(classes=10, channels=1).parameters())
    assert local.down == 2 * size
    with pytest.raises(ConfigError, match=r"lower rounds\.present"):
        run_federation(plan(rounds=Rounds(present=9)), tmp_path / "other")


def test_a_malicious_client_is_told_apart_from_honest_ones(tmp_path):
    world = World(
        data="digits", kind="none", clients=4, images=60, test=40,
        poison=Poison(clients=1, boost=4.0, attack={"use": "badnets", "ratio": 0.5, "size": 2}),
    )  # fmt: skip
    run = run_federation(plan("fedavg", "local", world=world), tmp_path / "run")
    fedavg, local = run.methods
    assert [row.malicious for row in fedavg.clients] == [True, False, False, False]
    assert (fedavg.shared, local.shared) == (1, 0)
    assert fedavg.success > local.success
    assert local.mean == pytest.approx(np.mean([row.after for row in local.clients[1:]]))
    assert "malicious" in (tmp_path / "run" / "report.html").read_text()


def test_worlds_deal_out_every_image_once():
    federation = make_world(World(data="digits", angles=(0, 90), clients=3), None, 0)
    seen = np.concatenate([c.train[0][..., 0].reshape(-1, 64).sum(1) for c in federation.clients])
    sizes = [len(part[1]) for c in federation.clients for part in (c.train, c.validation)]
    assert sum(sizes) == 809
    assert federation.groups == (0, 1, 0)
    assert len(seen) < 809
    labels = make_world(World(data="digits", kind="labels", clients=2), None, 0)
    assert set(labels.clients[0].train[1]) == {0, 1, 2, 3, 4}
    assert set(labels.clients[1].test[1]) == {5, 6, 7, 8, 9}
    turned = rotated(np.arange(8, dtype=np.uint8).reshape(1, 2, 4, 1), 90)
    assert turned[0, ..., 0].tolist() == [[3, 7], [2, 6], [1, 5], [0, 4]]
    image = np.full((2, 1, 1, 1), 200, np.uint8)
    assert colored(image, np.array([0, 9]), 1)[:, 0, 0].tolist() == [[0, 70, 0], [0, 200, 0]]
    with pytest.raises(DataError, match="too few images"):
        make_world(World(data="digits", clients=2000), None, 0)


def write_client(folder, classes, count=12):
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for place in range(count):
            pixels = rng.integers(0, 255, (8, 8), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{place}.png")


def test_a_folder_of_clients_is_read_with_one_numbering_of_classes(tmp_path):
    write_client(tmp_path / "hospital", ["cat", "dog"])
    write_client(tmp_path / "school", ["dog", "owl"])
    federation = read_clients(tmp_path, 0)
    assert [each.name for each in federation.clients] == ["hospital", "school"]
    assert (federation.classes, federation.groups) == (3, None)
    assert set(federation.clients[1].train[1]) == {1, 2}
    with open(tmp_path / "groups.csv", "w", newline="") as file:
        csv.writer(file).writerows([("client", "group"), ("school", "a"), ("hospital", "b")])
    assert read_clients(tmp_path, 0).groups == (1, 0)
    run = run_federation(plan("local", clients=str(tmp_path)), tmp_path / ".out")
    assert run.methods[0].rand_index == 1


def test_clients_that_cannot_be_used_are_refused(tmp_path):
    write_client(tmp_path / "good", ["a", "b"])
    with pytest.raises(DataError, match="holds 1 clients"):
        read_clients(tmp_path, 0)
    write_client(tmp_path / "one", ["a"])
    with pytest.raises(DataError, match="the client one has images of one class only"):
        read_clients(tmp_path, 0)
    (tmp_path / "one").rename(tmp_path / ".one")
    write_client(tmp_path / "small", ["a", "b"], count=3)
    with pytest.raises(DataError, match="the client small has 6 images"):
        read_clients(tmp_path, 0)
    (tmp_path / "small").rename(tmp_path / ".small")
    (tmp_path / "void").mkdir()
    with pytest.raises(DataError, match="void"):
        read_clients(tmp_path, 0)


def test_shipped_suites_are_plans_and_names_are_checked():
    for name in shipped():
        assert from_mapping(read(name)).methods
    with pytest.raises(ConfigError, match="no folder of clients and no suite is named"):
        read("rotated-mnits")
    with pytest.raises(ConfigError, match="no grouping is named 'fedvg'"):
        named_methods(["fedvg"])
    assert named_methods(["fedavg+krum"])["fedavg+krum"].aggregation.malicious == 1
