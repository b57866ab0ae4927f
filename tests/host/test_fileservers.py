"""glusterfs and cephfs volumes on real servers; what happens when those go away."""

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.fileservers import VOLUME, FileServer, gluster
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import missing_need

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]
IMAGE = "docker.io/library/busybox:1.36"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("files"), nodes=1) as up:
        yield up


@pytest.fixture(scope="module")
def server(cluster: RealCluster) -> Iterator[FileServer]:
    with gluster(cluster.bed) as up:
        subsets = [{"addresses": [{"ip": up.ip}], "ports": [{"port": 1}]}]
        apply(cluster, kind="Endpoints", name="files", subsets=subsets)
        yield up


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


def share(**more: Any) -> dict[str, Any]:
    return {"glusterfs": {"endpoints": "files", "path": VOLUME, **more}}


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
    seen: list[list[str]] = []
    try:
        cluster.wait("nothing is left", lambda: seen.append(left(cluster)) or not seen[-1], 10)
    except AssertionError:
        assert not seen[-1]
        raise


def refusal(cluster: RealCluster, pod: str, *, seconds: float = 45) -> str:
    """What the pod's event FailedMount says."""

    def look() -> str:
        events = cluster.json("events")["items"]
        return next((str(e["message"]) for e in events if e["reason"] == "FailedMount"
                     and e["involvedObject"]["name"] == pod), "")  # fmt: skip

    return str(cluster.wait(f"{pod} is refused", look, seconds))


def test_pods_share_a_gluster_volume_and_one_only_reads_it(
    cluster: RealCluster, server: FileServer
) -> None:
    kubectl = cluster.kubectl
    start(cluster, "writer", share())
    kubectl("exec", "writer", "--", "sh", "-c", "echo kept >/v/note")
    assert (server.space.dir / "brick/note").read_text() == "kept\n"
    start(cluster, "reader", share(readOnly=True))
    assert kubectl("exec", "reader", "--", "cat", "/v/note") == "kept\n"
    assert "Read-only" in kubectl("exec", "reader", "--", "touch", "/v/x", ok=False)
    kubectl("delete", "pod", "writer", "reader")
    wait_for_nothing(cluster)


def test_options_of_a_volume_reach_the_mount(cluster: RealCluster, server: FileServer) -> None:
    source = share()
    source["glusterfs"]["endpointsNamespace"] = "default"
    start(cluster, "options", bound(cluster, "tuned", source, mountOptions=["attribute-timeout=3"]))
    [client] = clients(cluster)
    line = cluster.bed.nodes[0].run("cat", f"/proc/{client}/cmdline", capture_output=True).stdout
    assert "--attribute-timeout=3" in line
    cluster.kubectl("delete", "pod", "options")
    cluster.kubectl("delete", "pvc,pv", "tuned")


def test_a_mount_outlives_the_agent_and_ends_with_its_pod(
    cluster: RealCluster, server: FileServer
) -> None:
    node = cluster.bed.nodes[0]
    start(cluster, "lasting", share())
    before = clients(cluster)
    cluster.stop(node, signal.SIGKILL)
    cluster.kubectl("exec", "lasting", "--", "true", ok=False)
    cluster.start_agent(node)
    cluster.wait("it can be asked", lambda: cluster._try("exec", "lasting", "--", "ls", "/v"))
    cluster.kubectl("exec", "lasting", "--", "touch", "/v/after")
    assert clients(cluster) == before
    cluster.stop(node)
    cluster.start_agent(node)
    cluster.kubectl("delete", "pod", "lasting", "--timeout=30s")
    wait_for_nothing(cluster)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (share(path="none"), "failed to fetch volume file"),
        (share(endpoints="nobody"), 'no endpoint address found in endpoints "default/nobody"'),
        (share(path="vol --log-file=/x"), "is no name of a volume"),
    ],
    ids=["unknown-volume", "no-endpoints", "odd-name"],
)
def test_what_is_wrong_with_a_gluster_volume_is_said(
    cluster: RealCluster, server: FileServer, source: dict[str, Any], said: str
) -> None:
    apply_pod(cluster, "wrong", source)
    try:
        assert said in refusal(cluster, "wrong")
    finally:
        cluster.kubectl("delete", "pod", "wrong", "--timeout=20s")
        cluster.kubectl("delete", "events", "--all")
    wait_for_nothing(cluster)


def test_a_server_that_hangs_holds_up_its_own_pods_alone_and_no_deletion(
    cluster: RealCluster, server: FileServer
) -> None:
    kubectl = cluster.kubectl
    script = "while :; do date >/v/beat; sleep 0.1; done"
    start(cluster, "stuck", share(), script=script)
    server.signal(signal.SIGSTOP)
    try:
        apply_pod(cluster, "late", share())
        start(cluster, "other", {"emptyDir": {}})
        begun = time.monotonic()
        kubectl("delete", "pod", "stuck", "other", "--timeout=40s", timeout=50)
        assert time.monotonic() - begun < 30
        assert "no answer within 30 seconds" in refusal(cluster, "late")
    finally:
        server.signal(signal.SIGCONT)
    kubectl("wait", "pod/late", "--for=condition=Ready", "--timeout=60s")
    kubectl("exec", "late", "--", "touch", "/v/here-again")
    kubectl("delete", "pod", "late")
    wait_for_nothing(cluster)
