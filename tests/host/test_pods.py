"""What a pod may ask of its node, on real Podman: one node, real kubectl."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.kubectl_pods import apply, container, ready
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import CGROUP, missing_need

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(200),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("pods"), nodes=1) as up:
        yield up


def sh(cluster: RealCluster, pod: str, script: str, name: str = "main") -> str:
    return cluster.kubectl("exec", pod, "-c", name, "--", "sh", "-c", script)


def main_of(cluster: RealCluster, pod: str) -> dict[str, Any]:
    found = cluster.status(pod).get("containerStatuses") or [{}]
    return dict(found[0])


def shows(cluster: RealCluster, text: str, *what: str) -> None:
    """``kubectl`` says ``text`` in its answer, by and by."""
    cluster.wait(f"{text!r} in {what}", lambda: text in cluster.kubectl(*what), 40)


IDLE = "trap exit TERM; while :; do sleep 0.1; done"


def test_containers_of_a_pod_share_memory_and_address_and_not_their_files(
    cluster: RealCluster,
) -> None:
    apply(cluster, "shared", container(IDLE, "one"), container(IDLE, "two"))
    ready(cluster, "shared")
    sh(cluster, "shared", "echo hello > /dev/shm/note; echo mine > /tmp/note", "one")
    assert sh(cluster, "shared", "cat /dev/shm/note", "two") == "hello\n"
    assert sh(cluster, "shared", "ls /tmp", "two") == ""
    assert sh(cluster, "shared", "df -m /dev/shm", "one").split()[-5] == "64"


def test_a_container_tells_why_it_ended(cluster: RealCluster) -> None:
    apply(
        cluster, "telling",
        container("echo by file > /dev/termination-log; exit 3", "file"),
        container("echo out; echo by log >&2; exit 4", "log",
                  terminationMessagePolicy="FallbackToLogsOnError"),
        container("echo only out; exit 5", "mute"),
        restartPolicy="Never",
    )  # fmt: skip
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/telling", "--timeout=30s")
    found = {
        s["name"]: (s["state"]["terminated"]["exitCode"], s["state"]["terminated"].get("message"))
        for s in cluster.status("telling")["containerStatuses"]
    }
    assert found == {"file": (3, "by file\n"), "log": (4, "out\nby log\n"), "mute": (5, None)}


def test_a_crashing_container_backs_off_where_all_can_see(cluster: RealCluster) -> None:
    apply(cluster, "crashing", container("exit 1"))
    shows(cluster, "CrashLoopBackOff", "get", "pod", "crashing")
    shows(cluster, "Back-off restarting failed container main", "describe", "pod", "crashing")
    cluster.kubectl("delete", "pod", "crashing")


def test_too_much_memory_is_told_as_such(cluster: RealCluster) -> None:
    eat = "sleep 0.3; exec tail -c 200m /dev/zero"
    apply(
        cluster, "hungry", container(eat, resources={"limits": {"memory": "24Mi"}}),
        restartPolicy="Never",
    )  # fmt: skip
    shows(cluster, "OOMKilled", "get", "pod", "hungry")
    assert main_of(cluster, "hungry")["state"]["terminated"]["exitCode"] == 137


def test_a_failing_liveness_probe_restarts_and_a_readiness_probe_decides(
    cluster: RealCluster,
) -> None:
    probe = {"periodSeconds": 1, "failureThreshold": 1}
    apply(
        cluster, "probed",
        container(
            IDLE,
            livenessProbe={"exec": {"command": ["test", "!", "-e", "/tmp/sick"]}, **probe},
            readinessProbe={"exec": {"command": ["test", "!", "-e", "/tmp/busy"]}, **probe},
        ),
    )  # fmt: skip
    ready(cluster, "probed")
    sh(cluster, "probed", "touch /tmp/busy")
    cluster.kubectl("wait", "--for=condition=Ready=false", "pod/probed", "--timeout=30s")
    assert main_of(cluster, "probed")["restartCount"] == 0
    sh(cluster, "probed", "rm /tmp/busy")
    ready(cluster, "probed")
    sh(cluster, "probed", "touch /tmp/sick")
    cluster.wait("a restart", lambda: main_of(cluster, "probed")["restartCount"] == 1, 30)
    ready(cluster, "probed")
    shows(cluster, "Liveness probe failed", "describe", "pod", "probed")


def test_hooks_run_after_the_start_and_before_the_end(cluster: RealCluster) -> None:
    note = "echo {} >> /notes/all"
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", note.format("started")]}},
        "preStop": {"exec": {"command": ["sh", "-c", "sleep 0.3; " + note.format("stopping")]}},
    }
    script = "trap '" + note.format("TERM") + "; exit' TERM; while :; do sleep 0.1; done"
    volume = {"name": "notes", "hostPath": {"path": "/var/log/notes", "type": "DirectoryOrCreate"}}
    mounts = [{"name": "notes", "mountPath": "/notes"}]
    apply(
        cluster, "hooked", container(script, volumeMounts=mounts, lifecycle=hooks),
        volumes=[volume], terminationGracePeriodSeconds=10,
    )  # fmt: skip
    ready(cluster, "hooked")
    cluster.kubectl("delete", "pod", "hooked", "--timeout=20s")
    notes = cluster.bed.nodes[0].dir / "var/log/notes/all"
    assert notes.read_text().split() == ["started", "stopping", "TERM"]


def test_a_pod_on_the_hosts_network_is_the_host(cluster: RealCluster) -> None:
    serve = "mkdir /tmp/w; hostname > /tmp/w/i; httpd -f -p 8099 -h /tmp/w"
    apply(cluster, "hostly", container(serve), hostNetwork=True)
    ready(cluster, "hostly")
    node = cluster.bed.nodes[0]
    assert cluster.curl(cluster.bed.server, f"http://{node.ip}:8099/i") == "node1\n"
    assert cluster.status("hostly")["podIP"] == node.ip


def test_what_a_running_pod_sees_of_objects_is_kept_up_to_date(cluster: RealCluster) -> None:
    cluster.kubectl("create", "configmap", "conf", "--from-literal=key=old")
    cluster.kubectl("create", "secret", "generic", "hidden", "--from-literal=key=old")
    mounts = [{"name": n, "mountPath": f"/{n}"} for n in ("conf", "hidden", "memory")]
    volumes = [
        {"name": "conf", "configMap": {"name": "conf"}},
        {"name": "hidden", "secret": {"secretName": "hidden"}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "3Mi"}},
    ]
    apply(cluster, "reading", container(IDLE, volumeMounts=mounts), volumes=volumes)
    ready(cluster, "reading")
    assert sh(cluster, "reading", "df -m /memory").split()[-5] == "3"
    cluster.kubectl("patch", "configmap", "conf", "-p", '{"data":{"key":"new"}}')
    cluster.kubectl("patch", "secret", "hidden", "-p", '{"stringData":{"key":"new"}}')
    read = partial(sh, cluster, "reading", "cat /conf/key /hidden/key")
    cluster.wait("new values in the pod", lambda: read() == "newnew", 20)


def creating(cluster: RealCluster, name: str) -> None:
    """Its status says that it is on its way; one that only begins is told a moment later."""
    seen = lambda: "ContainerCreating" in cluster.kubectl("get", "pod", name)  # noqa: E731
    cluster.wait(f"{name} is being made", seen)


def test_a_dead_file_server_holds_up_its_own_pod_only(cluster: RealCluster) -> None:
    volume = {"name": "far", "nfs": {"server": "10.98.0.77", "path": "/export"}}
    mounts = [{"name": "far", "mountPath": "/far"}]
    apply(cluster, "stranded", container(IDLE, volumeMounts=mounts), volumes=[volume])
    apply(cluster, "lively", container(IDLE))
    ready(cluster, "lively")
    shows(cluster, "10.98.0.77", "describe", "pod", "stranded")
    shows(cluster, "FailedMount", "describe", "pod", "stranded")
    creating(cluster, "stranded")
    cluster.kubectl("delete", "pod", "stranded", "lively", "--timeout=15s", timeout=20)


def test_a_mount_that_hangs_hangs_neither_the_agent_nor_the_deletion(
    cluster: RealCluster, tmp_path: Path
) -> None:
    hangs = tmp_path / "mount.nfs"
    hangs.write_text("#!/bin/sh\nsleep 300\n")
    hangs.chmod(0o755)
    node = cluster.bed.nodes[0]
    node.run("mount", "--bind", hangs, "/usr/sbin/mount.nfs")
    volume = {"name": "far", "nfs": {"server": "10.98.0.77", "path": "/export"}}
    try:
        apply(cluster, "hanging", container(IDLE), volumes=[volume])
        apply(cluster, "lively", container(IDLE))
        ready(cluster, "lively")
        creating(cluster, "hanging")
        cluster.kubectl("delete", "pod", "hanging", "lively", "--timeout=15s", timeout=20)
        assert "sleep 300" not in node.run("ps", "-e", "-o", "args", capture_output=True).stdout
    finally:
        node.run("umount", "-l", "/usr/sbin/mount.nfs")


def traces(cluster: RealCluster) -> dict[str, list[str]]:
    """What pods leave on a node, by kind of thing."""
    node = cluster.bed.nodes[0]

    def lines(*command: str) -> list[str]:
        # A find may meet what is just going, or be the first to look.
        return sorted(node.run(*command, capture_output=True, check=False).stdout.splitlines())

    top = CGROUP / "memory" if (CGROUP / "memory").is_dir() else CGROUP
    return {
        # Podman keeps its storage mounted from the first container on.
        "mounts": lines(
            "sh", "-c", "cut -d' ' -f5 /proc/self/mountinfo | grep -v /storage/overlay$"
        ),
        "links": [x.split(":")[1].split("@")[0] for x in lines("ip", "-o", "link")],
        "routes": lines("ip", "route"),
        "containers": lines("podman", "ps", "-aq"),
        "directories": lines(
            "find", "/var/lib/edgek/agent/pods", "/var/log/pods", "-mindepth", "1"
        ),
        "cgroups": sorted(
            str(p) for p in (top / node.cgroup.lstrip("/")).rglob("*") if "pod" in p.name
        ),
        "files": lines("find", "/run/edgek", "/var/lib/edgek/network", "-mindepth", "1"),
    }


def settled(cluster: RealCluster) -> dict[str, list[str]]:
    """Podman's own helpers end a moment after what they were for."""
    looks = [traces(cluster)]

    def same() -> bool:
        looks.append(traces(cluster))
        return looks[-1] == looks[-2]

    cluster.wait("nothing changes any more", same, 20)
    return looks[-1]


def test_a_deleted_pod_leaves_nothing(cluster: RealCluster) -> None:
    volumes: list[Any] = [
        {"name": "memory", "emptyDir": {"medium": "Memory"}}, {"name": "disk", "emptyDir": {}},
    ]  # fmt: skip
    mounts = [{"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes]

    def live() -> dict[str, list[str]]:
        one, two = container(IDLE, "one", volumeMounts=mounts), container(IDLE, "two")
        apply(cluster, "fleeting", one, two, volumes=volumes)
        ready(cluster, "fleeting")
        seen = traces(cluster)
        cluster.kubectl("delete", "pod", "fleeting", "--timeout=20s")
        return seen

    cluster.kubectl("delete", "pod", "--all", "--timeout=40s")
    live()  # the first pod of a node makes some directories that stay
    before = settled(cluster)
    assert not before["containers"]
    between = live()
    for what in before:
        assert len(between[what]) > len(before[what]), what
    after = settled(cluster)
    for what in after:
        more, less = Counter(after[what]), Counter(before[what])
        assert (what, more - less, less - more) == (what, Counter(), Counter())
