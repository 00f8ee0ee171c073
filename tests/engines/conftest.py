"""One Ray cluster of two nodes for all tests that need it."""

import logging
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture(scope="session")
def ray_cluster():
    """Two nodes of one core each, on this machine; gives the address."""
    pytest.importorskip("ray", reason="Ray is not installed; see the extra 'ray'")
    from ray.cluster_utils import Cluster

    logging.getLogger("ray").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(SUPPORT))  # installed on every node, so to say
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


@pytest.fixture(params=["serial", "processes", "ray"])
def engine(request):
    """Every engine, with two workers where it has any."""
    return make(request.param, request)


@pytest.fixture(params=["processes", "ray"])
def workers(request):
    """Engines with workers of their own, two each."""
    return make(request.param, request)


def make(name, request):
    from anomech.kernel import plugins

    options = {"serial": {}, "processes": {"workers": 2}}
    if name == "ray":
        options["ray"] = {"address": request.getfixturevalue("ray_cluster")}
    return plugins.get("engine", name)(**options[name])
