"""A storage driver in a pod, on real Podman: what it mounts, other pods have."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.csi_driver import NAME
from tests.support.images import BUSYBOX
from tests.support.real_cluster import ROOT, RealCluster, real_cluster
from tests.support.testbed import Space, missing_need

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(200),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]
KUBELET = "/var/lib/kubelet"
PYTHON_DIRS = ("/usr", "/lib", "/lib64", sys.base_prefix, sys.prefix, str(ROOT))
"""What the machine's Python needs, for a pod whose image has none."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("csi"), nodes=1) as up:
        start_driver(up)
        yield up


def start_driver(cluster: RealCluster) -> None:
    """As a driver's DaemonSet: privileged, with the kubelet's directory Bidirectional."""
    tools = [d for d in dict.fromkeys(PYTHON_DIRS) if Path(d).exists()]
    volumes = [{"name": f"t{i}", "hostPath": {"path": d}} for i, d in enumerate(tools)]
    mounts = [{"name": f"t{i}", "mountPath": d, "readOnly": True} for i, d in enumerate(tools)]
    volumes.append({"name": "kubelet", "hostPath": {"path": KUBELET, "type": "Directory"}})
    mounts.append(
        {"name": "kubelet", "mountPath": KUBELET, "mountPropagation": "Bidirectional"}
    )  # fmt: skip
    command = [sys.executable, "-m", "tests.support.csi_driver",
               "--kubelet", KUBELET, "--store", f"{KUBELET}/disks"]  # fmt: skip
    container = {
        "name": "driver", "image": BUSYBOX, "command": command, "workingDir": str(ROOT),
        "securityContext": {"privileged": True}, "volumeMounts": mounts,
    }  # fmt: skip
    modes = ["Persistent", "Ephemeral"]
    apply(
        cluster,
        {
            "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": NAME},
            "spec": {"attachRequired": False, "podInfoOnMount": True, "fsGroupPolicy": "File",
                     "volumeLifecycleModes": modes},
        },
        pod("driver", container, volumes=volumes),
    )  # fmt: skip
    cluster.wait("the driver registers", lambda: drivers(cluster))


def drivers(cluster: RealCluster) -> list[Any]:
    found = cluster.json("csinodes")["items"]
    return [d["name"] for item in found for d in item["spec"].get("drivers") or ()]


def apply(cluster: RealCluster, *objects: dict[str, Any]) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(items))


def pod(name: str, container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec},
    }  # fmt: skip


def user(name: str, script: str, volume: dict[str, Any], **spec: Any) -> dict[str, Any]:
    container = {
        "name": "main", "image": BUSYBOX, "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }  # fmt: skip
    return pod(name, container, volumes=[{"name": "data", **volume}], **spec)


def claim(name: str, driver: str = NAME, mode: str = "Filesystem") -> list[dict[str, Any]]:
    size = {"storage": "1Gi"}
    modes = ["ReadWriteOnce"]
    return [
        {
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {"capacity": size, "accessModes": modes, "storageClassName": "disks",
                     "volumeMode": mode,
                     "csi": {"driver": driver, "volumeHandle": f"disk-{name}", "fsType": "ext4"}},
        },
        {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": modes, "storageClassName": "disks", "volumeName": name,
                     "volumeMode": mode,
                     "resources": {"requests": size}},
        },
    ]  # fmt: skip


def ready(cluster: RealCluster, name: str) -> None:
    try:
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")
    except AssertionError as err:
        raise AssertionError(cluster.kubectl("describe", "pod", name)) from err


def calls(node: Space) -> list[str]:
    """What the driver was asked to do, in order."""
    lines = read(node, f"{KUBELET}/disks/calls").splitlines()
    methods = [json.loads(line)["method"] for line in lines]
    return [m for m in methods if not m.startswith("NodeGet")]


def read(node: Space, file: str) -> str:
    return str(node.run("cat", file, capture_output=True, check=False).stdout)


def running(node: Space) -> str:
    shown = node.run("podman", "ps", "--format", "{{.Names}}", capture_output=True, check=False)
    return str(shown.stdout)


def mounts(node: Space) -> str:
    text: str = node.run("grep", "-c", "kubernetes.io", "/proc/self/mountinfo",
                         capture_output=True, check=False).stdout  # fmt: skip
    return text.strip()


def test_a_pod_has_what_the_driver_mounts_also_over_a_restart_of_the_agent(
    cluster: RealCluster,
) -> None:
    (node,) = cluster.bed.nodes
    before = len(calls(node))
    volume = {"persistentVolumeClaim": {"claimName": "one"}}
    script = "echo written > /data/file; sleep infinity"
    security = {"fsGroup": 1234}
    apply(cluster, *claim("one"), user("one", script, volume, securityContext=security))
    ready(cluster, "one")
    file = f"{KUBELET}/disks/disk-one/file"
    cluster.wait("the pod has written", lambda: read(node, file))
    assert cluster.kubectl("exec", "one", "--", "stat", "-c", "%g", "/data").strip() == "1234"
    assert calls(node)[before:] == ["NodeStageVolume", "NodePublishVolume"]
    told_how_full(cluster, "one")
    cluster.stop(node)
    cluster.start_agent(node)
    # A second pod of the same claim: the agent is at work again.
    apply(cluster, user("two", "cat /data/file && sleep infinity", volume))
    ready(cluster, "two")
    assert "written" in cluster.kubectl("logs", "two")
    assert calls(node)[before + 2 :] == ["NodePublishVolume"]  # what stood was left alone
    cluster.kubectl("delete", "pod", "one", "--now")
    assert calls(node)[before + 3 :] == ["NodeUnpublishVolume"]
    cluster.kubectl("delete", "pod", "two", "--now")
    cluster.wait("unstaged", lambda: calls(node)[-1] == "NodeUnstageVolume")
    assert mounts(node) == "0"
    cluster.kubectl("delete", "pvc/one", "pv/one")


def told_how_full(cluster: RealCluster, name: str) -> None:
    """In the driver's figures, not in those of the file system below."""
    proxy = f"/api/v1/nodes/{cluster.bed.nodes[0].name}/proxy"
    metrics = cluster.kubectl("get", "--raw", f"{proxy}/metrics").splitlines()
    labels = f'{{namespace="default",persistentvolumeclaim="{name}"}}'
    found = {
        line.split("{")[0].removeprefix("kubelet_volume_stats_"): float(line.split()[-1])
        for line in metrics if line.startswith("kubelet_volume_stats_") and labels in line
    }  # fmt: skip
    full = {"capacity_bytes": 1 << 30, "used_bytes": 1 << 20,
            "available_bytes": (1 << 30) - (1 << 20), "inodes": 100, "inodes_used": 3,
            "inodes_free": 97}  # fmt: skip
    assert found == full
    pods = json.loads(cluster.kubectl("get", "--raw", f"{proxy}/stats/summary"))["pods"]
    volumes = next(pod["volume"] for pod in pods if pod["podRef"]["name"] == name)
    (volume,) = (v for v in volumes if v.get("pvcRef"))
    assert volume["pvcRef"] == {"name": name, "namespace": "default"}
    assert (volume["name"], volume["capacityBytes"], volume["inodesUsed"]) == ("data", 1 << 30, 3)


def test_an_inline_volume_knows_its_pod(cluster: RealCluster) -> None:
    (node,) = cluster.bed.nodes
    volume = {"csi": {"driver": NAME, "volumeAttributes": {"colour": "green"}}}
    apply(cluster, user("inline", "sleep infinity", volume))
    ready(cluster, "inline")
    context = json.loads(cluster.kubectl("exec", "inline", "--", "cat", "/data/context"))
    assert context["colour"] == "green"
    assert context["csi.storage.k8s.io/pod.name"] == "inline"
    assert context["csi.storage.k8s.io/ephemeral"] == "true"
    cluster.kubectl("delete", "pod", "inline", "--now")
    assert calls(node)[-2:] == ["NodePublishVolume", "NodeUnpublishVolume"]
    assert mounts(node) == "0"


def test_a_driver_that_fails_is_quoted_and_tried_again(cluster: RealCluster) -> None:
    (node,) = cluster.bed.nodes
    fail = f"{KUBELET}/disks/fail"
    node.run("sh", "-c", f"echo NodeStageVolume > {fail}")
    volume = {"persistentVolumeClaim": {"claimName": "bad"}}
    apply(cluster, *claim("bad"), user("bad", "sleep infinity", volume))
    why = "rpc error: code = Internal desc = NodeStageVolume is not to be"
    said = f'MountVolume.SetUp failed for volume "bad" : {why}'
    cluster.wait("it is said", lambda: said in cluster.kubectl("get", "events"))
    node.run("rm", fail)
    ready(cluster, "bad")
    cluster.kubectl("delete", "pod", "bad", "--now")
    cluster.wait("unstaged", lambda: calls(node)[-1] == "NodeUnstageVolume")
    cluster.kubectl("delete", "pvc/bad", "pv/bad")


def test_a_block_volume_is_a_device_of_the_container(cluster: RealCluster) -> None:
    (node,) = cluster.bed.nodes
    container = {
        "name": "main", "image": BUSYBOX, "command": ["sleep", "infinity"],
        "volumeDevices": [{"name": "data", "devicePath": "/dev/disk"}],
    }  # fmt: skip
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "raw"}}
    apply(cluster, *claim("raw", mode="Block"), pod("raw", container, volumes=[volume]))
    ready(cluster, "raw")
    script = "head -c 4 /dev/disk | od -An -tx1"
    assert cluster.kubectl("exec", "raw", "--", "sh", "-c", script).split() == ["00"] * 4
    cluster.kubectl("delete", "pod", "raw", "--now")
    cluster.wait("unstaged", lambda: calls(node)[-1] == "NodeUnstageVolume")
    assert mounts(node) == "0"
    cluster.kubectl("delete", "pvc/raw", "pv/raw")


def require_attachment(cluster: RealCluster, required: bool) -> None:
    driver = cluster.json("csidriver", NAME)
    cluster.kubectl("delete", "csidriver", NAME)  # the field cannot be changed
    driver["metadata"] = {"name": NAME}
    apply(cluster, driver | {"spec": driver["spec"] | {"attachRequired": required}})


def test_a_volume_that_has_to_be_attached_waits_and_is_let_go_in_the_end(
    cluster: RealCluster,
) -> None:
    """The test is the external attacher."""
    (node,) = cluster.bed.nodes
    require_attachment(cluster, True)
    volume = {"persistentVolumeClaim": {"claimName": "far"}}
    before = len(calls(node))
    apply(cluster, *claim("far"), user("far", "sleep infinity", volume))

    def attachments() -> list[Any]:
        found: list[Any] = cluster.json("volumeattachments")["items"]
        return found

    (attachment,) = cluster.wait("it is to be attached", attachments)
    in_use = f"kubernetes.io/csi/{NAME}^disk-far"
    cluster.wait("it is in use", lambda: in_use in cluster.kubectl(
        "get", "node", node.name, "-o", "jsonpath={.status.volumesInUse}"))  # fmt: skip
    assert calls(node)[before:] == []
    done = json.dumps({"status": {"attached": True}})
    name = attachment["metadata"]["name"]
    cluster.kubectl("patch", "volumeattachment", name, "--subresource=status", "--type=merge",
                    "-p", done)  # fmt: skip
    ready(cluster, "far")
    # The power fails, and nobody is there to say that it is attached.
    cluster.stop(cluster.bed.server)
    agent = cluster.processes.pop(node.name)
    node.crash()
    agent.wait(10)
    node.boot()
    before = len(calls(node))
    cluster.start_agent(node)
    cluster.wait("it is mounted as it was", lambda: "edgek_main_far_" in running(node))
    assert calls(node)[before:][-2:] == ["NodeStageVolume", "NodePublishVolume"]
    cluster.start_server()
    ready(cluster, "far")
    assert [a["metadata"]["name"] for a in attachments()] == [name]
    cluster.kubectl("delete", "pod", "far", "--now")
    cluster.wait("it is detached", lambda: not attachments())
    assert calls(node)[-1] == "NodeUnstageVolume"
    require_attachment(cluster, False)
