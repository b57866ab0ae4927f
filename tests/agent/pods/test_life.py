"""Pods in memory: who starts and ends when, what restarts, and what is added or resized."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent.network.fake import FakeNetwork
from agent.node.checkpoint import trimmed
from agent.runtime.fake import FakeRuntime, Script
from agent.runtime.runtime import ExecResult, RuntimeFailure
from edgek.aio.clock import FakeClock
from edgek.api.conditions import find_condition
from edgek.api.meta import Key, Obj
from edgek.kinds import POD
from tests.support.memory_api import MemoryApi
from tests.support.node import Node, running_node
from tests.support.pods import make_pod

pytestmark = pytest.mark.looptime


def is_running(node: Node, name: str = "web") -> bool:
    return node.pod(name) is not None and node.status(name).get("phase") == "Running"


def started(node: Node) -> list[str]:
    """Containers by name in the order of their starts."""
    return [s.split("_")[1] for verb, s in node.runtime.calls if verb == "start"]


def stopped(node: Node) -> list[str]:
    return [s.split("_")[1] for verb, s in node.runtime.calls if verb == "stop"]


def change(node: Node, **spec: Any) -> None:
    """The server's next form of the pod."""
    pod = node.api.objects[POD, Key("default", "web")]
    meta = {**pod["metadata"], "generation": pod["metadata"].get("generation", 1) + 1}
    node.api.put(POD, {**pod, "metadata": meta, "spec": {**pod["spec"], **spec}})


def of(node: Node, which: str, name: str) -> Obj:
    found = node.status().get(which) or []
    return next((s for s in found if s["name"] == name), {})


# -- ephemeral containers ----------------------------------------------------------------------

DEBUG = {"name": "debug", "image": "a:1", "targetContainerName": "main", "stdin": True, "tty": True}


async def test_a_debug_container_joins_its_target_runs_once_and_ends_with_the_pod(
    tmp_path: Path,
) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod())
        await node.until(lambda: is_running(node))
        change(node, ephemeralContainers=[DEBUG])
        await node.until(
            lambda: "running" in of(node, "ephemeralContainerStatuses", "debug").get("state", {})
        )
        made = node.runtime.named("edgek_debug_web_default_uid-web_0")
        target = node.runtime.named("edgek_main_web_default_uid-web_0")
        spec = node.runtime.specs[made.id]
        assert spec.namespaces.pid == f"/proc/{target.pid}/ns/pid"
        assert (spec.stdin, spec.tty) == (True, True)
        assert node.container()["restartCount"] == 0

        node.runtime.end(made.id, exit_code=3)
        await node.until(
            lambda: "terminated" in of(node, "ephemeralContainerStatuses", "debug")["state"]
        )
        status = of(node, "ephemeralContainerStatuses", "debug")
        assert status["state"]["terminated"]["exitCode"] == 3
        await asyncio.sleep(60)
        assert started(node).count("debug") == 1
        assert is_running(node)
        node.delete(grace=2)
        await node.until(lambda: node.pod() is None)
        assert await node.runtime.containers() == []


async def test_a_debug_container_does_not_keep_a_finished_pod_alive(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        pod = make_pod(restartPolicy="Never", ephemeralContainers=[DEBUG])
        node.api.put(POD, pod)
        await node.until(lambda: started(node) == ["main", "debug"])
        node.runtime.end(node.runtime.named("edgek_main_web_default_uid-web_0").id, exit_code=0)
        await node.until(lambda: node.status()["phase"] == "Succeeded")
        assert stopped(node) == ["debug"]


# -- sidecars and hooks ------------------------------------------------------------------------


def sidecar(name: str, **more: Any) -> Obj:
    return {"name": name, "image": "b:1", "restartPolicy": "Always", **more}


async def test_sidecars_end_in_reverse_after_the_others_and_their_hooks_do_not_wait(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    async with running_node(tmp_path, clock=clock) as node:
        hooked: list[tuple[str, float]] = []
        loop = asyncio.get_running_loop()

        async def note(command: tuple[str, ...]) -> ExecResult:
            hooked.append((command[0], loop.time()))
            return ExecResult(exit_code=0, output=b"")

        node.runtime.scripts["b:1"] = Script(exec=note)
        node.runtime.scripts["main:1"] = Script(ignores_term=True)
        hook = {"preStop": {"exec": {"command": ["first"]}}}
        inits = [sidecar("first", lifecycle=hook), sidecar("second")]
        node.api.put(POD, make_pod(initContainers=inits))
        await node.until(lambda: is_running(node))
        assert started(node) == ["first", "second", "main"]
        began = loop.time()
        node.delete(grace=6)
        await node.until(lambda: node.pod() is None)
        assert stopped(node) == ["main", "second", "first"]
        (when,) = [at for name, at in hooked if name == "first"]
        assert when - began < 1
        assert 6 <= loop.time() - began < 8


async def test_a_post_start_hook_holds_back_the_containers_after_it(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        pod = make_pod("web", "a", "b")
        pod["spec"]["containers"][0]["lifecycle"] = {"postStart": {"sleep": {"seconds": 20}}}
        node.api.put(POD, pod)
        await node.until(lambda: started(node) == ["a"])
        await asyncio.sleep(10)
        assert started(node) == ["a"]
        await node.until(lambda: started(node) == ["a", "b"], within=15)


async def test_a_second_deletion_with_a_shorter_grace_is_kept(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running_node(tmp_path, clock=clock) as node:
        node.runtime.scripts["main:1"] = Script(ignores_term=True)
        node.api.put(POD, make_pod())
        await node.until(lambda: is_running(node))
        node.delete(grace=600)
        await node.until(lambda: stopped(node) == ["main"])
        began = clock.now()
        node.delete(grace=3)
        await node.until(lambda: node.pod() is None)
        assert (clock.now() - began).total_seconds() < 6


async def test_a_pod_past_its_deadline_fails_and_says_so(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod(activeDeadlineSeconds=5))
        await node.until(lambda: node.pod() and node.status()["phase"] == "Failed")
        assert node.status()["reason"] == "DeadlineExceeded"
        assert node.messages("DeadlineExceeded") == [
            "Pod was active on the node longer than the specified deadline"
        ]


async def test_an_image_that_changes_restarts_the_container_at_once_whatever_the_policy(
    tmp_path: Path,
) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod(restartPolicy="Never"))
        await node.until(lambda: is_running(node))
        change(node, containers=[{"name": "main", "image": "a:1"}])
        await node.until(lambda: node.container().get("image") == "a:1", within=8)
        assert node.container()["restartCount"] == 1


# -- restart rules -----------------------------------------------------------------------------


def rule(*codes: int, action: str = "Restart", operator: str = "In") -> Obj:
    return {"action": action, "exitCodes": {"operator": operator, "values": list(codes)}}


async def test_a_rule_restarts_one_container_of_a_pod_that_never_restarts(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        pod = make_pod("web", "a", "b", restartPolicy="Never")
        pod["spec"]["containers"][0] |= {"restartPolicy": "Never", "restartPolicyRules": [rule(42)]}
        node.api.put(POD, pod)
        await node.until(lambda: is_running(node))
        node.runtime.end(node.runtime.named("edgek_a_web_default_uid-web_0").id, exit_code=42)
        await node.until(lambda: started(node).count("a") == 2)
        node.runtime.end(node.runtime.named("edgek_a_web_default_uid-web_1").id, exit_code=1)
        node.runtime.end(node.runtime.named("edgek_b_web_default_uid-web_0").id, exit_code=42)
        await node.until(lambda: node.status()["phase"] == "Failed")
        assert (started(node).count("a"), started(node).count("b")) == (2, 1)


async def test_what_never_restarts_backs_off_from_nothing(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        error = RuntimeFailure("no such file", reason="RunContainerError")
        node.runtime.scripts["main:1"] = Script(start_error=error)
        node.api.put(POD, make_pod(restartPolicy="Never"))
        await node.until(lambda: node.pod() and node.status()["phase"] == "Failed")
        assert node.container()["state"]["terminated"]["reason"] == "StartError"
        assert "BackOff" not in node.reasons()


async def test_a_rule_that_restarts_all_begins_the_pod_anew_with_its_init_containers(
    tmp_path: Path,
) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.runtime.scripts["b:1"] = Script(exit_code=0)
        pod = make_pod("web", "a", "main", restartPolicy="Never")
        pod["spec"]["initContainers"] = [{"name": "prepare", "image": "b:1"}]
        pod["spec"]["containers"][0] |= {
            "restartPolicy": "Never",
            "restartPolicyRules": [rule(88, action="RestartAllContainers")],
        }
        node.api.put(POD, pod)
        await node.until(lambda: is_running(node))
        seen = []

        def restarting() -> bool:
            found = find_condition(node.status().get("conditions"), "AllContainersRestarting")
            seen.append((found or {}).get("status"))
            return node.container(index=1).get("restartCount") == 1 and is_running(node)

        node.runtime.end(node.runtime.named("edgek_a_web_default_uid-web_0").id, exit_code=88)
        await node.until(restarting)
        assert started(node) == ["prepare", "a", "main", "prepare", "a", "main"]
        assert seen[-1] == "False"
        assert node.container()["lastState"]["terminated"]["exitCode"] == 88
        # The second time it waits, as any container that keeps failing.
        node.runtime.end(node.runtime.named("edgek_a_web_default_uid-web_1").id, exit_code=88)
        await node.until(lambda: stopped(node).count("main") == 2)
        await asyncio.sleep(5)
        assert started(node).count("prepare") == 2
        await node.until(lambda: started(node).count("prepare") == 3, within=15)


# -- resize ------------------------------------------------------------------------------------


def sized(cpu: str, memory: str, **more: Any) -> Obj:
    amounts = {"cpu": cpu, "memory": memory}
    return {"name": "main", "image": "main:1",
            "resources": {"requests": amounts, "limits": amounts}, **more}  # fmt: skip


def condition(node: Node, kind: str) -> Obj | None:
    return find_condition(node.status().get("conditions"), kind)


def has(node: Node) -> Any:
    return node.container().get("resources", {}).get("limits")


async def test_a_resize_is_done_without_a_restart_and_told(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod(containers=[sized("1", "100Mi")]))
        await node.until(lambda: is_running(node))
        assert has(node) == {"cpu": "1", "memory": "100Mi"}
        change(node, containers=[sized("2", "200Mi")])
        await node.until(lambda: has(node) == {"cpu": "2", "memory": "200Mi"})
        (resources,) = node.runtime.updated.values()
        assert (resources.cpu_quota_us, resources.memory_limit_bytes) == (200_000, 200 * 2**20)
        assert node.container()["restartCount"] == 0
        assert node.container()["allocatedResources"] == {"cpu": "2", "memory": "200Mi"}
        await node.until(lambda: "ResizeCompleted" in node.reasons())
        assert condition(node, "PodResizeInProgress") is None
        text = node.messages("ResizeStarted")[0]
        assert text.startswith("Pod resize started: ")
        assert json.loads(text.partition(": ")[2])["generation"] == 2


async def test_a_resize_policy_may_ask_for_a_restart(tmp_path: Path) -> None:
    policy = {"resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]}
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod(containers=[sized("1", "100Mi", **policy)]))
        await node.until(lambda: is_running(node))
        change(node, containers=[sized("1", "200Mi", **policy)])
        await node.until(lambda: "ResizeCompleted" in node.reasons())
        await node.until(lambda: node.container()["restartCount"] == 1)
        assert node.messages("Killing") == ["Container main resize requires restart"]
        made = node.runtime.named("edgek_main_web_default_uid-web_1")
        assert node.runtime.specs[made.id].resources.memory_limit_bytes == 200 * 2**20
        assert not node.runtime.updated


async def test_a_resize_waits_for_room_and_takes_it_when_another_pod_leaves(
    tmp_path: Path,
) -> None:
    async with running_node(tmp_path, clock=FakeClock(), cpu="4") as node:
        node.api.put(POD, make_pod(containers=[sized("1", "100Mi")]))
        other = make_pod("other", uid="uid-other", containers=[sized("2", "100Mi")])
        node.api.put(POD, other)
        await node.until(lambda: is_running(node) and is_running(node, "other"))
        change(node, containers=[sized("3", "100Mi")])
        await node.until(lambda: condition(node, "PodResizePending"))
        pending = condition(node, "PodResizePending")
        assert pending is not None
        assert (pending["reason"], pending["message"]) == (
            "Deferred",
            "Node didn't have enough resource: cpu, requested: 3000, used: 2000, capacity: 4000",
        )
        assert has(node) == {"cpu": "1", "memory": "100Mi"}
        assert len(node.messages("ResizeDeferred")) == 1
        node.delete("other", grace=1)
        await node.until(lambda: has(node) == {"cpu": "3", "memory": "100Mi"})
        assert condition(node, "PodResizePending") is None


async def test_a_resize_beyond_the_node_is_told_as_such_and_may_be_taken_back(
    tmp_path: Path,
) -> None:
    async with running_node(tmp_path, clock=FakeClock(), cpu="4") as node:
        node.api.put(POD, make_pod(containers=[sized("1", "100Mi")]))
        await node.until(lambda: is_running(node))
        change(node, containers=[sized("9", "100Mi")])
        await node.until(lambda: condition(node, "PodResizePending"))
        pending = condition(node, "PodResizePending") or {}
        assert (pending["reason"], pending["message"]) == (
            "Infeasible", "Node didn't have enough capacity: cpu, requested: 9000, capacity: 4000",
        )  # fmt: skip
        change(node, containers=[sized("1", "100Mi")])
        await node.until(lambda: condition(node, "PodResizePending") is None)
        assert not node.runtime.updated


async def test_a_resize_that_the_engine_refuses_is_told_and_tried_again(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod(containers=[sized("1", "100Mi")]))
        await node.until(lambda: is_running(node))
        node.runtime.fail_next("update", RuntimeFailure("device or resource busy"))
        change(node, containers=[sized("2", "100Mi")])
        await node.until(lambda: (condition(node, "PodResizeInProgress") or {}).get("reason"))
        told = condition(node, "PodResizeInProgress") or {}
        assert (told["reason"], told["message"]) == ("Error", "device or resource busy")
        await node.until(lambda: has(node) == {"cpu": "2", "memory": "100Mi"})
        await node.until(lambda: condition(node, "PodResizeInProgress") is None)


async def test_a_restarted_agent_knows_what_was_resized_and_sees_what_was_asked_meanwhile(
    tmp_path: Path,
) -> None:
    clock, api, network = FakeClock(), MemoryApi(), FakeNetwork()
    runtime = FakeRuntime(images=("main:1",), clock=clock)
    life: dict[str, Any] = {"clock": clock, "api": api, "network": network, "runtime": runtime}
    async with running_node(tmp_path, **life) as node:
        api.put(POD, make_pod(containers=[sized("1", "100Mi")]))
        await node.until(lambda: is_running(node))
        change(node, containers=[sized("2", "100Mi")])
        await node.until(lambda: "ResizeCompleted" in node.reasons())
        await node.until(lambda: has(node) == {"cpu": "2", "memory": "100Mi"})
    runtime.calls.clear()
    async with running_node(tmp_path, **life) as node:
        await node.until(lambda: ("containers", "") in runtime.calls)
        await asyncio.sleep(5)
        assert [verb for verb, _ in runtime.calls if verb in ("update", "stop", "create")] == []
        resized = trimmed(node.pod() or {})
    async with running_node(tmp_path, **life, restored=[resized]) as node:
        await asyncio.sleep(5)
        assert [verb for verb, _ in runtime.calls if verb in ("update", "stop", "create")] == []
    change(node, containers=[sized("3", "100Mi")])
    async with running_node(tmp_path, **life) as node:
        await node.until(lambda: has(node) == {"cpu": "3", "memory": "100Mi"})
        assert [verb for verb, _ in runtime.calls if verb in ("update", "create")] == ["update"]


async def test_a_resize_of_the_pod_as_a_whole_reaches_those_without_a_limit(tmp_path: Path) -> None:
    def whole(memory: str) -> Obj:
        return {"requests": {"memory": memory}, "limits": {"memory": memory}}

    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod(resources=whole("100Mi")))
        await node.until(lambda: is_running(node))
        assert node.status()["resources"] == whole("100Mi")
        change(node, resources=whole("200Mi"))
        await node.until(lambda: "ResizeCompleted" in node.reasons())
        await node.until(lambda: node.status()["resources"] == whole("200Mi"))
        (updated,) = node.runtime.updated.values()
        assert updated.memory_limit_bytes == 200 * 2**20
        assert node.status()["allocatedResources"] == {"memory": "200Mi"}


async def test_how_a_container_ended_is_not_told_anew_after_a_reboot(tmp_path: Path) -> None:
    clock, api, network = FakeClock(), MemoryApi(), FakeNetwork()
    runtime = FakeRuntime(images=("main:1",), clock=clock)
    life: dict[str, Any] = {"clock": clock, "api": api, "network": network, "runtime": runtime}
    runtime.scripts["main:1"] = Script(exit_code=0, after=1)
    async with running_node(tmp_path, **life) as node:
        api.put(POD, make_pod(restartPolicy="Never"))
        await node.until(lambda: node.pod() and node.status()["phase"] == "Succeeded")
        before = node.container()["state"]
    (container,) = await runtime.containers()
    await asyncio.sleep(60)
    runtime.forget_end(container.id)
    async with running_node(tmp_path, **life) as node:
        await node.until(lambda: node.sync.parts.containers.uids())
        await asyncio.sleep(5)
        assert node.container()["state"] == before


async def test_the_next_agent_waits_for_a_sidecar_whose_startup_probe_had_not_succeeded(
    tmp_path: Path,
) -> None:
    clock, healthy = FakeClock(), False

    async def probe(command: tuple[str, ...]) -> ExecResult:
        return ExecResult(exit_code=0 if healthy else 1, output=b"")

    side = {
        "name": "side", "image": "a:1", "restartPolicy": "Always",
        "startupProbe": {"exec": {"command": ["up"]}, "periodSeconds": 1, "failureThreshold": 999},
    }  # fmt: skip

    def names(node: Node) -> list[str]:
        labels = (spec.labels for spec in node.runtime.specs.values())
        return [found["io.edgek.container-name"] for found in labels]

    async with running_node(tmp_path, clock=clock) as node:
        node.runtime.scripts["a:1"] = Script(exec=probe)
        node.api.put(POD, make_pod(initContainers=[side]))
        await node.until(lambda: any(verb == "exec" for verb, _ in node.runtime.calls))
    again = running_node(
        tmp_path, clock=clock, api=node.api, runtime=node.runtime, network=node.network
    )
    async with again as node:
        before = len(node.runtime.calls)
        await node.until(lambda: [v for v, _ in node.runtime.calls[before:]].count("exec") > 2)
        assert names(node) == ["side"]
        healthy = True
        await node.until(lambda: names(node) == ["side", "main"])
