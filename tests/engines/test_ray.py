"""What only the Ray engine promises."""

import importlib.util
import socket
import sys

import engine_work as work
import pytest

from anomech.engines.ray import Ray
from anomech.kernel.errors import ConfigError, RunError

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed; see the extra 'ray'"
)


def test_without_ray_the_command_to_type_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"install it with `pip install 'anomech\[ray\]'`"):
        Ray().map(work.double, 1, [0])


@needs_ray
def test_a_cluster_that_does_not_start_is_told(monkeypatch):
    import ray

    def busy(*given, **named):
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", busy)
    with pytest.raises(RunError, match=r"Ray did not start .*timed out.*use the processes engine"):
        list(Ray().map(work.double, 1, [0]))


@needs_ray
@pytest.mark.parametrize(
    "address", ["nowhere", "localhost:no", "localhost:70000", "127.0.0.1:{port}"]
)
def test_an_address_where_no_cluster_answers_is_told(address):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, but nobody listens
        address = address.format(port=free.getsockname()[1])
        with pytest.raises(ConfigError, match=f"no Ray cluster answers at '{address}'"):
            list(Ray(address=address).map(work.double, 1, [0]))


def test_both_nodes_work(ray_cluster, tmp_path):
    nodes = Ray(address=ray_cluster).map(work.meet, str(tmp_path), range(4))
    assert len(set(nodes)) == 2


def test_pieces_that_no_machine_can_run_are_refused(ray_cluster):
    with pytest.raises(ConfigError, match="no machine of the Ray cluster has 2 cores and 0 GPUs"):
        list(Ray(address=ray_cluster, cpus_per_piece=2).map(work.double, 1, [0]))


def test_a_connection_of_the_program_is_used_and_stays(ray_cluster):
    import ray

    ray.init(ray_cluster, log_to_driver=False)
    try:
        assert list(Ray().map(work.double, 2, range(3))) == [0, 2, 4]
        assert ray.is_initialized()
    finally:
        ray.shutdown()


@needs_ray
def test_a_cluster_is_started_where_none_is_named_and_ended_afterwards(capfd):
    import ray

    results = Ray().map(work.double, 2, range(3))
    assert not ray.is_initialized()
    assert list(results) == [0, 2, 4]
    assert not ray.is_initialized()
    assert capfd.readouterr() == ("", "")
