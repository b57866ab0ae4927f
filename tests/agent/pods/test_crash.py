"""Level-based: wherever the agent dies, or a call of it fails, a pod's story ends the same.

One pod with all that makes a pod hard (an init container, a sidecar, volumes, a shared PID
namespace, a hook) is started and ended; at one call to the outside after the other the agent dies
and another one goes on, or that one call fails.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.network import NetworkFailure
from agent.network.fake import FakeNetwork
from agent.pods.mounts import MountError
from agent.runtime.fake import FakeRuntime, Script
from agent.runtime.runtime import RuntimeFailure, RuntimeUnavailable
from edgek.aio.clock import FakeClock
from edgek.api.meta import Obj
from edgek.kinds import CONFIG_MAP, POD
from tests.support.doors import Doors
from tests.support.memory_api import MemoryApi
from tests.support.node import FakeHolders, Node, no_mount, running_node
from tests.support.pods import make_pod

NEVER = 10_000


def hard_pod() -> Obj:
    pod = make_pod(
        "web", "a", "b", shareProcessNamespace=True,
        volumes=[
            {"name": "disk", "emptyDir": {}}, {"name": "memory", "emptyDir": {"medium": "Memory"}},
            {"name": "conf", "configMap": {"name": "conf"}},
        ],
        initContainers=[
            {"name": "first", "image": "first:1"},
            {"name": "car", "image": "car:1", "restartPolicy": "Always"},
        ],
    )  # fmt: skip
    main = pod["spec"]["containers"][0]
    main["volumeMounts"] = [
        {"name": "disk", "mountPath": "/disk"},
        {"name": "memory", "mountPath": "/memory"}, {"name": "conf", "mountPath": "/conf"},
    ]  # fmt: skip
    main["ports"] = [{"containerPort": 80, "hostPort": 8080}]
    main["lifecycle"] = {"preStop": {"exec": {"command": ["bye"]}}}
    return pod


class World:
    """What lives on when the agent dies."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = FakeClock()
        self.api = MemoryApi()
        images = ("first:1", "car:1", "a:1", "b:1")
        self.runtime = FakeRuntime(images=images, clock=self.clock)
        self.runtime.scripts["first:1"] = Script(exit_code=0)
        self.network, self.holders = FakeNetwork(), FakeHolders()
        meta = {"name": "conf", "namespace": "default"}
        self.api.put(CONFIG_MAP, {"metadata": meta, "data": {"a": "1"}})

    @asynccontextmanager
    async def agent(self, doors: Doors | None = None) -> AsyncIterator[Node]:
        doors = doors or Doors(at=NEVER)
        doors.api(self.api)
        async with running_node(
            self.root, clock=self.clock, api=self.api, holders=self.holders,
            runtime=doors.wrap(self.runtime), network=doors.wrap(self.network),
            mount=doors.function("mount", no_mount),
        ) as node:  # fmt: skip
            yield node
        self.api.before.clear()
        self.api.after.clear()

    async def runs(self, node: Node, *, within: float = 60) -> None:
        await node.until(lambda: self.is_running(node), within=within)
        running = [c.name.split("_")[1] for c in await self.runtime.containers()
                   if c.state == "running"]  # fmt: skip
        assert sorted(running) == ["a", "b", "car"]
        assert list(await self.network.sandboxes()) == ["uid-web"]
        assert list(self.network.host_ports) == ["uid-web"]
        assert self.holders.known() == ["uid-web"]

    def is_running(self, node: Node) -> bool:
        found = node.status().get("conditions") or ()
        return any((c["type"], c["status"]) == ("Ready", "True") for c in found)

    async def is_gone(self, node: Node, *, within: float = 150) -> None:
        deadline = self.clock.monotonic() + within
        left = ["not looked yet"]
        while left and self.clock.monotonic() < deadline:
            await asyncio.sleep(0.5)
            left = await self.left(node)
        assert left == []

    async def left(self, node: Node) -> list[str]:
        """What is still there of any pod."""
        places = [p for place in ("pods", "logs") for p in (self.root / place).glob("*")]
        return [
            *(["the Pod"] if node.pod() else []),
            *(f"container {c.name} {c.state}" for c in await self.runtime.containers()),
            *(f"sandbox {name}" for name in await self.network.sandboxes()),
            *(f"ports of {name}" for name in self.network.host_ports),
            *(f"process of {name}" for name in self.holders.known()),
            *(str(place.relative_to(self.root)) for place in places),
        ]


async def started(world: World) -> None:
    async with world.agent() as node:
        world.api.put(POD, hard_pod())
        await world.runs(node)


# A call is one that was never made, or one whose answer nobody hears.
START = [(at, ("before", "after")[at % 2]) for at in range(30)]
END = [(at, ("after", "before")[at % 2]) for at in range(22)]


@pytest.mark.looptime
@pytest.mark.parametrize(("at", "when"), START)
async def test_a_pod_starts_wherever_the_agent_died(tmp_path: Path, at: int, when: str) -> None:
    world, doors = World(tmp_path), Doors(at=at, when=when)
    async with world.agent(doors) as node:
        world.api.put(POD, hard_pod())
        await node.until(lambda: doors.reached.is_set() or world.is_running(node))
    async with world.agent() as node:
        await world.runs(node)
        assert [s["restartCount"] for s in node.status()["containerStatuses"]] == [0, 0]
        node.delete(grace=5)
        await world.is_gone(node)


@pytest.mark.looptime
@pytest.mark.parametrize("by_force", [False, True], ids=["gracefully", "by force"])
@pytest.mark.parametrize(("at", "when"), END)
async def test_a_pod_ends_and_leaves_nothing_wherever_the_agent_died(
    tmp_path: Path, at: int, when: str, by_force: bool
) -> None:
    world, doors = World(tmp_path), Doors(at=at, when=when)
    await started(world)
    async with world.agent(doors) as node:
        if by_force:
            world.api.remove(POD, "default", "web")
        else:
            node.delete(grace=5)
        await node.until(lambda: doors.reached.is_set() or not node.sync.known(), within=60)
    async with world.agent() as node:
        await world.is_gone(node)


def broken(call: str) -> Exception:
    """As each door fails."""
    if call in ("attach", "detach", "set_host_ports", "sandboxes"):
        return NetworkFailure("the kernel says no")
    return MountError("no such device") if call == "mount" else RuntimeFailure("podman says no")


def away(call: str) -> Exception:
    failure = broken(call)
    return RuntimeUnavailable("nobody answers") if isinstance(failure, RuntimeFailure) else failure


@pytest.mark.looptime
@pytest.mark.parametrize(("at", "error"), [(at, (broken, away)[at % 2]) for at in range(50)])
async def test_one_call_that_fails_changes_neither_how_a_pod_runs_nor_what_it_leaves(
    tmp_path: Path, at: int, error: Callable[[str], Exception]
) -> None:
    world, doors = World(tmp_path), Doors(at=at, error=error)
    async with world.agent(doors) as node:
        world.api.put(POD, hard_pod())
        await world.runs(node, within=150)
        node.delete(grace=5)
        await world.is_gone(node)


@pytest.mark.looptime
async def test_volumes_of_a_pod_from_before_are_kept_up_to_date(tmp_path: Path) -> None:
    world = World(tmp_path)
    await started(world)
    async with world.agent() as node:
        await world.runs(node)
        meta = {"name": "conf", "namespace": "default"}
        world.api.put(CONFIG_MAP, {"metadata": meta, "data": {"a": "2"}})
        file = tmp_path / "pods/uid-web/volumes/configMap/conf/a"
        await node.until(lambda: file.read_text() == "2")


@pytest.mark.looptime
async def test_files_that_somebody_took_away_are_made_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    await started(world)
    async with world.agent() as node:
        shutil.rmtree(tmp_path / "pods/uid-web")
        error = RuntimeFailure("statfs: no such file or directory", reason="CreateContainerError")
        world.runtime.fail_next("create", error)
        world.runtime.end(world.runtime.named("edgek_a_web_default_uid-web_0").id, exit_code=1)
        await node.until(lambda: "Failed" in node.reasons())
        assert "statfs" in node.messages("Failed")[0]
        await node.until(lambda: node.container()["restartCount"] == 1 and world.is_running(node))
        assert (tmp_path / "pods/uid-web/volumes/configMap/conf/a").read_text() == "1"


@pytest.mark.looptime
async def test_a_pod_whose_network_somebody_took_away_is_made_anew(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.agent() as node:
        world.api.put(POD, hard_pod())
        await world.runs(node)
        await node.sync.look_for_lost_sandboxes()
        await asyncio.sleep(5)
        assert [s["restartCount"] for s in node.status()["containerStatuses"]] == [0, 0]
        await world.network.detach("uid-web")
        await node.sync.look_for_lost_sandboxes()
        await node.until(lambda: "SandboxChanged" in node.reasons())
        await node.until(lambda: node.container()["restartCount"] == 1)
        await world.runs(node)


@pytest.mark.looptime
async def test_a_container_that_cannot_join_lost_namespaces_gets_new_ones(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.agent() as node:
        world.api.put(POD, hard_pod())
        await world.runs(node)
        await world.network.detach("uid-web")
        error = RuntimeFailure("no network namespace", reason="RunContainerError")
        world.runtime.fail_next("start", error)
        world.runtime.end(world.runtime.named("edgek_a_web_default_uid-web_0").id, exit_code=1)
        await node.until(lambda: "SandboxChanged" in node.reasons(), within=60)
        await node.until(lambda: world.is_running(node), within=60)
        await world.runs(node)
