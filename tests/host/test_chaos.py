"""What breaks on a node, in turn, on real Podman: pods come back, and leave nothing when they go.

Every break is followed by the same questions: does kubectl show the pods Ready, can one get into
them and reach them, and is the node after their deletion as it was before they came? More rounds
of agents that die at random: EDGEK_CHAOS_ROUNDS=20, EDGEK_CHAOS_SEED=7 (the seed is printed).
"""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.images import BUSYBOX
from tests.support.leaks import Snapshot, leaked, returns_to, settled
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import Space, missing_need

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]

IN_ORDER = True
ROUNDS = int(os.environ.get("EDGEK_CHAOS_ROUNDS", "2"))
SEED = int(os.environ.get("EDGEK_CHAOS_SEED", "1"))
IDLE = "trap exit TERM; while :; do sleep 0.1; done"
NAMES = ("plain", "serving", "volumes", "shared")


def pod(name: str, *scripts: str, **spec: Any) -> dict[str, Any]:
    containers = [
        {"name": f"c{number}", "image": BUSYBOX, "command": ["sh", "-c", script]}
        for number, script in enumerate(scripts or (IDLE,))
    ]
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": containers, **spec},
    }  # fmt: skip


def load() -> list[dict[str, Any]]:
    """A hook, a probe, a host port, volumes, a claim, an init container, a sidecar."""
    plain = pod("plain")
    plain["spec"]["containers"][0]["lifecycle"] = {"preStop": {"exec": {"command": ["true"]}}}
    serving = pod("serving", "mkdir /w; echo fine > /w/i; exec httpd -f -p 80 -h /w")
    main = serving["spec"]["containers"][0]
    main["ports"] = [{"containerPort": 80, "hostPort": 8099}]
    main["readinessProbe"] = {"httpGet": {"path": "/i", "port": 80}, "periodSeconds": 1}
    volumes = pod("volumes", volumes=[
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "conf", "configMap": {"name": "conf"}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "image", "image": {"reference": BUSYBOX, "pullPolicy": "Never"}},
    ])  # fmt: skip
    volumes["spec"]["containers"][0]["volumeMounts"] = [
        {"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes["spec"]["volumes"]
    ]
    first = {"name": "first", "image": BUSYBOX, "command": ["true"]}
    car = {"name": "car", "image": BUSYBOX, "command": ["sh", "-c", IDLE]}
    shared = pod("shared", IDLE, IDLE, shareProcessNamespace=True,
                 initContainers=[first, car | {"restartPolicy": "Always"}])  # fmt: skip
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }  # fmt: skip
    conf = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"},
            "data": {"a": "1"}}  # fmt: skip
    return [conf, claim, plain, serving, volumes, shared]


class Chaos:
    def __init__(self, cluster: RealCluster) -> None:
        self.cluster = cluster
        self.node: Space = cluster.bed.nodes[0]
        self.before: Snapshot = {}

    def start(self) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": load()}
        self.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(items))

    def delete(self) -> "subprocess.Popen[Any]":
        what = (*(f"pod/{name}" for name in NAMES), "pvc/data")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return self.cluster.kubectl_process("delete", *what, "--timeout=60s", **quiet)

    def all_ready(self) -> None:
        pods = (f"pod/{name}" for name in NAMES)
        try:
            self.cluster.kubectl("wait", "--for=condition=Ready", *pods, "--timeout=60s",
                                 timeout=80)  # fmt: skip
        except AssertionError as err:
            raise AssertionError(f"{self.cluster.kubectl('describe', 'pods')}\n{err}") from err

    def works(self, name: str = "serving") -> bool:
        """One can get into it, and reach it from the node and from afar by its host port."""
        try:
            ip = self.cluster.json("pod", name)["status"]["podIP"]
            inside = self.cluster.kubectl("exec", name, "-c", "c0", "--", "echo", "in", timeout=10)
        except (AssertionError, KeyError, subprocess.SubprocessError):
            return False
        near = self.cluster.curl(self.node, f"http://{ip}/i")
        far = self.cluster.curl(self.cluster.bed.server, f"http://{self.node.ip}:8099/i")
        return (inside, near, far) == ("in\n", "fine\n", "fine\n")

    def restarts(self, name: str = "serving") -> int:
        found = self.cluster.json("pod", name)["status"]["containerStatuses"]
        return int(found[0]["restartCount"])

    def events(self, name: str = "serving") -> str:
        return self.cluster.kubectl("get", "events", "--field-selector",
                                    f"involvedObject.name={name}")  # fmt: skip

    # --- what may be broken ----------------------------------------------------------------

    def kill_agent(self) -> None:
        self.cluster.stop(self.node, signal.SIGKILL)

    def containers(self, name: str = "serving") -> list[str]:
        """Those that Podman calls running, the newest first."""
        found = self.node.run(
            "podman", "ps", "-q", "--no-trunc", "--filter", f"name=edgek_c0_{name}_",
            capture_output=True,
        )  # fmt: skip
        return list(found.stdout.split())

    def container(self, name: str = "serving") -> str:
        return self.containers(name)[0]

    def pids(self, pattern: str) -> list[str]:
        """As the node numbers them."""
        found = self.node.run("pgrep", "-f", pattern, check=False, capture_output=True)
        return list(found.stdout.split())

    def kill(self, *pids: str, how: str = "KILL") -> None:
        self.node.run("kill", f"-{how}", *pids, check=False, capture_output=True)

    def first_process(self, name: str = "serving") -> str:
        found = self.node.run("podman", "inspect", "-f", "{{.State.Pid}}", self.container(name),
                              capture_output=True)  # fmt: skip
        return str(found.stdout.strip())


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    with real_cluster(tmp_path_factory.mktemp("chaos"), nodes=1) as up:
        chaos = Chaos(up)
        chaos.start()  # the first pods of a node make some directories that stay
        chaos.all_ready()
        assert chaos.delete().wait(80) == 0
        chaos.before = settled(chaos.node)
        assert not chaos.before["containers"]
        yield chaos


@pytest.mark.parametrize("number", range(ROUNDS))
def test_an_agent_that_dies_at_any_moment_loses_nothing_and_leaves_nothing(
    chaos: Chaos, number: int
) -> None:
    chance = random.Random(f"{SEED}/{number}")
    print(f"EDGEK_CHAOS_SEED={SEED}")
    chaos.start()
    time.sleep(chance.uniform(0, 2))
    chaos.kill_agent()
    chaos.cluster.start_agent(chaos.node)
    chaos.all_ready()
    assert [chaos.restarts(name) for name in NAMES] == [0, 0, 0, 0]
    going = chaos.delete()
    time.sleep(chance.uniform(0, 2))
    chaos.kill_agent()
    chaos.cluster.start_agent(chaos.node)
    assert going.wait(80) == 0
    assert returns_to(chaos.before, chaos.node) == ""


def test_pods_are_there_for_what_follows(chaos: Chaos) -> None:
    chaos.start()
    chaos.all_ready()
    chaos.cluster.wait("the pod works", chaos.works, 20)


def _conmon(chaos: Chaos) -> None:
    """Podman never learns of the end of a container whose conmon is gone."""
    container, process = chaos.container(), chaos.first_process()
    chaos.kill(*chaos.pids(f"/conmon .*{container}"), process)


def _first_process(chaos: Chaos) -> None:
    chaos.kill(chaos.first_process())


def _container(chaos: Chaos) -> None:
    chaos.node.run("podman", "rm", "-f", "-t", "0", chaos.container(), capture_output=True)


@pytest.mark.parametrize("break_it", [_conmon, _first_process, _container])
def test_a_container_that_is_ended_by_force_is_started_again(
    chaos: Chaos, break_it: Callable[[Chaos], None]
) -> None:
    before = chaos.container()
    break_it(chaos)

    def another() -> bool:
        # Podman calls one that lost its conmon running for ever: the agent knows better.
        return bool(set(chaos.containers()) - {before})

    chaos.cluster.wait("another container", another, 40)
    chaos.cluster.wait("it works", chaos.works, 20)


def test_a_pod_whose_link_is_taken_away_gets_another(chaos: Chaos) -> None:
    ip = chaos.cluster.json("pod", "serving")["status"]["podIP"]
    route = chaos.node.run("ip", "route", "show", ip, capture_output=True).stdout.split()
    chaos.node.run("ip", "link", "del", route[route.index("dev") + 1])
    chaos.cluster.wait("it is told", lambda: "SandboxChanged" in chaos.events(), 30)
    chaos.cluster.wait("it works", chaos.works, 30)


def test_podmans_service_may_die(chaos: Chaos) -> None:
    counts = [chaos.restarts(name) for name in NAMES]
    chaos.kill(*chaos.pids("podman system service"))
    chaos.cluster.wait("it works", chaos.works, 30)
    assert [chaos.restarts(name) for name in NAMES] == counts


def test_the_server_may_be_gone_while_a_container_ends(chaos: Chaos) -> None:
    count = chaos.restarts()
    chaos.cluster.stop(chaos.cluster.bed.server, signal.SIGKILL)
    _first_process(chaos)
    chaos.cluster.start_server()
    chaos.cluster.wait("the restart is told", lambda: chaos.restarts() == count + 1, 60)
    chaos.cluster.wait("it works", chaos.works, 30)


def test_in_the_end_nothing_is_left(chaos: Chaos) -> None:
    assert chaos.delete().wait(80) == 0
    assert returns_to(chaos.before, chaos.node) == ""
    assert leaked(chaos.before, settled(chaos.node)) == ""
