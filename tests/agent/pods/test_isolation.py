"""How far pods are kept from the node, on a node in memory: what they get, and are refused."""

from pathlib import Path
from typing import Any

import pytest

from agent.pods.isolation import NodeSecurity
from agent.runtime.runtime import ContainerSpec
from edgek.aio.clock import FakeClock
from edgek.api.meta import Obj
from edgek.kinds import NODE, POD, RUNTIME_CLASS
from tests.support.node import Node, running_node
from tests.support.pods import make_pod

pytestmark = pytest.mark.looptime


def is_running(node: Node, name: str = "web") -> bool:
    return node.pod(name) is not None and node.status(name).get("phase") == "Running"


def specs(node: Node) -> dict[str, ContainerSpec]:
    """The last one of each container, by its name in the pod."""
    return {s.labels["io.edgek.container-name"]: s for s in node.runtime.specs.values()}


def runtime_class(name: str, handler: str) -> Obj:
    return {
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
        "metadata": {"name": name}, "handler": handler,
    }  # fmt: skip


async def test_containers_share_one_pid_namespace_that_ends_with_the_pod(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod("web", "a", "b", shareProcessNamespace=True))
        await node.until(lambda: is_running(node))
        (holder,) = node.holders.running.values()
        assert {s.namespaces.pid for s in specs(node).values()} == {f"/proc/{holder}/ns/pid"}
        node.delete(grace=1)
        await node.until(lambda: node.pod() is None)
        assert node.holders.running == {}


async def test_others_have_their_own_or_the_hosts(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod())
        await node.until(lambda: is_running(node))
        assert specs(node)["main"].namespaces.pid == "private"
        node.api.put(POD, make_pod("host", "a", hostPID=True, shareProcessNamespace=True))
        await node.until(lambda: is_running(node, "host"))
        assert specs(node)["a"].namespaces.pid == "host"
        assert node.holders.running == {}


async def test_containers_in_the_hosts_network_share_memory_of_their_own(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod("web", "a", "b", hostNetwork=True))
        await node.until(lambda: is_running(node))
        own = str(tmp_path / "pods/uid-web/ipc")
        assert {s.namespaces.ipc for s in specs(node).values()} == {own}
        node.api.put(POD, make_pod("host", "main", hostNetwork=True, hostIPC=True))
        await node.until(lambda: is_running(node, "host"))
        assert specs(node)["main"].namespaces.ipc == "host"


async def test_pods_with_users_of_their_own_have_different_ids(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod("web", "a", hostUsers=False))
        node.api.put(POD, make_pod("other", "b", hostUsers=False))
        await node.until(lambda: is_running(node) and is_running(node, "other"))
        ranges = sorted(s.security.id_range.first for s in specs(node).values()
                        if s.security.id_range)  # fmt: skip
        assert ranges == [65536, 131072]


async def test_a_node_tells_when_it_cannot_keep_users_apart(tmp_path: Path) -> None:
    poor = NodeSecurity(user_namespaces=False)
    async with running_node(tmp_path, clock=FakeClock(), security=poor) as node:
        node.api.put(POD, make_pod(hostUsers=False))
        await node.until(lambda: "FailedCreatePodSandBox" in node.reasons())
        assert node.messages("FailedCreatePodSandBox")[0] == (
            "Failed to create pod sandbox: can't set `spec.hostUsers: false`, "
            "runtime does not support user namespaces"
        )
        assert node.runtime.specs == {}


async def test_a_runtime_class_names_the_runtime(tmp_path: Path) -> None:
    two = NodeSecurity(handlers=("crun", "other"))
    async with running_node(tmp_path, clock=FakeClock(), security=two) as node:
        node.api.put(RUNTIME_CLASS, runtime_class("fast", "other"))
        node.api.put(RUNTIME_CLASS, runtime_class("strange", "absent"))
        node.api.put(POD, make_pod("web", "a", runtimeClassName="fast"))
        await node.until(lambda: is_running(node))
        assert specs(node)["a"].handler == "other"
        node.api.put(POD, make_pod("lost", "b", runtimeClassName="strange"))
        await node.until(lambda: "FailedCreatePodSandBox" in node.reasons())
        assert node.messages("FailedCreatePodSandBox")[0] == (
            "Failed to create pod sandbox: failed to get sandbox runtime: "
            'no runtime for "absent" is configured'
        )


async def test_sysctls_are_the_networks_to_set(tmp_path: Path) -> None:
    wanted = {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "0"}]}
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod(securityContext=wanted))
        await node.until(lambda: is_running(node))
        assert node.network.sysctls == {"uid-web": {"net.ipv4.tcp_syncookies": "0"}}
        assert specs(node)["main"].security.sysctls == {}


async def test_a_pod_with_a_refused_field_waits_and_says_which(tmp_path: Path) -> None:
    volumes = [{"name": "v", "emptyDir": {"mode": 0o700}}]
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod(volumes=volumes))
        await node.until(lambda: "Failed" in node.reasons())
        told = "spec.volumes[0].emptyDir.mode is refused: alpha upstream and off there by default"
        assert node.messages("Failed") == [f"Error: {told}"]
        waiting: dict[str, Any] = {"reason": "CreateContainerConfigError", "message": told}
        await node.until(lambda: node.container()["state"].get("waiting") == waiting)
        assert node.runtime.specs == {}


async def test_a_critical_pod_takes_the_place_of_another(tmp_path: Path) -> None:
    def asking(name: str, container: str, **spec: Any) -> Obj:
        pod = make_pod(name, container, **spec)
        pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "3"}}
        return pod

    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, asking("plain", "a"))
        await node.until(lambda: is_running(node, "plain"))
        node.api.put(POD, asking("web", "b", priority=2_000_000_000))
        await node.until(lambda: is_running(node))
        await node.until(lambda: node.status("plain").get("phase") == "Failed", within=60)
        status = node.status("plain")
        assert (status["reason"], status["message"]) == (
            "Preempting", "Preempted in order to admit critical pod",
        )  # fmt: skip
        assert node.messages("Preempting") == ["Preempted in order to admit critical pod"]


async def test_what_is_known_of_the_node_may_be_old(tmp_path: Path) -> None:
    old = {"metadata": {"name": "node1", "labels": {}}, "spec": {}}
    fresh = {"metadata": {"name": "node1", "labels": {"disk": "ssd"}}, "spec": {}}
    async with running_node(tmp_path, clock=FakeClock(), node=old) as node:
        node.api.put(NODE, fresh)
        node.api.put(POD, make_pod(nodeSelector={"disk": "ssd"}))
        await node.until(lambda: is_running(node))
        node.api.put(POD, make_pod("wrong", "a", nodeSelector={"disk": "hdd"}))
        await node.until(lambda: node.status("wrong").get("phase") == "Failed")
        assert node.status("wrong")["reason"] == "NodeAffinity"


async def test_a_container_starts_again_though_its_runtime_class_has_gone(tmp_path: Path) -> None:
    two = NodeSecurity(handlers=("crun", "other"))
    async with running_node(tmp_path, clock=FakeClock(), security=two) as node:
        node.api.put(RUNTIME_CLASS, runtime_class("fast", "other"))
        node.api.put(POD, make_pod(runtimeClassName="fast"))
        await node.until(lambda: is_running(node))
        node.api.remove(RUNTIME_CLASS, "", "fast")
        (container,) = await node.runtime.containers()
        node.runtime.end(container.id, exit_code=1)
        await node.until(lambda: node.container().get("restartCount") == 1)
        assert specs(node)["main"].handler == "other"
