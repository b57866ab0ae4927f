"""What a pod's spec may ask for, on a real node: names, variables, probes, hooks, conditions.

The pods of asked_of_a_pod.yaml are made at once; each test looks at what came of some of them.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from tests.support.real_cluster import RealCluster, real_cluster, start_program
from tests.support.testbed import Space, missing_need

ASKED = Path(__file__).parent / "asked_of_a_pod.yaml"
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]


@contextlib.contextmanager
def probed(node: Space) -> Iterator[None]:
    """Somebody on the node who answers probes."""
    ports = ("7444", "7443")
    peer = start_program(node, "tests.support.probe_peer", *ports, stdin=PIPE, stdout=PIPE)
    with peer:
        assert peer.stdout is not None
        assert peer.stdout.readline() == b"up\n"
        yield


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("fields"), nodes=1) as up, probed(up.bed.nodes[0]):
        asked = ASKED.read_text().replace("NODE_IP", up.bed.nodes[0].ip)
        up.kubectl("apply", "-f", "-", stdin=asked)
        yield up


def conditions(cluster: RealCluster, pod: str) -> dict[str, dict[str, Any]]:
    return {c["type"]: c for c in cluster.status(pod).get("conditions") or ()}


def events(cluster: RealCluster, pod: str) -> set[tuple[str, str, str]]:
    """(reason, the container's field, message)."""
    found = cluster.json("events", f"--field-selector=involvedObject.name={pod}")["items"]
    return {(e["reason"], e["involvedObject"].get("fieldPath", ""), e["message"]) for e in found}


def is_told(cluster: RealCluster, pod: str, reason: str, field: str, message: str) -> None:
    """Events are on their way for a moment."""
    one = (reason, field, message)
    cluster.wait(f"{pod} has {one}", lambda: one in events(cluster, pod), 20)


def said(cluster: RealCluster, pod: str) -> str:
    done = "--for=jsonpath={.status.phase}=Succeeded"
    cluster.kubectl("wait", done, f"pod/{pod}", "--timeout=40s")
    return cluster.kubectl("logs", pod, "-c", "main")


def test_variables_come_from_all_that_they_may_name(cluster: RealCluster) -> None:
    lines = said(cluster, "variables").splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    now = cluster.status("variables")
    node = cluster.json("node", "node1")["status"]["allocatable"]
    expected = {
        "a": None, "P_a": "one", "P_B.c": None, "P_bin": None, "pw": "over", "SECRET": "s3cret",
        "KEY": "one", "NO_KEY": None, "FILE": "a file # x", "NO_FILE": None, "LATER": "l",
        "REF": "<one-$(LATER)-$(P_a)-10.43.0.77>", "F_NAME": "variables", "F_LABEL": "web",
        "F_NOTE": "a note", "F_NODE": "node1", "F_HOST": now["hostIP"], "F_IP": now["podIP"],
        "R_CPU": "250", "R_CPUS": "1", "R_ALL": node["memory"].removesuffix("Ki"),
        "R_MEMORY": "32", "HOSTNAME": "h1", "MY_DB_SERVICE_HOST": "10.43.0.77",
        "MY_DB_SERVICE_PORT_PG_X": "5432", "MY_DB_PORT_80_UDP": "udp://10.43.0.77:80",
    }  # fmt: skip
    assert {k: found.get(k) for k in expected} == expected
    assert "args one $(P_a) $(NOPE) x<one-$(LATER)-$(P_a)-10.43.0.77>" in lines


def test_a_pod_has_the_names_and_the_resolver_that_it_asks_for(cluster: RealCluster) -> None:
    address = cluster.status("variables")["podIP"]
    own = "h1.sub.default.svc.cluster.local"
    found = said(cluster, "variables")
    assert f"\n{own}\n" in found  # hostname -f
    assert f"fe00::2\tip6-allrouters\n{address}\t{own}\th1\n" in found
    assert "\n# Entries added by HostAliases.\n192.0.2.9\tfoo.lan\tbar.lan\n" in found
    assert "cluster.local lan\nnameserver 10.43.0.10\nnameserver 192.0.2.1\n" in found
    assert "nameserver 192.0.2.2\noptions ndots:3 edns0\n" in found
    omitted = "the applied nameserver line is: 10.43.0.10 192.0.2.1 192.0.2.2"
    reasons = lambda: {r: m for r, _, m in events(cluster, "variables")}  # noqa: E731
    cluster.wait("it is told", lambda: "DNSConfigForming" in reasons(), 20)
    assert reasons()["DNSConfigForming"].endswith(omitted)

    full = said(cluster, "full-name")
    assert "HOSTNAME=h2.sub.default.svc.cluster.local\n" in full
    assert "\nh2.sub.default.svc.cluster.local\n" in full  # uname -n
    assert "KUBERNETES_SERVICE_HOST=" in full
    assert "MY_DB" not in full
    assert "10.43.0.10" not in full
    assert said(cluster, "other-name").endswith("\tvery.special.name\nnameserver 192.0.2.1\n")

    host = said(cluster, "host-name")
    assert host.startswith("node1\n# Kubernetes-managed hosts file (host network).\n127.0.0.1")
    assert "192.0.2.9\tfoo.lan\n" in host
    assert "nameserver 10.43.0.10\noptions ndots:5\n" in host
    assert cluster.status("host-name")["podIP"] == cluster.bed.nodes[0].ip


def test_probes_ask_by_every_way_there_is(cluster: RealCluster) -> None:
    """And the liveness probe of one that starts slowly waits for its startup probe."""
    cluster.kubectl("wait", "--for=condition=Ready", "pod/asked-web", "--timeout=40s")
    assert cluster.container("asked-web", "web")["restartCount"] == 0
    refused = "connect: connection refused"
    address = cluster.status("asked-web")["podIP"]
    why = f"Startup probe failed: dial tcp {address}:8080: {refused}"
    is_told(cluster, "asked-web", "Unhealthy", "spec.containers{web}", why)

    ready = lambda: cluster.container("asked-grpc", "good").get("ready")  # noqa: E731
    cluster.wait("the health service serves", ready, 20)
    why = 'Readiness probe failed: service unhealthy (responded with "NOT_SERVING")'
    is_told(cluster, "asked-grpc", "Unhealthy", "spec.containers{cold}", why)
    assert not cluster.container("asked-grpc", "cold")["ready"]


def test_probes_that_fail_are_told_in_the_kubelets_words(cluster: RealCluster) -> None:
    def told() -> set[tuple[str, str, str]]:
        return events(cluster, "asked-badly")

    cluster.wait("a restart", lambda: any(r == "Killing" for r, _, _ in told()), 30)
    slow = 'Readiness probe failed: command timed out: "sleep 77" timed out after 1s'
    cluster.wait("a timeout", lambda: any(m == slow for _, _, m in told()), 20)
    address = cluster.status("asked-badly")["podIP"]
    dial = f"dial tcp {address}:81: connect: connection refused"
    for name, message in {
        "http": f'Readiness probe failed: Get "http://{address}:81/": {dial}',
        "tcp": f"Readiness probe failed: {dial}",
        "port": "Readiness probe errored and resulted in unknown state: couldn't find port: nope",
        "start": "Startup probe failed: not yet\n",
    }.items():
        assert ("Unhealthy", f"spec.containers{{{name}}}", message) in told()
    killing = "Container start failed startup probe, will be restarted"
    assert ("Killing", "spec.containers{start}", killing) in told()
    left = cluster.bed.nodes[0].run("pgrep", "-fx", "sleep 77", capture_output=True, check=False)
    cluster.wait("nothing of it is left", lambda: len(left.stdout.split()) <= 1, 5)


def test_a_probe_whose_command_cannot_be_started_counts_neither_way(cluster: RealCluster) -> None:
    """As with containerd."""
    words = "Liveness probe errored and resulted in unknown state: "

    def told() -> bool:
        found = cluster.json("events", "--field-selector", "involvedObject.name=asked-in-vain")
        return any(
            event["message"].startswith(words)
            and "/nope" in event["message"]
            and event.get("count", 1) > 1
            for event in found["items"]
        )

    cluster.wait("it is told more than once", told, 20)
    assert cluster.container("asked-in-vain", "missing")["restartCount"] == 0


def test_a_storm_of_probes_runs_a_few_at_a_time_and_makes_nobody_fail(
    cluster: RealCluster,
) -> None:
    """Ten containers with a command of 0.7 s each second: more than fit into a second by fours."""
    node, most = cluster.bed.nodes[0], 0

    def all_ready() -> bool:
        nonlocal most
        running = node.run("pgrep", "-fxc", "sleep 0.71", capture_output=True, check=False)
        most = max(most, int(running.stdout))
        found = cluster.status("storm").get("containerStatuses") or ()
        return len(found) == 10 and all(c["ready"] for c in found)

    cluster.wait("all are ready", all_ready, 40)
    for _ in range(8):
        all_ready()
    assert 1 <= most <= 4
    assert "Unhealthy" not in {reason for reason, _, _ in events(cluster, "storm")}
    assert all(c["restartCount"] == 0 for c in cluster.status("storm")["containerStatuses"])
    cluster.kubectl("delete", "pod", "storm", "--timeout=20s")


def test_conditions_say_how_far_a_pod_is(cluster: RealCluster) -> None:
    waits = lambda: conditions(cluster, "gated").get("ContainersReady", {}).get("status")  # noqa: E731
    cluster.wait("its container is ready", lambda: waits() == "True", 30)
    found = conditions(cluster, "gated")
    shown = {k: c["status"] for k, c in found.items()}
    assert shown == {
        "PodScheduled": "True", "PodReadyToStartContainers": "True", "Initialized": "True",
        "ContainersReady": "True", "Ready": "False",
    }  # fmt: skip
    assert {c["observedGeneration"] for c in found.values()} == {1}
    assert (found["Ready"]["reason"], found["Ready"]["message"]) == (
        "ReadinessGatesNotReady",
        'corresponding condition of pod readiness gate "example.com/ok" does not exist.',
    )
    gate = '{"status":{"conditions":[{"type":"example.com/ok","status":"True"}]}}'
    cluster.kubectl("patch", "pod", "gated", "--subresource=status", "-p", gate)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/gated", "--timeout=20s")
    pod = cluster.status("gated")
    assert (pod["qosClass"], pod["observedGeneration"]) == ("Burstable", 1)
    assert pod["hostIPs"] == [{"ip": cluster.bed.nodes[0].ip}]
    assert pod["podIPs"] == [{"ip": pod["podIP"]}]
    classes = {p: cluster.status(p)["qosClass"] for p in ("first-port", "hooks")}
    assert classes == {"first-port": "Guaranteed", "hooks": "BestEffort"}


def test_what_fails_again_and_again_waits_longer_each_time(cluster: RealCluster) -> None:
    shows = lambda: "Init:CrashLoopBackOff" in cluster.kubectl("get", "pod", "looping")  # noqa: E731
    cluster.wait("it waits for its next try", shows, 20)
    found = conditions(cluster, "looping")
    message = "containers with incomplete status: [failing]"
    assert found["Initialized"]["message"] == message
    assert found["Ready"]["message"] == "containers with unready status: [main]"
    init = cluster.container("looping", "failing", "initContainerStatuses")
    assert init["lastState"]["terminated"]["exitCode"] == 1
    assert init["state"]["waiting"]["message"].partition(" restarting ")[0] in (
        "back-off 10s", "back-off 20s",
    )  # fmt: skip
    times = cluster.bed.nodes[0].dir / "var/log/looping/times"
    cluster.wait("a third try", lambda: len(times.read_text().split()) > 2, 30)
    first, second, third = [int(t) for t in times.read_text().split()][:3]
    assert second - first < 5
    assert 10 <= third - second < 15
    paused = ("BackOff", "spec.initContainers{failing}")
    cluster.wait("it is told", lambda: paused in {e[:2] for e in events(cluster, "looping")}, 20)


def test_a_pod_past_its_deadline_has_failed_and_keeps_its_address(cluster: RealCluster) -> None:
    cluster.kubectl(
        "wait", "--for=jsonpath={.status.reason}=DeadlineExceeded", "pod/late", "--timeout=40s"
    )
    over = lambda: cluster.status("late")["phase"] == "Failed"  # noqa: E731
    cluster.wait("it has ended", over, 20)
    pod = cluster.status("late")
    message = "Pod was active on the node longer than the specified deadline"
    assert (pod["message"], bool(pod["podIP"])) == (message, True)
    is_told(cluster, "late", "DeadlineExceeded", "", message)
    assert conditions(cluster, "late")["PodReadyToStartContainers"]["status"] == "False"
    assert conditions(cluster, "late")["Ready"]["reason"] == "PodFailed"


def test_hooks_sleep_and_ask_and_fail(cluster: RealCluster) -> None:
    cluster.wait("it asked", lambda: cluster.container("hooks", "asks").get("ready"), 30)
    bad = "spec.containers{bad}"
    is_told(cluster, "hooks", "FailedPostStartHook", bad, "PostStartHook failed")
    is_told(cluster, "hooks", "Killing", bad, "FailedPostStartHook")
    again = lambda: cluster.container("hooks", "bad")["restartCount"] >= 1  # noqa: E731
    cluster.wait("it is tried again", again, 20)


def test_a_termination_message_has_an_end(cluster: RealCluster) -> None:
    cluster.kubectl(
        "wait", "--for=jsonpath={.status.phase}=Failed", "pod/messages", "--timeout=40s"
    )
    found = {
        s["name"]: s["state"]["terminated"] for s in cluster.status("messages")["containerStatuses"]
    }
    assert found["file"]["message"] == "x" * 4096
    assert found["lines"]["message"] == "".join(f"{n}\n" for n in range(121, 201))
    assert len(found["bytes"]["message"]) == 2048
    assert found["bytes"]["message"].endswith("48,49,50\n")
    killed = found["killed"]
    assert (killed["exitCode"], killed["reason"], killed.get("message")) == (9, "Error", None)


def test_a_container_gets_the_signal_that_it_asks_for(cluster: RealCluster) -> None:
    cluster.kubectl("wait", "--for=condition=Ready", "pod/signalled", "--timeout=30s")
    assert cluster.container("signalled", "main")["stopSignal"] == "SIGUSR1"
    cluster.kubectl("delete", "pod", "signalled", "--timeout=20s")
    assert (cluster.bed.nodes[0].dir / "var/log/signal/signal").read_text() == "USR1\n"


def test_the_node_says_no_to_what_has_no_room_on_it(cluster: RealCluster) -> None:
    cluster.kubectl("wait", "--for=condition=Ready", "pod/first-port", "--timeout=30s")
    assert conditions(cluster, "first-port")["PodScheduled"]["status"] == "True"  # set by hand
    first = cluster.json("pod", "first-port")
    second: dict[str, Any] = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "second-port"},
        "spec": {"nodeName": "node1", "containers": first["spec"]["containers"]},
    }  # fmt: skip
    for container in second["spec"]["containers"]:
        container.pop("volumeMounts")
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(second))
    refused = {"second-port": "NodePorts", "too-large": "OutOfcpu"}
    for pod, reason in refused.items():
        cluster.wait(f"{pod} is refused", lambda p=pod: cluster.status(p).get("reason"), 20)
        assert cluster.status(pod)["reason"] == reason
        assert cluster.status(pod)["message"].startswith("Pod was rejected: ")
        assert "containerStatuses" not in cluster.status(pod)
        told = lambda p=pod: {r for r, _, _ in events(cluster, p)}  # noqa: E731
        cluster.wait("it is told", lambda r=reason, t=told: r in t(), 20)
