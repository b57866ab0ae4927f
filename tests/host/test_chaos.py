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
from pathlib import Path
from typing import Any

import pytest

from edgek.client.pool import MAX_IDLE
from tests.support.images import BUSYBOX
from tests.support.leaks import Snapshot, leaked, open_files, returns_to, settled
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import Space, missing_need

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]

IN_ORDER = True
STORM = 15
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


def clients(chaos: Chaos, folder: Path) -> dict[str, "subprocess.Popen[Any]"]:
    """What users have open, each with its output in a file of its name."""
    asked = {
        "exec": ("exec", "-i", "plain", "--", "sh", "-c", "echo up; sleep 7771; true"),
        "attach": ("attach", "talking"),
        "logs": ("logs", "-f", "talking"),
    }  # fmt: skip
    found = {}
    for name, argv in asked.items():
        with (folder / name).open("w") as out:
            how = {"stdin": subprocess.PIPE, "stdout": out, "stderr": out}
            found[name] = chaos.cluster.kubectl_process(*argv, **how)
    for name in asked:
        chaos.cluster.wait(f"{name} is up", (folder / name).read_text)
    chaos.cluster.wait(
        "the attached one is, too", lambda: "said" in (folder / "attach").read_text()
    )
    return found


@pytest.fixture
def talking(chaos: Chaos) -> Iterator[None]:
    said = json.dumps(pod("talking", "trap exit TERM; while :; do echo said; sleep 0.2; done"))
    chaos.cluster.kubectl("apply", "-f", "-", stdin=said)
    chaos.cluster.kubectl("wait", "--for=condition=Ready", "pod/talking", "--timeout=30s")
    yield
    chaos.cluster.kubectl("delete", "pod", "talking")


def _agent(chaos: Chaos) -> None:
    chaos.kill_agent()
    chaos.cluster.start_agent(chaos.node)


def _service(chaos: Chaos) -> None:
    chaos.kill(*chaos.pids("podman system service"))


@pytest.mark.usefixtures("talking")
@pytest.mark.parametrize(("break_it", "broken"), [
    (_agent, ("exec", "attach", "logs")), (_service, ("exec", "attach")),
])  # fmt: skip
def test_who_had_something_open_is_told_and_what_it_ran_ends(
    chaos: Chaos, tmp_path: Path, break_it: Callable[[Chaos], None], broken: tuple[str, ...]
) -> None:
    opened = clients(chaos, tmp_path)
    try:
        break_it(chaos)
        assert {name: opened[name].wait(20) for name in broken} == dict.fromkeys(broken, 1)
        for name in broken:
            assert "error" in (tmp_path / name).read_text()
        chaos.cluster.wait("its commands end", lambda: not chaos.pids("sleep 7771"), 20)
        chaos.cluster.wait("it works", chaos.works, 30)
    finally:
        for process in opened.values():
            chaos.cluster.end(process)


def test_a_node_that_is_deleted_comes_back_as_it_was(chaos: Chaos) -> None:
    containers = [chaos.container(name) for name in NAMES]
    before = chaos.cluster.json("node", "node1")
    chaos.cluster.kubectl("delete", "node", "node1")
    chaos.cluster.wait("a new Node", lambda: chaos.cluster._try("get", "node", "node1"), 20)
    chaos.cluster.kubectl("wait", "--for=condition=Ready", "node/node1", "--timeout=30s")
    after = chaos.cluster.json("node", "node1")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["spec"]["podCIDR"] == before["spec"]["podCIDR"]
    assert [chaos.container(name) for name in NAMES] == containers
    chaos.cluster.wait("it works", chaos.works, 20)


def test_in_the_end_nothing_is_left(chaos: Chaos) -> None:
    assert chaos.delete().wait(80) == 0
    assert returns_to(chaos.before, chaos.node) == ""
    assert leaked(chaos.before, settled(chaos.node)) == ""


def storm(chaos: Chaos, number: int) -> None:
    """Pods that go while they are being made, half of them by force, and of one name anew."""
    made = [pod(f"storm-{n}", volumes=[{"name": "m", "emptyDir": {"medium": "Memory"}}])
            for n in range(STORM)]  # fmt: skip
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
    chaos.cluster.kubectl("create", "-f", "-", stdin=text)
    time.sleep(number * 0.4)
    quick = ("delete", "pod", "--wait=false", *(f"storm-{n}" for n in range(STORM)))
    chaos.cluster.kubectl(*quick, *(("--force", "--grace-period=0") if number % 2 else ()))


def test_pods_that_come_and_go_at_once_leave_nothing_open(chaos: Chaos) -> None:
    watched = [chaos.cluster.bed.server, chaos.node]
    pids = [space.inner(chaos.cluster.processes[space.name]) for space in watched]
    storm(chaos, 2)  # what is opened once stays open
    gone = ("wait", "--for=delete", "pod", "--all", "--timeout=60s")
    chaos.cluster.kubectl(*gone, timeout=80)
    assert returns_to(chaos.before, chaos.node) == ""
    before = [open_files(pid) for pid in pids]
    for number in range(ROUNDS):
        storm(chaos, number)
        chaos.cluster.wait("the names are free", lambda: not chaos.cluster.json("pods")["items"])
    assert returns_to(chaos.before, chaos.node) == ""

    def more() -> list[str]:
        """Sockets of calls are kept for a while: a few may be more at one moment."""
        found = [open_files(pid) - old for pid, old in zip(pids, before, strict=True)]
        return [f"{kind} {n}" for kinds in found for kind, n in kinds.items()
                if kind != "socket:" or n > MAX_IDLE]  # fmt: skip

    chaos.cluster.wait("no more files are open than before", lambda: not more(), 20)
