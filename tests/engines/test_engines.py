"""What every engine promises."""

import os
import threading
from itertools import count

import cloudpickle
import engine_work as work
import pytest
import torch

from anomech.artefacts.factory import build_model
from anomech.kernel import plugins
from anomech.kernel.config import build
from anomech.kernel.errors import ConfigError, DataError, RunError, UnsafeCheckpoint
from anomech.kernel.randomness import torch_generator

WINDOW = 4
"""Two workers, two pieces each."""


def test_these_are_all_engines():
    assert plugins.names("engine") == ["processes", "ray", "serial"]


def test_results_come_in_order_and_pieces_may_be_none(engine):
    assert list(engine.map(work.double, 3, iter(range(7)))) == [0, 3, 6, 9, 12, 15, 18]
    assert list(engine.map(work.double, 3, [])) == []


def test_pieces_are_taken_as_needed_a_bounded_number_ahead(engine):
    taken = count()
    results = engine.map(work.double, 1, (next(taken) for _ in range(100)))
    assert next(taken) == 0  # nothing is taken before the first result is asked for
    assert next(results) == 1
    assert next(taken) <= 2 + WINDOW
    results.close()


def test_numbers_are_those_of_one_thread_here_to_the_last_bit(engine):
    weights = torch.randn(300, 200, generator=torch_generator(0, "weights"))
    expected = [work.multiply(weights, place) for place in range(5)]
    found = list(engine.map(work.multiply, weights, range(5)))
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_errors_come_back_as_they_were_raised(engine):
    results = engine.map(work.fail_at, {1}, range(50))
    assert next(results) == 0
    with pytest.raises(DataError) as told:
        next(results)
    assert str(told.value) == "piece 1 is damaged; leave it out."
    with pytest.raises(UnsafeCheckpoint, match="asks for") as caught:
        list(engine.map(work.unsafe, None, [0]))
    assert caught.value.globals == ("posix.system",)
    assert caught.value.exit_code == 2


def test_an_early_end_of_the_pieces_or_of_the_caller_is_fine(engine):
    def damaged():
        yield 0
        raise DataError("there is no piece 1.")

    with pytest.raises(DataError, match="no piece 1"):
        list(engine.map(work.double, 1, damaged()))
    results = engine.map(work.double, 1, range(50))
    assert next(results) == 0
    results.close()
    assert list(results) == []


def test_shared_is_unpacked_once_in_each_worker(workers, tmp_path):
    ran_in = set(workers.map(work.who, work.Counted(str(tmp_path)), range(12)))
    unpacked = [path.name.partition("-")[0] for path in tmp_path.iterdir()]
    assert os.getpid() not in ran_in
    assert len(unpacked) == len(set(unpacked)) <= 3
    assert ran_in <= {int(name) for name in unpacked}


NETWORK = """
import torch
from neighbor import FACTOR

class Scaled(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) * FACTOR

def make_model():
    model = Scaled(3, 2)
    torch.nn.init.ones_(model.weight)
    return model
"""


def test_a_network_of_a_file_that_is_nowhere_installed_goes_along(workers, tmp_path):
    (tmp_path / "network.py").write_text(NETWORK)
    (tmp_path / "neighbor.py").write_text("FACTOR = 2.0\n")
    model = build_model(f"{tmp_path}/network.py:make_model").requires_grad_(False)
    (tmp_path / "network.py").unlink()
    found = list(workers.map(work.call, model, [torch.ones(1, 3)]))
    assert torch.equal(found[0], model(torch.ones(1, 3)))
    assert type(model).__module__ not in cloudpickle.list_registry_pickle_by_value()


def test_workers_have_one_thread(workers):
    assert set(workers.map(work.threads, None, range(3))) == {(1, "1")}


def test_a_killed_worker_is_replaced_and_its_piece_tried_again(workers, tmp_path):
    found = list(workers.map(work.die_once, str(tmp_path), range(6)))
    assert (tmp_path / "died").exists()
    assert [place for place, _ in found] == list(range(6))
    assert all(torch.equal(row, torch.arange(3) * place) for place, row in found)


def test_a_piece_that_always_kills_its_worker_is_an_error(workers):
    engine = type(workers)(**{**vars(workers), "retries": 1})
    results = engine.map(work.die, None, range(3))
    assert next(results) == 0
    with pytest.raises(RunError, match="if memory is short, use"):
        list(results)


def test_what_cannot_travel_is_named(workers):
    with pytest.raises(ConfigError, match=r"^the work cannot be sent to a worker \(.*lock"):
        workers.map(work.double, threading.Lock(), [0])
    with pytest.raises(ConfigError, match=r"^a piece of work cannot be sent"):
        list(workers.map(work.double, 1, [threading.Lock()]))
    with pytest.raises(ConfigError, match=r"^a result cannot be sent"):
        list(workers.map(work.lock, 1, [0]))
    with pytest.raises(RunError, match="with StubbornError: this and that"):
        list(workers.map(work.stubborn, 1, [0]))


def test_bad_options_are_refused():
    with pytest.raises(ConfigError, match="engine processes has no option 'worker'"):
        build(plugins.get("engine", "processes"), {"worker": 2}, "engine processes")
