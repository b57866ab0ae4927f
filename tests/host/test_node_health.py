"""A node whose agent, server or Podman is away for a while: real processes, one node."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.images import BUSYBOX
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import missing_need

IN_ORDER = True
"""The last test leaves events of a node that was not well."""
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(200),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]
POD = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "steady"},
    "spec": {"containers": [{"name": "main", "image": BUSYBOX, "command": ["sleep", "9999"]}]},
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("health"), nodes=1) as up:
        up.kubectl("apply", "-f", "-", stdin=json.dumps(POD))
        up.kubectl("wait", "--for=condition=Ready", "pod/steady", "--timeout=30s")
        yield up


def conditions(cluster: RealCluster) -> list[tuple[Any, ...]]:
    """Readiness of the node and its pod, and since when."""
    return [
        (what, c["type"], c["status"], c["lastTransitionTime"])
        for what in ("node/node1", "pod/steady")
        for c in cluster.json(what)["status"]["conditions"]
        if c["type"] == "Ready"
    ]


def log_of(cluster: RealCluster) -> str:
    return (cluster.bed.nodes[0].dir / "edgek.log").read_text()


def written(cluster: RealCluster) -> int:
    """Bytes the agent has given to the disk, and of log."""
    node = cluster.bed.nodes[0]
    pid = node.inner(cluster.processes[node.name])
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["write_bytes"]) + len(log_of(cluster))


def test_an_agent_that_starts_again_changes_no_readiness(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    cluster.kubectl("wait", "--for=condition=Ready", "node/node1", "pod/steady", "--timeout=60s")
    before, starts = conditions(cluster), log_of(cluster).count("agent is ready")
    cluster.stop(node, signal.SIGKILL)
    cluster.start_agent(node)
    cluster.wait("it is up", lambda: log_of(cluster).count("agent is ready") > starts)
    assert conditions(cluster) == before
    assert "NodeNotReady" not in cluster.kubectl("get", "events")


def test_an_agent_whose_server_is_away_writes_nothing(cluster: RealCluster) -> None:
    lost, back = "connection to the server: failed", "connection to the server: works again"
    outages = log_of(cluster).count(lost)
    cluster.stop(cluster.bed.server, signal.SIGKILL)
    cluster.wait("the outage is told", lambda: log_of(cluster).count(lost) > outages, 25)
    before = written(cluster)
    quiet = cluster.bed.nodes[0].run("sleep", "12", check=False)  # longer than any heartbeat's turn
    assert quiet.returncode == 0
    assert written(cluster) == before
    cluster.start_server()
    cluster.wait("its end is told", lambda: back in log_of(cluster), 25)
    assert log_of(cluster).count(lost) == outages + 1
    cluster.kubectl("wait", "--for=condition=Ready", "node/node1", "--timeout=30s")


def test_a_node_without_podman_says_so_until_it_is_back(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    node.run("mount", "--bind", "/bin/false", "/usr/bin/podman")
    try:
        node.run("pkill", "-KILL", "-f", "podman system service", check=False)
        cluster.kubectl("wait", "--for=condition=Ready=false", "node/node1", "--timeout=30s")
        assert "container runtime is down" in cluster.kubectl("describe", "node", "node1")
    finally:
        node.run("umount", "-l", "/usr/bin/podman")
    cluster.kubectl("wait", "--for=condition=Ready", "node/node1", "--timeout=30s")
    assert cluster.json("pod", "steady")["status"]["containerStatuses"][0]["restartCount"] == 0
