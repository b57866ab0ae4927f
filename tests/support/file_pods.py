"""Pods with volumes of a file server: what starts them, and what they must not leave behind."""

import json
from typing import Any

from tests.support.real_cluster import RealCluster

IMAGE = "docker.io/library/busybox:1.36"


def apply(cluster: RealCluster, *, kind: str, name: str, **body: Any) -> None:
    obj = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **body}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(obj))


def apply_pod(
    cluster: RealCluster,
    name: str,
    volume: dict[str, Any],
    *,
    script: str = "trap 'exit 0' TERM; sleep infinity & wait",
    grace: int = 1,
) -> None:
    container = {
        "name": "main", "image": IMAGE, "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }  # fmt: skip
    spec = {"containers": [container], "volumes": [{"name": "v", **volume}],
            "terminationGracePeriodSeconds": grace}  # fmt: skip
    apply(cluster, kind="Pod", name=name, spec=spec)


def start(cluster: RealCluster, name: str, volume: dict[str, Any], **more: Any) -> None:
    apply_pod(cluster, name, volume, **more)
    cluster.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")


def bound(cluster: RealCluster, name: str, source: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A claim bound to a volume of the source."""
    both = {"storageClassName": "", "accessModes": ["ReadWriteMany"]}
    spec = {"capacity": {"storage": "1Mi"}, **both, **source, **more}
    apply(cluster, kind="PersistentVolume", name=name, spec=spec)
    asked = {"volumeName": name, "resources": {"requests": {"storage": "1Mi"}}, **both}
    apply(cluster, kind="PersistentVolumeClaim", name=name, spec=asked)
    return {"persistentVolumeClaim": {"claimName": name}}


def clients(cluster: RealCluster, program: str = "glusterfs") -> list[str]:
    """Ids of the programs on the node that hold mounts."""
    done = cluster.bed.nodes[0].run("pgrep", "-x", program, capture_output=True, check=False)
    return str(done.stdout).split()


def mounts(cluster: RealCluster) -> list[str]:
    table = cluster.bed.nodes[0].run("cat", "/proc/mounts", capture_output=True).stdout
    return [line.split()[1] for line in table.splitlines() if "/volumes/" in line.split()[1]
            and ("gluster" in line or "ceph" in line)]  # fmt: skip


def left(cluster: RealCluster) -> list[str]:
    """Programs, mounts, cgroups and directories of pods."""
    node = cluster.bed.nodes[0]
    look = "ls -d /sys/fs/cgroup/*$1/mounts/*/ /var/lib/edgek/agent/pods/*/ 2>/dev/null"
    places = node.run("sh", "-c", look, "sh", node.cgroup, capture_output=True, check=False)
    programs = [*clients(cluster), *clients(cluster, "ceph-fuse")]
    return [*programs, *mounts(cluster), *places.stdout.split()]


def wait_for_nothing(cluster: RealCluster) -> None:
    try:
        cluster.wait("nothing is left", lambda: not left(cluster), 10)
    except AssertionError:
        assert left(cluster) == []
        raise


def refusal(cluster: RealCluster, pod: str, *, seconds: float = 45) -> str:
    """What the pod's event FailedMount says."""

    def look() -> str:
        events = cluster.json("events")["items"]
        return next((str(e["message"]) for e in events if e["reason"] == "FailedMount"
                     and e["involvedObject"]["name"] == pod), "")  # fmt: skip

    return str(cluster.wait(f"{pod} is refused", look, seconds))
