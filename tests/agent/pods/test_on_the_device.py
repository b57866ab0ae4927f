"""What a node does without being told by a server: static pods, and the end of all pods before the
machine goes down. In memory, on virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.network.fake import FakeNetwork
from agent.pods.mirrors import Mirrors
from agent.pods.shutdown import Group, Shutdown, plan_shutdown
from agent.pods.static import read_manifest
from agent.runtime.fake import FakeRuntime
from agent.shutdown_args import Period, parse_shutdown
from edgek.aio.clock import FakeClock
from edgek.api.conditions import find_condition
from edgek.api.errors import ServiceUnavailable
from edgek.api.meta import Key, Obj, uid
from edgek.client.transport import Call
from edgek.kinds import NODE, POD
from edgek.roles import UsageError
from tests.support.memory_api import MemoryApi
from tests.support.node import Node, running_node
from tests.support.pods import make_pod, manifest

looptime = pytest.mark.looptime
PERIODS = (Period(priority=0, seconds=20), Period(priority=2_000_000_000, seconds=10))


def static(image: str = "main:1") -> Obj:
    return read_manifest(
        manifest(image=image), path="/m", node_name="node1", seen="2026-01-01T00:00:00Z"
    )


@asynccontextmanager
async def mirroring_node(root: Path, api: MemoryApi | None = None) -> AsyncIterator[Node]:
    clock = FakeClock()
    images = FakeRuntime(images=("main:1", "main:2"), clock=clock)
    api = api or MemoryApi()
    api.put(NODE, {"metadata": {"name": "node1", "uid": "n-1"}})
    async with running_node(root, clock=clock, api=api, runtime=images) as node:
        parts = node.sync.parts
        mirrors = Mirrors(
            api.client, parts.pods, parts.writer, node=lambda: api.one(NODE, "", "node1")
        )
        running = asyncio.create_task(mirrors.run())
        try:
            yield node
        finally:
            running.cancel()


def mirror(node: Node) -> Obj:
    return node.pod("web-node1") or {}


def shows_running(node: Node, image: str = "main:1") -> bool:
    spec, status = mirror(node).get("spec") or {}, mirror(node).get("status") or {}
    return status.get("phase") == "Running" and spec["containers"][0]["image"] == image


@looptime
async def test_a_static_pod_runs_and_its_mirror_tells_of_it(tmp_path: Path) -> None:
    async with mirroring_node(tmp_path) as node:
        pods = node.sync.parts.pods
        pod = static()
        pods.set_static([pod])
        await node.until(lambda: shows_running(node))
        assert pods.run_uid(uid(mirror(node))) == uid(pod) != uid(mirror(node))
        assert mirror(node)["status"]["podIP"].startswith("10.")
        (container,) = await node.runtime.containers()
        assert container.labels["io.edgek.pod-uid"] == uid(pod)
        assert pods.from_server() == []


@looptime
async def test_a_deleted_mirror_comes_back_and_nothing_is_restarted(tmp_path: Path) -> None:
    async with mirroring_node(tmp_path) as node:
        node.sync.parts.pods.set_static([static()])
        await node.until(lambda: shows_running(node))
        first = uid(mirror(node))
        node.delete("web-node1")
        await node.until(lambda: uid(mirror(node)) != first and shows_running(node)
                         if mirror(node) else False)  # fmt: skip
        assert [verb for verb, _ in node.runtime.calls if verb in ("start", "stop")] == ["start"]


@looptime
async def test_a_changed_manifest_waits_for_the_end_of_the_pod_before(tmp_path: Path) -> None:
    async with mirroring_node(tmp_path) as node:
        pods = node.sync.parts.pods
        pods.set_static([static()])
        await node.until(lambda: shows_running(node))
        pods.set_static([static("main:2")])
        await node.until(lambda: shows_running(node, "main:2"))
        verbs = [v for v, _ in node.runtime.calls if v in ("create", "start", "stop", "remove")]
        assert verbs == ["create", "start", "stop", "remove", "create", "start"]


@looptime
async def test_a_removed_manifest_ends_its_pod_also_with_no_server(tmp_path: Path) -> None:
    api = MemoryApi()

    def away(call: Call) -> None:
        raise ServiceUnavailable("the server is away")

    async with mirroring_node(tmp_path, api) as node:
        pods = node.sync.parts.pods
        pods.set_static([static()])
        await node.until(lambda: shows_running(node))
        api.before.append(away)
        pods.set_static([])
        await node.until(lambda: "stop" in [v for v, _ in node.runtime.calls])
        await node.until(lambda: pods.removed == {})
        assert await node.runtime.containers() == []
        api.before.clear()
        await node.until(lambda: not mirror(node), within=120)


@looptime
async def test_a_static_pod_starts_before_any_server_has_answered(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock(), restored=[]) as node:
        pods = node.sync.parts.pods
        pods.set_static([static()])
        await node.until(lambda: "start" in [v for v, _ in node.runtime.calls])
        found = pods.static(Key("default", "web-node1")) or {}
        await node.until(lambda: node.sync.parts.queue.idle)
        assert found["metadata"]["name"] == "web-node1"


# -- the shutdown ------------------------------------------------------------------------------


def test_pods_end_by_priority_and_the_least_important_first() -> None:
    pods = [make_pod("low"), make_pod("high", priority=2_000_001_000),
            make_pod("mid", priority=1_999_999_999), make_pod("negative", priority=-5),
            make_pod("over") | {"status": {"phase": "Failed"}}]  # fmt: skip
    assert plan_shutdown(pods, PERIODS) == (
        Group(seconds=20, pods=("uid-low", "uid-mid", "uid-negative")),
        Group(seconds=10, pods=("uid-high",)),
    )
    assert plan_shutdown(pods, ()) == ()


def test_its_settings_are_the_kubelets() -> None:
    assert parse_shutdown({}) == (
        Period(priority=0, seconds=20), Period(priority=2_000_000_000, seconds=10),
    )  # fmt: skip
    assert parse_shutdown({"shutdown_grace_period": "0s"}) == ()
    listed = {"shutdown_grace_period_by_pod_priority": ("1000=1m", "0=5s")}
    assert parse_shutdown(listed) == (
        Period(priority=0, seconds=5), Period(priority=1000, seconds=60),
    )  # fmt: skip
    with pytest.raises(UsageError, match="must not be longer"):
        parse_shutdown({"shutdown_grace_period": "5s"})
    with pytest.raises(UsageError, match="not PRIORITY=DURATION"):
        parse_shutdown({"shutdown_grace_period_by_pod_priority": ("x=5s",)})


@looptime
async def test_a_shutdown_ends_all_in_order_and_says_why(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running_node(tmp_path, clock=clock) as node:
        node.api.put(POD, make_pod("system", priority=2_000_001_000))
        node.api.put(POD, make_pod("web", terminationGracePeriodSeconds=600))
        await node.until(lambda: all(node.pod(n) and node.status(n)["phase"] == "Running"
                                     for n in ("web", "system")))  # fmt: skip
        told: list[str] = []
        shutdown = Shutdown(node.sync, PERIODS, clock=clock, not_ready=told.append)
        node.runtime.calls.clear()
        await shutdown.run()
        assert told == ["node is shutting down"]
        stops = [what for verb, what in node.runtime.calls if verb == "stop"]
        assert stops == [
            "edgek_main_web_default_uid-web_0", "edgek_main_system_default_uid-system_0",
        ]  # fmt: skip
        assert shutdown.left() == []
        for name in ("web", "system"):
            status = node.status(name)
            assert (status["phase"], status["reason"]) == ("Failed", "Terminated")
            assert status["message"] == (
                "Pod was terminated in response to imminent node shutdown."
            )
            condition = find_condition(status["conditions"], "DisruptionTarget")
            assert condition is not None
            assert condition["reason"] == "TerminationByKubelet"
        node.api.put(POD, make_pod("late"))
        await node.until(lambda: node.pod("late") and node.status("late")["phase"] == "Failed")
        assert node.status("late")["reason"] == "NodeShutdown"


@looptime
async def test_who_begins_again_after_a_shutdown_has_its_address_and_files(tmp_path: Path) -> None:
    """With no server in reach services go by the addresses of before, and nobody gives a token."""
    clock, network, api = FakeClock(), FakeNetwork(), MemoryApi()
    async with running_node(tmp_path, clock=clock, network=network, api=api) as node:
        for name in ("first", "web"):
            api.put(POD, make_pod(name))
            await node.until(lambda name=name: node.status(name).get("podIP"))
        pod = node.pod("web")
        assert pod is not None
        kept = node.sync.parts.volumes.pod_dir("uid-web") / "kept"
        kept.write_text("a token")
        await Shutdown(node.sync, PERIODS, clock=clock, not_ready=str).run()
        await node.until(lambda: network.attached() == [])
        await asyncio.sleep(60)
    runtime = FakeRuntime(images=("main:1",), clock=clock)
    async with running_node(
        tmp_path, clock=clock, network=network, api=MemoryApi(), runtime=runtime, restored=[pod]
    ) as node:
        await node.until(lambda: network.attached() == ["uid-web"])
        (sandbox,) = (await network.sandboxes()).values()
        assert sandbox.ip == pod["status"]["podIP"]
        assert kept.read_text() == "a token"
