"""A device on its own: static pods, a server out of reach, power cuts, a shutdown in good order.

One server, two real nodes, real Podman, real kubectl; the cluster lives through all of it.
"""

import os
import pty
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.images import BUSYBOX
from tests.support.real_cluster import BIN, RealCluster, real_cluster
from tests.support.testbed import Space, missing_need

IN_ORDER = True
"""One cluster lives through all of this; at the end it has another network."""
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]
SERVE = "trap 'echo told to end; exit 0' TERM; echo up; while :; do sleep 0.1; done"
STATIC = f"""
apiVersion: v1
kind: Pod
metadata: {{name: keeper, labels: {{app: keeper}}}}
spec:
  priorityClassName: system-node-critical
  terminationGracePeriodSeconds: 5
  containers:
    - {{name: main, image: "{BUSYBOX}", command: [sh, -c, "{SERVE}"]}}
"""
WORKLOAD = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: greeting}}
data: {{text: hello}}
---
apiVersion: v1
kind: Secret
metadata: {{name: password}}
stringData: {{text: secret}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{app: web}}}}
spec:
  nodeName: node1
  terminationGracePeriodSeconds: 2
  containers:
    - name: main
      image: "{BUSYBOX}"
      command: [sh, -c, "trap exit TERM; httpd -p 8080 -h /all; echo serving; while :; do sleep 0.1; done"]
      readinessProbe: {{httpGet: {{path: /text, port: 8080}}, periodSeconds: 1}}
      volumeMounts:
        - {{name: all, mountPath: /all}}
  volumes:
    - name: all
      projected:
        sources:
          - configMap: {{name: greeting}}
          - secret: {{name: password, items: [{{key: text, path: password}}]}}
          - configMap: {{name: never-made, optional: true}}
          - serviceAccountToken: {{path: token}}
"""  # noqa: E501


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("offline"), nodes=2) as up:
        yield up


def edgek(node: Space, *argv: str, ok: bool = True, **how: Any) -> str:
    done = node.run(
        BIN / "edgek", "node", *argv, capture_output=True, check=False, timeout=60, **how
    )
    assert (done.returncode == 0) == ok, f"edgek node {argv}: {done.stdout}{done.stderr}"
    return str(done.stdout if ok else done.stderr)


def manifests(node: Space) -> Path:
    return node.dir / "etc/edgek/manifests"


def put(node: Space, name: str, text: str) -> None:
    (manifests(node) / name).write_text(text)


def mirror(cluster: RealCluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.json("pods", "-l", "app=keeper")
    return found["items"][0] if found["items"] else {}


def runs(cluster: RealCluster, grace: str = "") -> bool:
    pod = mirror(cluster)
    is_new = not grace or str(pod.get("spec", {}).get("terminationGracePeriodSeconds")) == grace
    return bool(pod) and is_new and pod["status"].get("phase") == "Running"


def row(node: Space, name: str) -> list[str]:
    lines = [line.split() for line in edgek(node, "pods").splitlines()]
    return next((line for line in lines if name in line), [])


def container_starts(node: Space, name: str) -> int:
    said = node.run("podman", "ps", "-a", "--format", "{{.Names}}", capture_output=True).stdout
    return sum(f"_{name}_" in line for line in said.splitlines())


def test_a_manifest_becomes_a_pod_that_kubectl_can_work_with(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    put(node, "keeper.yaml", STATIC)
    cluster.wait("the mirror shows it running", lambda: runs(cluster))
    found = mirror(cluster)
    assert found["metadata"]["name"] == "keeper-node1"
    assert found["metadata"]["ownerReferences"][0]["kind"] == "Node"
    assert "up" in cluster.kubectl("logs", "keeper-node1")
    assert cluster.kubectl("exec", "keeper-node1", "--", "hostname") == "keeper-node1\n"


def test_a_deleted_mirror_comes_back_and_the_pod_never_stopped(cluster: RealCluster) -> None:
    before = mirror(cluster)["metadata"]["uid"]
    cluster.kubectl("delete", "pod", "keeper-node1", "--wait=false")
    cluster.wait(
        "another mirror",
        lambda: runs(cluster) and mirror(cluster)["metadata"]["uid"] != before,
    )
    assert container_starts(cluster.bed.nodes[0], "keeper-node1") == 1


def test_a_broken_manifest_is_told_of_and_the_old_pod_goes_on(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    put(node, "keeper.yaml", STATIC.replace("spec:", "spec:\n  serviceAccountName: default"))
    sentence = "static pods may not reference serviceaccounts"
    cluster.wait("an event", lambda: sentence in cluster.kubectl("describe", "node", "node1"))
    assert runs(cluster)
    put(node, "keeper.yaml", STATIC.replace("GracePeriodSeconds: 5", "GracePeriodSeconds: 4"))
    cluster.wait("the changed pod runs", lambda: runs(cluster, "4"))


def test_the_device_tells_of_its_pods_itself(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    cluster.kubectl("apply", "-f", "-", stdin=WORKLOAD)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=40s")
    assert row(node, "web")[:4] == ["default", "web", "1/1", "Running"]
    assert "serving" in edgek(node, "logs", "web", "--tail", "1")
    said = edgek(node, "exec", "-i", "default/web", "--", "sh", "-c", "cat; exit 3",
                 ok=False, input="in\n")  # fmt: skip
    assert said == ""
    assert edgek(node, "exec", "web", "--", "cat", "/all/text") == "hello"
    status = edgek(node, "status")
    assert ", reachable since" in status
    assert "Checkpoint:   written" in status
    assert "there is no pod nope" in edgek(node, "logs", "nope", ok=False)


def test_a_terminal_is_given_on_the_device(cluster: RealCluster) -> None:
    ours, theirs = pty.openpty()
    process = cluster.bed.nodes[0].popen(
        BIN / "edgek", "node", "exec", "-it", "web", "--", "sh",
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    try:
        seen = b""
        os.write(ours, b"echo a$((40+2))b; stty size; exit 3\n")
        deadline = time.monotonic() + 30
        while b"a42b" not in seen and time.monotonic() < deadline:
            if select.select([ours], [], [], 1)[0]:
                seen += os.read(ours, 4096)
        assert b"a42b" in seen
        assert process.wait(30) == 3
    finally:
        if process.poll() is None:
            process.kill()
        os.close(ours)


def test_a_restarted_agent_leaves_all_pods_alone(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    before = node.run("podman", "ps", "-q", capture_output=True).stdout
    cluster.stop(node)
    said = edgek(node, "pods", ok=False)
    assert "no agent runs on this machine" in said
    cluster.start_agent(node)
    cluster.wait("the agent answers", lambda: row_or_none(node, "web")[3:4] == ["Running"])
    assert node.run("podman", "ps", "-q", capture_output=True).stdout == before


def row_or_none(node: Space, name: str) -> list[str]:
    try:
        return row(node, name)
    except AssertionError:
        return []


def test_after_a_power_cut_with_no_server_all_pods_are_back(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    service = cluster.json("service", "web")["spec"]["clusterIP"]
    token = cluster.kubectl("exec", "web", "--", "cat", "/all/token")
    time.sleep(1.5)  # the checkpoint is written a second after the last change
    node.unplug()
    cluster.processes.pop(node.name).poll()
    node.crash()
    half_written = node.dir / "var/lib/edgek/agent/checkpoint/.pods.json.0123abcd.tmp"
    half_written.write_bytes(b'[{"metadata": {"na')
    node.boot()
    node.unplug()
    cluster.start_agent(node)
    cluster.wait("web is ready", lambda: row_or_none(node, "web")[2:4] == ["1/1", "Running"])
    cluster.wait(
        "keeper runs", lambda: row_or_none(node, "keeper-node1")[2:4] == ["1/1", "Running"]
    )
    assert edgek(node, "exec", "web", "--", "cat", "/all/password") == "secret"
    assert edgek(node, "exec", "web", "--", "cat", "/all/token") == token  # none can be had anew
    assert not half_written.exists()
    cluster.wait("the service answers", lambda: cluster.curl(node, f"http://{service}/text"))
    name = "http://web.default.svc.cluster.local/text"
    assert edgek(node, "exec", "web", "--", "wget", "-qO-", name) == "hello"
    cluster.wait("it says so", lambda: ", not reachable since" in edgek(node, "status"))
    assert "serving" in edgek(node, "logs", "web")


def test_when_the_server_is_back_nothing_is_restarted(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    before = node.run("podman", "ps", "-q", capture_output=True).stdout
    node.plug_in()
    cluster.kubectl("wait", "--for=condition=Ready", "node/node1", "--timeout=60s")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    cluster.wait("the mirror leads to it", lambda: "up" in cluster._try("logs", "keeper-node1"))
    assert node.run("podman", "ps", "-q", capture_output=True).stdout == before


def test_a_shutdown_ends_pods_in_order_and_says_so(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    said = edgek(node, "shutdown")
    assert said == "2 pods ended, 0 still running\n"
    assert node.run("podman", "ps", "-q", capture_output=True).stdout == ""
    web = cluster.json("pod", "web")["status"]
    for status in (web, mirror(cluster)["status"]):
        told = status["phase"], status.get("reason")
        assert told == ("Failed", "Terminated"), f"{status}\n{cluster.logs()}"
    assert web["message"] == "Pod was terminated in response to imminent node shutdown."
    assert any(c["type"] == "DisruptionTarget" for c in web["conditions"])
    ready = "{.status.conditions[?(@.type=='Ready')].message}"
    shown = ["get", "node", "node1", "-o", f"jsonpath={ready}"]
    cluster.wait("the node says it", lambda: "shutting down" in cluster.kubectl(*shown))
    log = next((node.dir / "var/log/pods").glob("default_keeper-node1_*/main/0.log"))
    assert "told to end" in log.read_text()


def test_after_the_boot_static_pods_are_back_and_ended_ones_are_not(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    cluster.stop(node, signal.SIGKILL)
    node.crash()
    node.boot()
    cluster.start_agent(node)
    cluster.wait("the static pod runs again", lambda: runs(cluster, "4"))
    assert cluster.json("pod", "web")["status"]["phase"] == "Failed"
    running = node.run("podman", "ps", "--format", "{{.Names}}", capture_output=True).stdout
    assert "keeper" in running
    assert "_web_" not in running
    (manifests(node) / "keeper.yaml").unlink()
    cluster.wait("pod and mirror are gone", lambda: not mirror(cluster))


def test_a_node_made_anew_with_another_network_moves_to_it(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[1]
    old = cluster.json("node", "node2")["spec"]["podCIDR"]
    put(node, "keeper.yaml", STATIC)
    cluster.wait("it runs", lambda: runs(cluster))
    cluster.kubectl("delete", "node", "node2")

    def moved() -> bool:
        pod = mirror(cluster)
        ip = pod.get("status", {}).get("podIP", "") if pod else ""
        return bool(ip) and not ip.startswith(old.rpartition(".")[0] + ".")

    cluster.wait("the pod has an address of the new network", moved)
    new = cluster.json("node", "node2")["spec"]["podCIDR"]
    assert mirror(cluster)["status"]["podIP"].startswith(new.rpartition(".")[0] + ".")
    seen = ("exec", "keeper-node2", "--", "hostname")
    cluster.wait("kubectl reaches it", lambda: cluster._try(*seen) == "keeper-node2\n")
