"""A server that is away costs two lines of log: waiting must not wear an SD card."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent.api.tunnel import Tunnel
from agent.node.addresses import Addresses
from agent.node.facts import Facts
from agent.node.lease import NodeLease
from agent.node.register import Registration
from agent.node.resources import NodeResources
from agent.node.status import NodeSpec
from agent.pods.status_writer import StatusWriter
from agent.pods.store import Pods
from edgek.aio.clock import FakeClock
from edgek.aio.tasks import Tasks
from edgek.api.errors import ServiceUnavailable
from edgek.client.transport import Call
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import NODE, POD
from tests.support.memory_api import MemoryApi
from tests.support.pods import make_pod

AWAY = 3 * 3600.0
FACTS = Facts(hostname="pi", architecture="arm64", cpus=4, memory=1 << 30, storage=1 << 34, info={})
SPEC = NodeSpec(
    name="n1",
    addresses=Addresses(internal=("192.0.2.1",), hostname="pi"),
    facts=FACTS,
    resources=NodeResources(),
    first_labels={},
)


class Wire:
    """A server that can be away, behind the API and behind the tunnel."""

    def __init__(self) -> None:
        self.away = False
        self.cut = asyncio.Event()
        self.api = MemoryApi()
        self.api.before.append(self._look)
        self.dialled = 0

    def _look(self, call: Call) -> None:
        if self.away:
            raise ServiceUnavailable("The connection to the server was refused")

    @asynccontextmanager
    async def websocket(self, path: str, *, heartbeat: float | None = None) -> AsyncIterator[Any]:
        self.dialled += 1
        self._look(Call(method="GET", path=path))
        yield self._nothing_while_up()

    async def _nothing_while_up(self) -> AsyncIterator[Any]:
        await self.cut.wait()
        for message in list[Any]():
            yield message


@pytest.mark.looptime
async def test_hours_without_the_server_are_told_in_two_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    wire, clock = Wire(), FakeClock()
    client = wire.api.client
    pods = Pods(lambda uid: None)
    writer = StatusWriter(client, pods)
    recorder = EventRecorder(client, clock)
    node = Registration(client, SPEC, clock=clock)
    async with Tasks("test", on_error=lambda name, err: None) as tasks:
        informers = Informers(client, tasks)
        for kind in (NODE, POD):
            informers.get(kind)
        for coro in (
            NodeLease(client, "n1", clock=clock).run(), Tunnel(wire, "n1", {}).run(),
            writer.run(), recorder.run(), node.run(),
        ):  # fmt: skip
            tasks.spawn(coro, name="part")
        await asyncio.sleep(30)
        caplog.clear()
        wire.away = True
        wire.cut.set()
        wire.api.break_watches()
        pod = wire.api.put(POD, make_pod()) | {"status": {}}
        pods.adopt(pod)
        writer.put(pod, {"phase": "Running", "conditions": []})
        recorder.source("kubelet").normal(pod, "Started", "Started container main")
        node.started()
        calls = len(wire.api.calls) + wire.dialled
        await asyncio.sleep(AWAY)
        assert [r.name for r in caplog.records] == ["agent.node.lease"]
        # The heartbeat every ten seconds, all others every half minute or so.
        assert len(wire.api.calls) + wire.dialled - calls < AWAY / 10 + 6 * AWAY / 15
        wire.away = False
        await asyncio.sleep(90)
    assert [r.message for r in caplog.records][1:] == ["connection to the server: works again"]
