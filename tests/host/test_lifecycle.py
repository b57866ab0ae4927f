"""How pods live, on real Podman with real kubectl: looked into, resized, restarted, ended."""

import json
import os
import pty
import select
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.images import BUSYBOX
from tests.support.kubectl_pods import apply, container, ready
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import CGROUP, missing_need

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(200),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]

IDLE = "trap exit TERM; while :; do sleep 0.1; done"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("life"), nodes=1) as up:
        yield up


def talk(cluster: RealCluster, *argv: str, says: str, until: str, seconds: float = 30) -> str:
    """Types a line at kubectl's prompt, on a terminal; what is seen up to its answer."""
    ours, theirs = pty.openpty()
    process = cluster.kubectl_process(
        *argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen, knocked, told, deadline = b"", False, False, time.monotonic() + seconds
    try:
        while until.encode() not in seen:
            assert time.monotonic() < deadline, seen.decode(errors="replace")
            if select.select([ours], [], [], 0.1)[0]:
                seen += os.read(ours, 4096)
            if not knocked and b"try pressing enter" in seen:
                knocked = bool(os.write(ours, b"\n"))
            if not told and b"/ # " in seen:
                told = bool(os.write(ours, f"{says}\n".encode()))
        return seen.decode(errors="replace")
    finally:
        os.close(ours)
        cluster.end(process)


def test_kubectl_debug_looks_into_a_running_pod_and_copies_one(cluster: RealCluster) -> None:
    apply(cluster, "looked", container("sleep 4242 & wait"), restartPolicy="Never")
    ready(cluster, "looked")
    seen = talk(
        cluster, "debug", "-it", "looked", f"--image={BUSYBOX}", "--target=main",
        "--container=look", "--image-pull-policy=IfNotPresent", "--", "sh",
        says="ps | grep '[s]leep 42''42'; echo se''en", until="seen",
    )  # fmt: skip
    assert "sleep 4242" in seen
    assert cluster.container("looked", "main")["restartCount"] == 0
    look = ("looked", "look", "ephemeralContainerStatuses")
    assert "running" in cluster.container(*look)["state"]
    assert cluster.kubectl("exec", "looked", "-c", "look", "--", "echo", "hi") == "hi\n"
    assert "4242" in cluster.kubectl("logs", "looked", "-c", "look")
    talk(
        cluster, "attach", "-it", "looked", "-c", "look", says="echo ag''ain; exit 5",
        until="again",
    )  # fmt: skip
    cluster.wait("the shell ended", lambda: "terminated" in cluster.container(*look)["state"], 20)
    assert cluster.container(*look)["state"]["terminated"]["exitCode"] == 5
    assert cluster.status("looked")["phase"] == "Running"

    cluster.kubectl(
        "debug", "looked", "--copy-to=copied", "--container=main", "--image-pull-policy=Never",
        "--", "sh", "-c", "echo a copy; sleep 999",
    )  # fmt: skip
    ready(cluster, "copied")
    assert cluster.kubectl("logs", "copied") == "a copy\n"
    cluster.kubectl("delete", "pod", "looked", "copied", "--timeout=20s")


def test_kubectl_debug_looks_at_a_node(cluster: RealCluster) -> None:
    seen = talk(
        cluster, "debug", "-it", "node/node1", f"--image={BUSYBOX}",
        "--image-pull-policy=IfNotPresent", "--", "sh",
        says="hostname; ls -d /host/var/lib/edgek; ps | grep -c '[p]odman'; echo se''en",
        until="seen",
    )  # fmt: skip
    assert "node1" in seen
    assert "/host/var/lib/edgek" in seen
    cluster.kubectl("delete", "pod", "--all", "--grace-period=1", "--timeout=20s")


def limit_of(cluster: RealCluster, pod: str, container_id: str = "") -> int:
    """The memory limit in the kernel: of the pod, or of a container of it."""
    uid = cluster.json("pod", pod)["metadata"]["uid"]
    v1 = (CGROUP / "memory").is_dir()
    top = CGROUP / "memory" if v1 else CGROUP
    (found,) = (top / cluster.bed.nodes[0].cgroup.lstrip("/")).glob(f"*/pod{uid}")
    where = found / f"libpod-{container_id}" if container_id else found
    return int((where / ("memory.limit_in_bytes" if v1 else "memory.max")).read_text())


def weight_of(cluster: RealCluster, qos: str) -> int:
    """A QoS class's in the kernel, in the numbers of cgroup v1."""
    v1 = (CGROUP / "cpu").is_dir()
    where = (CGROUP / "cpu" if v1 else CGROUP) / cluster.bed.nodes[0].cgroup.lstrip("/") / qos
    found = int((where / ("cpu.shares" if v1 else "cpu.weight")).read_text())
    return found if v1 else 2 + (found - 1) * 262142 // 9999


def resize(cluster: RealCluster, pod: str, memory: str, *, ok: bool = True) -> str:
    amounts = {"cpu": "200m", "memory": memory}
    one = {"name": "main", "resources": {"requests": amounts, "limits": amounts}}
    patch = json.dumps({"spec": {"containers": [one]}})
    return cluster.kubectl("patch", "pod", pod, "--subresource=resize", "-p", patch, ok=ok)


def test_a_resize_reaches_the_kernel_without_a_restart(cluster: RealCluster) -> None:
    amounts = {"cpu": "100m", "memory": "32Mi"}
    resources: dict[str, Any] = {"resources": {"requests": amounts, "limits": amounts}}
    apply(cluster, "sized", container(IDLE, **resources))
    ready(cluster, "sized")
    container_id = cluster.container("sized", "main")["containerID"].removeprefix("podman://")
    assert limit_of(cluster, "sized", container_id) == 32 * 2**20

    def shown() -> Any:
        return cluster.container("sized", "main")["resources"]["limits"]["memory"]

    for memory in ("64Mi", "24Mi"):
        resize(cluster, "sized", memory)
        cluster.wait(f"{memory} in the status", lambda: shown() == memory, 20)  # noqa: B023
        asked = int(memory.removesuffix("Mi")) * 2**20
        assert limit_of(cluster, "sized", container_id) == asked
        assert limit_of(cluster, "sized") == asked
    assert weight_of(cluster, "guaranteed") == 204
    main = cluster.container("sized", "main")
    assert (main["restartCount"], main["containerID"]) == (0, f"podman://{container_id}")
    conditions = {c["type"] for c in cluster.status("sized")["conditions"]}
    assert "PodResizeInProgress" not in conditions
    resize(cluster, "sized", "8000Gi")
    cluster.wait(
        "told to be impossible",
        lambda: "Infeasible" in json.dumps(cluster.status("sized")["conditions"]), 20,
    )  # fmt: skip
    cluster.kubectl("delete", "pod", "sized", "--timeout=20s")


def test_what_a_pod_asks_for_as_a_whole_bounds_it_and_who_has_no_limit(
    cluster: RealCluster,
) -> None:
    """And a resize that others leave no room for waits until they have left."""
    whole = {"requests": {"cpu": "100m", "memory": "48Mi"}, "limits": {"memory": "48Mi"}}
    own = {"resources": {"limits": {"memory": "16Mi"}}}
    apply(cluster, "whole", container(IDLE), container(IDLE, "own", **own), resources=whole)
    ready(cluster, "whole")
    ids = {
        name: cluster.container("whole", name)["containerID"].removeprefix("podman://")
        for name in ("main", "own")
    }
    assert limit_of(cluster, "whole") == limit_of(cluster, "whole", ids["main"]) == 48 * 2**20
    assert limit_of(cluster, "whole", ids["own"]) == 16 * 2**20
    assert cluster.status("whole")["resources"] == whole
    cluster.kubectl("delete", "pod", "whole", "--timeout=20s")

    room = int(cluster.json("node", "node1")["status"]["allocatable"]["memory"][:-2]) >> 10
    asked = {"resources": {"requests": {"cpu": "10m", "memory": f"{room - 100}Mi"}}}
    amounts = {"cpu": "100m", "memory": "32Mi"}
    small: dict[str, Any] = {"resources": {"requests": amounts, "limits": amounts}}
    restarted = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    apply(cluster, "large", container(IDLE, **asked))
    apply(cluster, "small", container(IDLE, resizePolicy=restarted, **small))
    ready(cluster, "large")
    ready(cluster, "small")
    resize(cluster, "small", "512Mi")
    told = lambda: json.dumps(cluster.status("small")["conditions"])  # noqa: E731
    cluster.wait("it waits", lambda: "Deferred" in told(), 20)
    assert cluster.container("small", "main")["allocatedResources"]["memory"] == "32Mi"
    cluster.kubectl("delete", "pod", "large", "--timeout=20s")
    given = lambda: cluster.container("small", "main")["resources"]["limits"]["memory"]  # noqa: E731
    cluster.wait("it has been given", lambda: given() == "512Mi", 20)
    again = lambda: cluster.container("small", "main")["restartCount"] == 1  # noqa: E731
    cluster.wait("it was restarted for it", again, 20)
    cluster.wait("it is over", lambda: "PodResize" not in told(), 20)
    cluster.kubectl("delete", "pod", "small", "--timeout=20s")


def test_a_limit_below_what_is_in_use_is_refused_not_tried(cluster: RealCluster) -> None:
    amounts = {"cpu": "100m", "memory": "96Mi"}
    resources: dict[str, Any] = {"resources": {"requests": amounts, "limits": amounts}}
    hold = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); echo holds ${#x}; "
    apply(cluster, "full", container(hold + IDLE, **resources))
    cluster.wait(
        "it holds 20 MB",
        lambda: (
            "holds" in cluster.kubectl("logs", "full", ok=True)
            if cluster.container("full", "main").get("started")
            else False
        ),
        20,
    )
    resize(cluster, "full", "8Mi")

    def told() -> Any:
        found = cluster.status("full")["conditions"]
        return next((c for c in found if c["type"] == "PodResizeInProgress"), {})

    cluster.wait("an error", lambda: told().get("reason") == "Error", 20)
    assert "below current usage" in told()["message"]
    assert cluster.container("full", "main")["restartCount"] == 0
    cluster.kubectl("delete", "pod", "full", "--timeout=20s")


def test_sidecars_start_first_and_end_last_in_reverse(cluster: RealCluster) -> None:
    def noting(name: str) -> str:
        note = f"echo {{}} {name} >> /notes/order"
        return (
            f"trap '{note.format('end')}; exit' TERM; {note.format('start')}; "
            "while :; do sleep 0.1; done"
        )

    mounts: dict[str, Any] = {"volumeMounts": [{"name": "notes", "mountPath": "/notes"}]}
    path = {"path": "/var/log/order", "type": "DirectoryOrCreate"}
    inits = [
        container(noting(name), name, restartPolicy="Always", **mounts) for name in ("one", "two")
    ]
    probe = {"exec": {"command": ["grep", "start one", "/notes/order"]}, "periodSeconds": 1}
    inits[0]["startupProbe"] = probe
    apply(
        cluster, "served", container(noting("main"), **mounts), initContainers=inits,
        volumes=[{"name": "notes", "hostPath": path}], terminationGracePeriodSeconds=10,
    )  # fmt: skip
    ready(cluster, "served")
    cluster.kubectl("delete", "pod", "served", "--timeout=20s")
    notes = cluster.bed.nodes[0].dir / "var/log/order/order"
    assert notes.read_text().splitlines() == [
        "start one", "start two", "start main", "end main", "end two", "end one",
    ]  # fmt: skip


def test_a_pod_is_ready_when_its_sidecar_is_which_is_looked_after_like_the_others(
    cluster: RealCluster,
) -> None:
    beat = {"periodSeconds": 1, "failureThreshold": 1}
    proxy = container(
        IDLE, "proxy", restartPolicy="Always",
        readinessProbe={"exec": {"command": ["test", "-e", "/tmp/up"]}, **beat},
        livenessProbe={"exec": {"command": ["test", "!", "-e", "/tmp/sick"]}, **beat},
    )  # fmt: skip
    apply(cluster, "meshed", container(IDLE), initContainers=[proxy])

    def condition(kind: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = cluster.status("meshed").get("conditions", [])
        return next((c for c in found if c["type"] == kind), {})

    cluster.wait("the main one runs", lambda: cluster.container("meshed", "main").get("ready"), 20)
    assert condition("Ready")["message"] == "containers with unready status: [proxy]"
    assert condition("Initialized")["status"] == "True"
    cluster.kubectl("exec", "meshed", "-c", "proxy", "--", "touch", "/tmp/up")
    ready(cluster, "meshed")
    cluster.kubectl("exec", "meshed", "-c", "proxy", "--", "touch", "/tmp/sick")
    proxied = ("meshed", "proxy", "initContainerStatuses")
    cluster.wait("a restart", lambda: cluster.container(*proxied)["restartCount"] == 1, 20)
    assert cluster.container("meshed", "main")["restartCount"] == 0
    cluster.kubectl("wait", "--for=condition=Ready=false", "pod/meshed", "--timeout=20s")
    cluster.kubectl("delete", "pod", "meshed", "--timeout=20s")


def test_a_sidecar_neither_keeps_a_job_going_nor_makes_it_fail(cluster: RealCluster) -> None:
    side = container("trap 'exit 3' TERM; while :; do sleep 0.1; done", "side")
    pod = {
        "restartPolicy": "Never", "containers": [container("exit 0")],
        "initContainers": [side | {"restartPolicy": "Always"}], "terminationGracePeriodSeconds": 5,
    }  # fmt: skip
    job = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "helped"},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(job))
    cluster.kubectl("wait", "--for=condition=Complete", "job/helped", "--timeout=30s")
    (found,) = cluster.pods("batch.kubernetes.io/job-name=helped")
    (ended,) = found["status"]["initContainerStatuses"]
    assert ended["state"]["terminated"]["exitCode"] == 3
    cluster.kubectl("delete", "job", "helped", "--timeout=20s")


def test_exit_codes_decide_what_is_restarted(cluster: RealCluster) -> None:
    path = {"path": "/var/log/rules", "type": "DirectoryOrCreate"}
    mounts: dict[str, Any] = {"volumeMounts": [{"name": "notes", "mountPath": "/notes"}]}
    for action in ("Restart", "RestartAllContainers"):
        note = f"echo run >> /notes/{action}"
        rule = {"action": action, "exitCodes": {"operator": "In", "values": [42]}}
        ruled = container(
            f"{note}-ruled; [ $(wc -l < /notes/{action}-ruled) = 1 ] && exit 42; exit 0",
            "ruled", restartPolicy="Never", restartPolicyRules=[rule], **mounts,
        )  # fmt: skip
        apply(
            cluster, action.lower(), ruled, container(IDLE, "other"),
            initContainers=[container(f"{note}-init", "init", **mounts)], restartPolicy="Never",
            volumes=[{"name": "notes", "hostPath": path}],
        )  # fmt: skip

    def code(pod: str) -> Any:
        ended = cluster.container(pod, "ruled").get("state", {}).get("terminated", {})
        return ended.get("exitCode")

    for action, inits in (("Restart", 1), ("RestartAllContainers", 2)):
        pod = action.lower()
        cluster.wait(f"{pod}: again, and well", lambda: code(pod) == 0, 20)  # noqa: B023
        notes = cluster.bed.nodes[0].dir / "var/log/rules"
        assert (notes / f"{action}-ruled").read_text().count("run") == 2
        assert (notes / f"{action}-init").read_text().count("run") == inits
        assert cluster.container(pod, "other")["restartCount"] == inits - 1
        assert cluster.status(pod)["phase"] == "Running"
    cluster.kubectl("delete", "pod", "restart", "restartallcontainers", "--timeout=20s")


def test_a_status_says_as_whom_and_from_what_a_container_runs(cluster: RealCluster) -> None:
    user: dict[str, Any] = {"securityContext": {"runAsUser": 1234, "runAsGroup": 55}}
    apply(cluster, "told", container(IDLE, **user))
    ready(cluster, "told")
    main = cluster.container("told", "main")
    assert main["user"]["linux"] == {"uid": 1234, "gid": 55, "supplementalGroups": [55]}
    assert "sha256:" in main["imageID"]
    (mount,) = main["volumeMounts"]
    assert (mount["readOnly"], mount["recursiveReadOnly"]) == (True, "Disabled")
    cluster.kubectl("delete", "pod", "told", "--timeout=20s")


def test_a_deletion_asked_for_again_in_a_hurry_is_hurried(cluster: RealCluster) -> None:
    apply(
        cluster, "stubborn", container("trap '' TERM; while :; do sleep 0.1; done"),
        terminationGracePeriodSeconds=600,
    )  # fmt: skip
    ready(cluster, "stubborn")
    cluster.kubectl("delete", "pod", "stubborn", "--wait=false")
    cluster.wait(
        "the first deletion is under way",
        lambda: "Stopping container main" in cluster.kubectl("describe", "pod", "stubborn"), 20,
    )  # fmt: skip
    cluster.kubectl("delete", "pod", "stubborn", "--grace-period=1", "--timeout=20s")


def test_nothing_of_it_is_left(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    cluster.kubectl("delete", "pod", "--all", "--timeout=30s")
    left = node.run("podman", "ps", "-aq", capture_output=True).stdout
    assert left == ""
    assert not list(Path(node.dir / "var/lib/edgek/agent/pods").glob("*-*-*"))
