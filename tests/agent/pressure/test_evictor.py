"""A node runs short and comes round again: the evictor over pod sync, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.kubelet_args import parse_kubelet_args
from agent.pressure.evictor import Evictor
from agent.pressure.images import ImageCollector
from agent.pressure.ranking import PodUsage
from agent.pressure.signals import Observation, Observations
from edgek.aio.clock import FakeClock
from edgek.aio.tasks import Tasks
from edgek.api.conditions import find_condition
from edgek.api.meta import Obj, uid
from edgek.kinds import POD
from tests.support.node import Node, running_node
from tests.support.pods import make_pod

MIB = 1 << 20


@dataclass
class Meter:
    """What tests say that pods use, by name."""

    used: dict[str, PodUsage] = field(default_factory=dict)

    def memory(self, pods: Iterable[Obj]) -> Mapping[str, PodUsage]:
        return {
            uid(p): self.used[p["metadata"]["name"]]
            for p in pods
            if p["metadata"]["name"] in self.used
        }

    async def disk(self, pods: Iterable[Obj]) -> Mapping[str, PodUsage]:
        return {uid(p): self.used.get(p["metadata"]["name"], PodUsage()) for p in pods}


@dataclass
class Machine:
    """MiB left of 1000 of each."""

    memory: int = 900
    disk: int = 900
    looks: int = 0
    freed: Callable[[], bool] = lambda: False
    """Whether all is well again."""

    def read(self) -> Observations:
        self.looks += 1
        if self.freed():
            self.memory = self.disk = 900
        return {
            "memory.available": Observation(available=self.memory * MIB, capacity=1000 * MIB),
            "imagefs.available": Observation(available=self.disk * MIB, capacity=1000 * MIB),
        }

    def dedicated_image_fs(self) -> bool:
        return False


@dataclass(kw_only=True)
class Bench:
    node: Node
    evictor: Evictor
    meter: Meter
    machine: Machine
    told: list[str]

    def has(self, *, memory: int = 900, disk: int = 900) -> None:
        self.machine.memory, self.machine.disk = memory, disk
        self.evictor.wake()

    @property
    def conditions(self) -> frozenset[str]:
        return self.evictor.state.conditions

    async def start(self, name: str, *, memory: str = "", **spec: Any) -> None:
        pod = make_pod(name, **spec)
        if memory:
            pod["spec"]["containers"][0]["resources"] = {"requests": {"memory": memory}}
        self.node.api.put(POD, pod)
        await self.node.until(lambda: self.node.status(name).get("phase") == "Running")


def running(node: Node, name: str) -> bool:
    found = node.sync.parts.containers.of(f"uid-{name}")
    return any(c.state == "running" for c in found)


@asynccontextmanager
async def bench(root: Path, **settings: Any) -> AsyncIterator[Bench]:
    clock, meter, machine, told = FakeClock(), Meter(), Machine(), list[str]()
    settings = {"eviction_hard": "memory.available<100Mi,imagefs.available<10%"} | settings
    async with running_node(root, clock=clock) as node, Tasks("test") as tasks:
        parts = node.sync.parts
        images = ImageCollector(
            runtime=node.runtime, pods=parts.pods, containers=parts.containers,
            policy=parse_kubelet_args({}).image_gc, clock=clock, root=root,
            tell=lambda reason, message: told.append(f"{reason} {message}"),
        )  # fmt: skip
        evictor = Evictor(
            args=parse_kubelet_args(settings),
            reader=machine,
            sync=node.sync, meter=meter, images=images, clock=clock,
            tell=lambda reason, message: told.append(f"{reason} {message}"),
            on_conditions=lambda found: setattr(parts.host, "pressure", lambda: found),
        )  # fmt: skip
        tasks.spawn(evictor.run(), name="evictor")
        yield Bench(node=node, evictor=evictor, meter=meter, machine=machine, told=told)


@pytest.mark.looptime
async def test_the_pod_above_its_request_goes_alone_and_says_why(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        for name in ("modest", "greedy"):
            await b.start(name)
        b.meter.used = {n: PodUsage(memory=m * MIB) for n, m in (("modest", 5), ("greedy", 500))}
        b.has(memory=50)
        b.machine.freed = lambda: not running(b.node, "greedy")
        await b.node.until(lambda: b.node.status("greedy").get("phase") == "Failed")
        await asyncio.sleep(60)
        status = b.node.status("greedy")
        message = (
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
        )
        assert (status["reason"], status["message"]) == ("Evicted", message)
        disrupted = find_condition(status["conditions"], "DisruptionTarget")
        assert disrupted is not None
        assert (disrupted["status"], disrupted["reason"]) == ("True", "TerminationByKubelet")
        assert b.node.messages("Evicted") == [message]
        assert b.told == ["EvictionThresholdMet Attempting to reclaim memory"]
        assert b.node.status("modest")["phase"] == "Running"
        assert b.conditions == {"MemoryPressure"}
        await asyncio.sleep(300)
        assert b.conditions == frozenset()


@pytest.mark.looptime
async def test_critical_and_static_pods_stay_whatever_is_short(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.start("critical", priority=2_000_000_000)
        await b.start("plain")
        b.meter.used = {n: PodUsage(memory=9 * MIB) for n in ("critical", "plain")}
        b.has(memory=0)
        await b.node.until(lambda: b.node.status("plain").get("phase") == "Failed")
        await asyncio.sleep(120)
        assert b.node.status("critical")["phase"] == "Running"


@pytest.mark.looptime
async def test_under_memory_pressure_only_pods_that_ask_for_memory_are_taken(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as b:
        b.has(memory=0)
        await b.node.until(lambda: b.conditions)
        b.has(memory=600)
        await b.start("asks", memory="10Mi")
        await b.start("tolerates", tolerations=[
            {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}
        ])  # fmt: skip
        b.node.api.put(POD, make_pod("refused"))
        await b.node.until(lambda: b.node.status("refused").get("phase") == "Failed")
        status = b.node.status("refused")
        assert status["reason"] == "Evicted"
        assert status["message"].endswith("The node had condition: [MemoryPressure]. ")


@pytest.mark.looptime
async def test_a_short_disk_frees_unused_images_before_it_costs_a_pod(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.start("web")
        b.has(disk=50)
        await b.node.until(lambda: b.conditions == {"DiskPressure"})
        await b.node.until(lambda: b.node.status().get("phase") == "Failed")
        assert b.node.messages("Evicted") == [
            "The node was low on resource: ephemeral-storage. Threshold quantity: 100Mi, "
            "available: 50Mi. "
        ]
        verbs = [verb for verb, _ in b.node.runtime.calls]
        assert verbs[: verbs.index("stop")].count("remove_image") == 3  # all but the pod's own
        assert b.told == ["EvictionThresholdMet Attempting to reclaim ephemeral-storage"]


@pytest.mark.looptime
async def test_images_that_free_enough_save_the_pods(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.start("web")
        calls = b.node.runtime.calls
        b.machine.freed = lambda: "remove_image" in [verb for verb, _ in calls]
        b.has(disk=50)
        await asyncio.sleep(120)
        assert b.conditions == {"DiskPressure"}
        assert b.node.status()["phase"] == "Running"


@pytest.mark.looptime
async def test_a_pod_above_the_size_of_its_volume_is_evicted(tmp_path: Path) -> None:
    volume = {"name": "cache", "emptyDir": {"sizeLimit": "1Mi"}}
    async with bench(tmp_path) as b:
        await b.start("web", volumes=[volume])
        b.meter.used = {"web": PodUsage(volumes={"cache": 2 * MIB})}
        await b.node.until(lambda: b.node.status().get("phase") == "Failed", within=400)
        status = b.node.status()
        assert status["message"] == 'Usage of EmptyDir volume "cache" exceeds the limit "1Mi". '
        assert find_condition(status["conditions"], "DisruptionTarget") is None
        assert b.conditions == frozenset()


@pytest.mark.looptime
async def test_with_plenty_left_it_looks_once_a_minute(tmp_path: Path) -> None:
    async with bench(tmp_path, eviction_hard="memory.available<1Mi") as b:
        b.machine.memory = 1000 * 64
        await asyncio.sleep(600)
        assert b.machine.looks <= 11
