"""Pods as popular charts write them: all of their fields at once, on a real node."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import Space, missing_need

SPECS = Path(__file__).parent / "popular_specs.yaml"
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]


def share_mounts(node: Space) -> dict[str, str]:
    """As systemd has them: exporters ask for mountPropagation of the whole tree."""
    node.run("mount", "--make-rshared", "/")
    return {}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("popular"), nodes=1, prepare=share_mounts) as up:
        up.kubectl("apply", "-f", str(SPECS))
        up.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        up.kubectl("rollout", "status", "daemonset/node-exporter", "--timeout=30s")
        up.kubectl("rollout", "status", "-n", "kube-system", "daemonset/csi-node", "--timeout=30s")
        yield up


def test_a_store_writes_as_its_user_to_volumes_of_its_group(cluster: RealCluster) -> None:
    said = cluster.kubectl("logs", "redis")
    assert "uid=1001(1001) gid=1001(1001) groups=1001(1001)" in said
    assert cluster.kubectl("exec", "redis", "--", "cat", "/opt/conf/redis.conf") == "x\n"
    env = cluster.kubectl("exec", "redis", "--", "sh", "-c", "echo $MEM $POD")
    assert env == "192 redis\n"


def test_a_web_server_without_rights_serves_beside_its_sidecar(cluster: RealCluster) -> None:
    address = cluster.json("pod", "nginx")["status"]["podIP"]
    assert cluster.curl(cluster.bed.nodes[0], f"http://{address}:8080/") == "page\n"


def test_a_hub_on_the_hosts_network_has_the_hosts_devices_and_files(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    assert cluster.curl(cluster.bed.server, f"http://{node.ip}:8123/x")
    kind = cluster.kubectl("exec", "homeassistant", "--", "stat", "-c", "%F", "/dev/ttyFAKE")
    assert kind == "character special file\n"


def test_a_broker_reads_single_files_of_a_config_map(cluster: RealCluster) -> None:
    assert "listener 1883" in cluster.kubectl("logs", "mosquitto")


def test_a_name_server_has_the_resolver_and_the_names_it_asked_for(cluster: RealCluster) -> None:
    said = cluster.kubectl("logs", "pihole")
    assert "nameserver 127.0.0.1\nnameserver 1.1.1.1\noptions ndots:1" in said
    assert "10.1.1.1\trouter.lan" in said


def test_an_exporter_sees_the_hosts_files_and_processes(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    *_, processes = cluster.curl(cluster.bed.server, f"http://{node.ip}:9100/").splitlines()
    assert int(processes) > 5


def test_what_a_driver_mounts_is_seen_by_the_node_and_ends_with_it(cluster: RealCluster) -> None:
    def mounted() -> bool:
        return "plugins/toy/t" in node.run("cat", "/proc/mounts", capture_output=True).stdout

    node = cluster.bed.nodes[0]
    assert mounted()
    cluster.kubectl("delete", "-n", "kube-system", "daemonset/csi-node", "--now")
    cluster.wait("the driver unmounts as it stops", lambda: not mounted())
