"""The node looks after itself, on real Podman: devices, a hung service, a full disk, images."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.images import BUSYBOX, HELLO_1
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import Space, missing_need

IN_ORDER = True
"""Each leaves the node as the next one needs it; the last ones empty it."""
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(200),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]
DEVICES = """
edgek.io/tun: {paths: [/dev/net/tun], shared: 2, groups: [44], env: {TUN: here}}
edgek.io/plug: {paths: [/dev/shm/plug]}
"""
SMALL_DISK = "mount -t tmpfs -o size=200m small /mnt && cp -a /var/lib/edgek/. /mnt && mount --bind /mnt /var/lib/edgek"  # noqa: E501


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("pressure"), nodes=1) as up:
        node = up.bed.nodes[0]
        up.stop(node)
        node.run("sh", "-c", SMALL_DISK)
        (node.dir / "etc/edgek/devices.yaml").write_text(DEVICES)
        restart(up, eviction_hard="nodefs.available<40%", system_reserved="memory=100Mi,cpu=100m")
        yield up


def restart(cluster: RealCluster, **options: str) -> None:
    node = cluster.bed.nodes[0]
    if node.name in cluster.processes:
        cluster.stop(node)
    cluster.start_agent(node, eviction_pressure_transition_period="3s", **options)


def apply(cluster: RealCluster, name: str, script: str, **spec: Any) -> None:
    resources = spec.pop("resources", {})
    mounts = [{"name": v["name"], "mountPath": f"/{v['name']}"} for v in spec.get("volumes", ())]
    main = {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", script + "; sleep 999"],
            "resources": resources, "volumeMounts": mounts}  # fmt: skip
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [main], **spec},
    }  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def status(cluster: RealCluster, what: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.json(what)["status"]
    return found


def condition(cluster: RealCluster, kind: str) -> str:
    found = status(cluster, "node/node1")["conditions"]
    return next(str(c["status"]) for c in found if c["type"] == kind)


def ready(cluster: RealCluster, *pods: str) -> None:
    names = [f"pod/{pod}" for pod in pods]
    cluster.kubectl("wait", "--for=condition=Ready", *names, "--timeout=30s")


def test_a_pod_uses_the_device_it_asks_for_and_others_do_not_see_it(cluster: RealCluster) -> None:
    def tells() -> bool:
        found = status(cluster, "node/node1")["allocatable"]
        return (found.get("edgek.io/tun"), found.get("edgek.io/plug")) == ("2", "0")

    cluster.wait("the node tells its devices", tells, 30)
    use = "(exec 3<>/dev/net/tun) && echo $TUN $(id -G)"
    apply(cluster, "tun", use, resources={"limits": {"edgek.io/tun": 1}},
          securityContext={"runAsUser": 0})  # fmt: skip
    apply(cluster, "plain", use)
    ready(cluster, "tun", "plain")
    cluster.wait("it is used", lambda: "here 0" in cluster.kubectl("logs", "tun"), 20)
    assert "44" in cluster.kubectl("logs", "tun").split()
    assert "here" not in cluster.kubectl("logs", "plain")


def test_a_device_that_is_plugged_in_lets_a_waiting_pod_come(cluster: RealCluster) -> None:
    apply(cluster, "plugged", "test -c /dev/shm/plug && echo there",
          resources={"limits": {"edgek.io/plug": 1}})  # fmt: skip
    why = "Insufficient edgek.io/plug"
    cluster.wait("it waits", lambda: why in cluster.kubectl("describe", "pod", "plugged"), 20)
    cluster.bed.nodes[0].run("mknod", "-m", "666", "/dev/shm/plug", "c", "1", "3")
    ready(cluster, "plugged")
    cluster.wait("it is there", lambda: "there" in cluster.kubectl("logs", "plugged"), 20)
    cluster.kubectl("delete", "pod", "plugged", "plain", "--now")


def test_what_is_reserved_is_kept_from_pods(cluster: RealCluster) -> None:
    found = status(cluster, "node/node1")
    kib = {k: int(found[k]["memory"].removesuffix("Ki")) for k in ("capacity", "allocatable")}
    assert kib["capacity"] - kib["allocatable"] == 100 * 1024
    assert found["allocatable"]["cpu"].endswith("900m")
    node = cluster.bed.nodes[0]
    file = f"/sys/fs/cgroup/memory{node.cgroup}/memory.limit_in_bytes"
    if Path(file).exists():
        assert int(Path(file).read_text()) // 1024 == kib["allocatable"]


def test_a_full_disk_costs_the_pod_that_filled_it_and_the_node_says_so(
    cluster: RealCluster,
) -> None:
    cache = {"name": "cache", "emptyDir": {}}
    apply(cluster, "modest", "echo 1 > /cache/file", volumes=[cache])
    ready(cluster, "modest")
    apply(cluster, "hog", "dd if=/dev/zero of=/cache/file bs=1M count=150", volumes=[cache])
    cluster.wait("it has ended", lambda: status(cluster, "pod/hog")["phase"] == "Failed")
    message = status(cluster, "pod/hog")["message"]
    assert status(cluster, "pod/hog")["reason"] == "Evicted"
    assert message.startswith("The node was low on resource: ephemeral-storage. Threshold ")
    for said in ("Attempting to reclaim ephemeral-storage", "The node was low on resource"):
        cluster.wait(f"it is told: {said}", lambda s=said: s in cluster.kubectl("get", "events"))
    ended = lambda: condition(cluster, "DiskPressure") == "False"  # noqa: E731
    cluster.wait("the pressure ends", ended, 30)
    assert status(cluster, "pod/modest")["phase"] == "Running"
    assert status(cluster, "pod/tun")["phase"] == "Running"


def test_a_pod_above_the_size_of_its_volume_is_evicted(cluster: RealCluster) -> None:
    volume = {"name": "small", "emptyDir": {"sizeLimit": "1Mi"}}
    apply(cluster, "over", "dd if=/dev/zero of=/small/file bs=1M count=4", volumes=[volume])
    gone = lambda: status(cluster, "pod/over").get("reason") == "Evicted"  # noqa: E731
    cluster.wait("it is evicted", gone, 40)
    message = status(cluster, "pod/over")["message"]
    assert message == 'Usage of EmptyDir volume "small" exceeds the limit "1Mi". '


def test_the_node_follows_its_address_and_pods_run_on(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    restart(cluster, node_ip="", eviction_hard="nodefs.available<40%")
    apply(cluster, "host", "true", hostNetwork=True)
    ready(cluster, "host", "modest")
    before = cluster.json("pod/modest")["status"]
    node.run("ip", "-batch", "-", input="addr flush dev eth0 scope global\n"
             "addr add 10.98.0.77/24 dev eth0\nroute add default via 10.98.0.1\n")  # fmt: skip

    def moved() -> bool:
        found = {a["type"]: a["address"] for a in status(cluster, "node/node1")["addresses"]}
        return found["InternalIP"] == status(cluster, "pod/host")["hostIP"] == "10.98.0.77"

    cluster.wait("it has moved", moved, 40)
    cluster.kubectl("wait", "--for=condition=Ready", "node/node1", "--timeout=30s")
    # What the server asked for by the old address breaks off.
    asked = ("exec", "modest", "--", "echo", "in")
    cluster.wait("it can be asked", lambda: cluster._try(*asked).strip() == "in", 20)
    assert cluster.kubectl("logs", "modest") == ""
    vxlan = node.run("ip", "-d", "link", "show", "type", "vxlan", capture_output=True).stdout
    assert "local 10.98.0.77" in vxlan
    after = cluster.json("pod/modest")["status"]
    assert after["podIP"] == before["podIP"]
    assert after["containerStatuses"] == before["containerStatuses"]
    node.run("ip", "-batch", "-", input="addr flush dev eth0 scope global\n"
             f"addr add {node.ip}/24 dev eth0\nroute add default via 10.98.0.1\n")  # fmt: skip
    cluster.wait("it is back", lambda: node.ip in cluster.kubectl("get", "node", "-owide"), 40)


def service(node: Space, signal: str) -> None:
    node.run("sh", "-c", f"kill -{signal} $(cat /run/edgek/podman.pid)")


def test_a_podman_that_hangs_makes_the_node_not_ready_until_it_answers(
    cluster: RealCluster,
) -> None:
    service(cluster.bed.nodes[0], "STOP")
    try:
        apply(cluster, "waits", "true")
        wait = ("--for=condition=Ready=false", "node/node1", "--timeout=40s")
        cluster.kubectl("wait", *wait)
        why = "container runtime is down: podman's service does not answer"
        assert why in cluster.kubectl("describe", "node", "node1")
    finally:
        service(cluster.bed.nodes[0], "CONT")
    cluster.kubectl("wait", "--for=condition=Ready", "node/node1", "--timeout=30s")
    ready(cluster, "waits", "tun")


def test_without_room_for_images_the_unused_ones_go_and_critical_pods_stay(
    cluster: RealCluster,
) -> None:
    node = cluster.bed.nodes[0]
    apply(cluster, "critical", "true", priorityClassName="system-node-critical")
    ready(cluster, "critical")
    assert {BUSYBOX, HELLO_1} <= node.images()
    restart(cluster, eviction_hard="imagefs.available<99.9%")
    cluster.wait("unused images are gone, others not", lambda: node.images() == {BUSYBOX}, 40)
    taints = lambda: json.dumps(cluster.json("node/node1")["spec"].get("taints", []))  # noqa: E731
    cluster.wait("it is tainted", lambda: "node.kubernetes.io/disk-pressure" in taints(), 20)
    told = lambda: len(status(cluster, "node/node1").get("images", ())) == 1  # noqa: E731
    cluster.wait("the node tells", told, 20)
    evicted = lambda: status(cluster, "pod/modest").get("reason") == "Evicted"  # noqa: E731
    cluster.wait("pods go one by one", evicted, 60)
    assert status(cluster, "pod/critical")["phase"] == "Running"


def test_short_of_memory_who_is_farthest_above_its_request_goes_first(
    cluster: RealCluster,
) -> None:
    restart(cluster, eviction_hard="imagefs.available<1%")
    cluster.wait("the disk is well", lambda: condition(cluster, "DiskPressure") == "False", 40)
    asked = lambda size: {"requests": {"memory": size}}  # noqa: E731
    ram = [{"name": "ram", "emptyDir": {"medium": "Memory"}}]
    apply(cluster, "greedy", "head -c 60000000 /dev/zero >/ram/x", volumes=ram,
          resources=asked("8Mi"))  # fmt: skip
    apply(cluster, "frugal", "head -c 80000000 /dev/zero >/ram/x", volumes=ram,
          resources=asked("256Mi"))  # fmt: skip
    ready(cluster, "greedy", "frugal")
    restart(cluster, eviction_hard="memory.available<99%,pid.available<10M")
    evicted = lambda: status(cluster, "pod/greedy").get("reason") == "Evicted"  # noqa: E731
    cluster.wait("the greedy one is evicted", evicted, 30)
    message = status(cluster, "pod/greedy")["message"]
    assert message.startswith("The node was low on resource: memory. Threshold quantity: ")
    assert "Container main was using " in message
    assert message.endswith("request is 8Mi, has larger consumption of memory. ")
    assert condition(cluster, "MemoryPressure") == condition(cluster, "PIDPressure") == "True"
    taints = {t["key"] for t in cluster.json("node/node1")["spec"]["taints"]}
    assert {f"node.kubernetes.io/{kind}-pressure" for kind in ("memory", "pid")} <= taints
    assert status(cluster, "pod/critical")["phase"] == "Running"
