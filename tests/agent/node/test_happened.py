"""Events about the Node: what a user reads at the end of ``kubectl describe node``."""

from dataclasses import replace

from agent.kubelet_args import KubeletArgs
from agent.node.addresses import Addresses
from agent.node.facts import Facts
from agent.node.register import Registration
from agent.node.resources import node_resources
from agent.node.status import NodeSpec
from edgek.aio.clock import FakeClock
from edgek.api.meta import Key
from edgek.control.events import EventRecorder
from edgek.kinds import NODE
from tests.support.memory_api import MemoryApi

FACTS = Facts(
    hostname="pi", architecture="arm64", cpus=4, memory=1 << 30, storage=1 << 34,
    info={"bootID": "one"},
)  # fmt: skip
SPEC = NodeSpec(
    name="node1",
    addresses=Addresses(internal=("192.0.2.1",), hostname="pi"),
    facts=FACTS,
    resources=node_resources(FACTS, KubeletArgs(), max_pods=110),
    first_labels={},
)


class Told:
    """A registration, and what it told since it was last asked."""

    def __init__(self, api: MemoryApi, spec: NodeSpec = SPEC) -> None:
        self.recorder = EventRecorder(api.client, FakeClock())
        source = self.recorder.source("kubelet", host="node1")
        self.node = Registration(api.client, spec, clock=FakeClock(), events=source)

    async def look(self) -> list[str]:
        await self.node.ensure()
        found = [record.reason for record in self.recorder._queue]
        assert all(dict(r.involved)["uid"] == "node1" for r in self.recorder._queue)
        self.recorder._queue.clear()
        return found


async def test_a_new_node_tells_how_it_is_and_then_only_what_changes() -> None:
    told = Told(MemoryApi())
    assert await told.look() == [
        "NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID",
    ]  # fmt: skip
    told.node.started()
    assert await told.look() == ["NodeReady"]
    assert await told.look() == []
    told.node.update(pressure=frozenset({"DiskPressure"}))
    told.node.set_problem("podman", "Podman is away")
    assert await told.look() == ["NodeHasDiskPressure", "NodeNotReady"]


async def test_a_cordon_is_told_once_and_its_end_too() -> None:
    api = MemoryApi()
    told = Told(api)
    await told.look()
    for cordoned, reason in ((True, "NodeNotSchedulable"), (False, "NodeSchedulable")):
        patch = {"spec": {"unschedulable": cordoned}}
        await api.client.patch(NODE, Key("", "node1"), patch)
        assert await told.look() == [reason]
        assert await told.look() == []


async def test_a_boot_is_told_and_a_new_start_of_the_agent_is_none() -> None:
    api = MemoryApi()
    await Told(api).look()
    assert await Told(api).look() == []
    booted = replace(SPEC, facts=replace(FACTS, info={"bootID": "two"}))
    assert await Told(api, booted).look() == ["Rebooted"]
