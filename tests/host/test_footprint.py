"""How little an agent with 40 pods takes: memory, connections, libraries; a real node."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgek.client.pool import MAX_IDLE
from tests.support.images import BUSYBOX
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import missing_need

PODS = 40
MEGABYTES = 60
LASTING = ("tunnel", "watches")
"""What keeps a connection of its own, besides the few idle ones."""
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(200),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]


def objects(number: int) -> Iterator[dict[str, Any]]:
    """A pod, with a ConfigMap and a Secret that no other has."""
    meta = {"name": f"own-{number}"}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "b"}}
    yield {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"a": "b"}}
    container = {
        "name": "main", "image": BUSYBOX, "command": ["sleep", "9999"],
        "envFrom": [{"configMapRef": meta}, {"secretRef": meta}],
    }  # fmt: skip
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    yield {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RealCluster, Path]]:
    """The agent's directory in /proc, with all of its pods running."""
    with real_cluster(tmp_path_factory.mktemp("footprint"), nodes=1) as up:
        made = (json.dumps(obj) for number in range(PODS) for obj in objects(number))
        up.kubectl("apply", "-f", "-", stdin="\n---\n".join(made))

        def run() -> bool:
            phases = [pod["status"].get("phase") for pod in up.json("pods")["items"]]
            return phases.count("Running") == PODS

        up.wait("all run", run)
        pid = up.bed.nodes[0].inner(up.processes["node1"])
        yield up, Path(f"/proc/{pid}")


def test_forty_pods_fit_in_sixty_megabytes(agent: tuple[RealCluster, Path]) -> None:
    cluster, process = agent

    def resident() -> int:
        lines = (process / "status").read_text().splitlines()
        return next(int(x.split()[1]) // 1024 for x in lines if x.startswith("VmRSS"))

    cluster.wait("memory is given back", lambda: resident() <= MEGABYTES, seconds=30)


def test_connections_do_not_grow_with_pods(agent: tuple[RealCluster, Path]) -> None:
    _, process = agent
    lines = (process / "net/tcp").read_text().splitlines()[1:]
    server, established = f":{6443:04X}", "01"
    found = [x for x in lines if x.split()[2].endswith(server) and x.split()[3] == established]
    assert len(found) <= MAX_IDLE + len(LASTING)


def test_no_heavy_library_is_loaded(agent: tuple[RealCluster, Path]) -> None:
    _, process = agent
    maps = (process / "maps").read_text()
    assert not [name for name in ("aiohttp", "cryptography", "yaml", "multidict") if name in maps]
