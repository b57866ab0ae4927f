"""One server, two nodes, real everything: what a user of kubectl does on a first day."""

import os
import pty
import select
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import missing_need

HELLO = str(Path(__file__).resolve().parents[2] / "examples/hello")
IN_ORDER = True
"""One cluster lives through all of this; at the end a node of it is dead."""
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("cluster"), nodes=2) as up:
        up.kubectl("apply", "-f", HELLO)
        up.kubectl("rollout", "status", "deployment/hello", "--timeout=60s")
        up.kubectl("rollout", "status", "daemonset/machine-info", "--timeout=60s")
        yield up


def hello_pods(cluster: RealCluster) -> list[tuple[str, str, str]]:
    """(name, address, node) of those that run."""
    return [
        (p["metadata"]["name"], p["status"]["podIP"], p["spec"]["nodeName"])
        for p in cluster.pods("app=hello")
        if p["status"]["phase"] == "Running" and not p["metadata"].get("deletionTimestamp")
    ]


def answers(cluster: RealCluster, url: str, tries: int = 30) -> Counter[str]:
    node = cluster.bed.nodes[0]
    return Counter(cluster.curl(node, url) for _ in range(tries))


def test_pods_are_spread_over_the_nodes(cluster: RealCluster) -> None:
    assert {node for _, _, node in hello_pods(cluster)} == {"node1", "node2"}
    assert "node1" in cluster.kubectl("get", "pods", "-o", "wide")


def test_every_node_runs_the_daemon_and_shows_its_own_file(cluster: RealCluster) -> None:
    found = cluster.pods("app=machine-info")
    assert sorted(p["spec"]["nodeName"] for p in found) == ["node1", "node2"]
    url = f"http://{found[0]['status']['podIP']}:8080/os-release"
    assert "PRETTY_NAME" in cluster.curl(cluster.bed.nodes[0], url)


def test_pods_are_reached_by_address_from_both_nodes(cluster: RealCluster) -> None:
    for name, address, _ in hello_pods(cluster):
        for node in cluster.bed.nodes:
            url = f"http://{address}:8080/cgi-bin/index.cgi"
            assert f"hello from {name}" in cluster.curl(node, url)


def test_the_service_address_answers_from_all_pods(cluster: RealCluster) -> None:
    ip = cluster.json("service", "hello")["spec"]["clusterIP"]
    seen = answers(cluster, f"http://{ip}/cgi-bin/index.cgi")
    assert len(seen) == 3
    assert "" not in seen


def test_the_node_port_answers_on_every_node_from_outside(cluster: RealCluster) -> None:
    for node in cluster.bed.nodes:
        url = f"http://{node.ip}:30080/cgi-bin/index.cgi"
        got = Counter(cluster.curl(cluster.bed.server, url) for _ in range(20))
        assert len(got) == 3
        assert "" not in got


def test_a_pod_reaches_the_service_by_its_name(cluster: RealCluster) -> None:
    name, _, _ = hello_pods(cluster)[0]
    for host in ("hello", "hello.default", "hello.default.svc.cluster.local"):
        got = cluster.kubectl(
            "exec", name, "--", "wget", "-qO-", f"http://{host}/cgi-bin/index.cgi"
        )
        assert "hello from" in got


def test_exec_passes_streams_and_the_exit_code(cluster: RealCluster) -> None:
    name, _, _ = hello_pods(cluster)[0]
    said = cluster.kubectl("exec", "-i", name, "--", "sh", "-c", "cat; echo err >&2", stdin="in\n")
    assert said == "in\n"
    process = cluster.kubectl_process("exec", name, "--", "sh", "-c", "exit 7")
    assert process.wait(30) == 7


def test_exec_with_a_terminal_is_a_conversation(cluster: RealCluster) -> None:
    name, _, _ = hello_pods(cluster)[0]
    ours, theirs = pty.openpty()
    process = cluster.kubectl_process(
        "exec", "-it", name, "--", "sh", stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    try:
        seen = b""
        os.write(ours, b"echo a$((40+2))b; tty; exit 3\n")
        deadline = time.monotonic() + 30
        while b"a42b" not in seen and time.monotonic() < deadline:
            if select.select([ours], [], [], 1)[0]:
                seen += os.read(ours, 4096)
        assert b"a42b" in seen
        assert process.wait(30) == 3
    finally:
        cluster.end(process)
        os.close(ours)


def test_logs_follow_a_container(cluster: RealCluster) -> None:
    manifest = """
apiVersion: v1
kind: Pod
metadata: {name: talker}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: docker.io/library/busybox:1.36
      command: [sh, -c, "n=0; while :; do echo line $n; n=$((n+1)); sleep 0.2; done"]
"""
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/talker", "--timeout=60s")
    process = cluster.kubectl_process(
        "logs", "-f", "talker", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert [process.stdout.readline() for _ in range(5)] == [f"line {n}\n" for n in range(5)]
    finally:
        cluster.end(process)
    assert len(cluster.kubectl("logs", "talker", "--tail=2").splitlines()) == 2
    cluster.kubectl("delete", "pod", "talker")


def test_bad_pods_say_what_is_wrong(cluster: RealCluster) -> None:
    cluster.kubectl(
        "run", "nowhere", "--image=localhost/no/such:image", "--image-pull-policy=Never"
    )
    cluster.kubectl(
        "run", "huge", "--image=busybox",
        '--overrides={"spec":{"containers":[{"name":"huge","image":"busybox","resources":'
        '{"requests":{"cpu":"9999"}}}]}}',
    )  # fmt: skip
    cluster.wait(
        "the missing image is named",
        lambda: "ErrImageNeverPull" in cluster.kubectl("describe", "pod", "nowhere"),
    )
    cluster.wait(
        "the impossible request is named",
        lambda: "2 Insufficient cpu" in cluster.kubectl("describe", "pod", "huge"),
    )
    cluster.kubectl("delete", "pod", "nowhere", "huge")


def test_a_rollout_fails_no_request(cluster: RealCluster) -> None:
    url = f"http://{cluster.bed.nodes[1].ip}:30080/cgi-bin/index.cgi"
    seen: Counter[str] = Counter()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answer = cluster.curl(cluster.bed.server, url)
            seen[answer.rpartition(" ")[2].strip() or "failed"] += 1

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        cluster.kubectl("set", "image", "deployment/hello", "web=edgek.io/hello:2")
        cluster.kubectl("rollout", "status", "deployment/hello", "--timeout=90s", timeout=100)
        cluster.wait("the new version answers alone", lambda: seen["2"] > 20, 30)
    finally:
        done.set()
        asking.join()
    assert seen["failed"] == 0, seen
    assert seen["1"] > 0, seen


def test_killing_the_processes_restarts_no_pod(cluster: RealCluster) -> None:
    def containers() -> list[str]:
        return sorted(
            cluster.bed.nodes[0].run(
                "podman", "ps", "--format", "{{.ID}} {{.StartedAt}}", capture_output=True
            ).stdout.splitlines()
        )  # fmt: skip

    before = containers()
    server, node = cluster.bed.server, cluster.bed.nodes[0]
    cluster.stop(server, signal.SIGKILL)
    cluster.stop(node, signal.SIGKILL)
    node.run("pkill", "-KILL", "-f", "podman system service", check=False)
    assert cluster.curl(server, f"http://{node.ip}:30080/cgi-bin/index.cgi"), "services go on"
    cluster.start_server()
    cluster.start_agent(node)
    cluster.kubectl("wait", "--for=condition=Ready", "node/node1", "--timeout=60s")
    cluster.kubectl("rollout", "status", "deployment/hello", "--timeout=60s")
    cluster.kubectl("scale", "deployment/hello", "--replicas=5")
    cluster.kubectl("rollout", "status", "deployment/hello", "--timeout=60s")
    assert set(before) <= set(containers())
    cluster.kubectl("scale", "deployment/hello", "--replicas=3")
    cluster.wait("three pods are left", lambda: len(cluster.pods("app=hello")) == 3)


def test_a_node_that_lost_power_starts_its_pods_with_no_server_in_reach(
    cluster: RealCluster,
) -> None:
    node = cluster.bed.nodes[1]
    mine = [a for _, a, n in hello_pods(cluster) if n == node.name]
    assert mine
    node.crash()
    cluster.processes.pop(node.name).wait()
    node.boot()
    node.unplug()
    cluster.start_agent(node)
    cluster.wait(
        "the pods answer on the lonely node",
        lambda: all(
            "hello" in cluster.curl(node, f"http://{a}:8080/cgi-bin/index.cgi") for a in mine
        ),
    )
    node.plug_in()
    cluster.kubectl("wait", "--for=condition=Ready", "node/node2", "--timeout=60s")


def test_the_pods_of_a_dead_node_move(cluster: RealCluster) -> None:
    # Tolerations of seconds instead of five minutes: the wait is not what is tried.
    patch = (
        '{"spec":{"template":{"spec":{"tolerations":['
        '{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute",'
        '"tolerationSeconds":1},{"key":"node.kubernetes.io/not-ready","operator":"Exists",'
        '"effect":"NoExecute","tolerationSeconds":1}]}}}}'
    )
    cluster.kubectl("patch", "deployment", "hello", "-p", patch)
    cluster.kubectl("rollout", "status", "deployment/hello", "--timeout=90s", timeout=100)
    node = cluster.bed.nodes[1]
    node.crash()
    cluster.processes.pop(node.name).wait()
    cluster.wait(
        "node2 is NotReady",
        lambda: "NotReady" in cluster.kubectl("get", "node", "node2"),
        120,
    )
    cluster.wait(
        "three pods run on node1",
        lambda: [n for _, _, n in hello_pods(cluster)].count("node1") == 3,
        60,
    )
    ip = cluster.json("service", "hello")["spec"]["clusterIP"]
    assert "" not in answers(cluster, f"http://{ip}/cgi-bin/index.cgi", 10)
