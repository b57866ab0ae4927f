"""Control loops under test: controllers running against a MemoryApi, on virtual time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from edgek.aio.clock import Clock, FakeClock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Key, Obj
from edgek.api.time import format_time
from edgek.client.client import Client
from edgek.control.controller import DONE, Builder, Context, ForKind, Result, run_controllers
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import EVENT, POD
from edgek.kinds.pods import is_ready
from tests.support.memory_api import MemoryApi


@dataclass(frozen=True)
class Loops:
    api: MemoryApi
    context: Context

    async def settle(self, seconds: float = 5.0) -> None:
        """Lets all work that is due within ``seconds`` of virtual time be done."""
        await asyncio.sleep(seconds)

    def events(self, reason: str = "") -> list[str]:
        """``reason: message`` of each event written so far."""
        found = [e for e in self.api.all(EVENT) if not reason or e["reason"] == reason]
        return [f"{e['reason']}: {e['message']}" for e in found]

    def make_ready(self, *pods: Obj, node: str = "n1") -> None:
        """What scheduler and agent do for a pod that runs well."""
        for pod in pods:
            now = format_time(self.context.clock.now())
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
            spec = {**pod["spec"], "nodeName": pod["spec"].get("nodeName") or node}
            status = {"phase": "Running", "conditions": [ready]}
            self.api.put(POD, {**pod, "spec": spec, "status": status})


class ReadyPods:
    """A node agent where every pod runs well at once. ``bad`` images never become ready."""

    name = "kubelet"
    kind = POD
    watches = (ForKind(POD),)

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pods = context.informers.get(POD)

    async def reconcile(self, key: Key) -> Result:
        pod = self._pods.get(key)
        if pod is None or pod["spec"]["containers"][0].get("image") == "bad" or is_ready(pod):
            return DONE
        now = format_time(self._context.clock.now())
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
        status = {"phase": "Running", "conditions": [ready]}
        await self._context.client.update_status(POD, {**pod, "status": status})
        return DONE


@asynccontextmanager
async def running(api: MemoryApi, *builders: Builder) -> AsyncIterator[Loops]:
    """The controllers, settled on what the API holds. Needs ``@pytest.mark.looptime``."""
    async with controlled(api.client, FakeClock(), *builders) as context:
        loops = Loops(api, context)
        await loops.settle()
        yield loops


@asynccontextmanager
async def controlled(client: Client, clock: Clock, *builders: Builder) -> AsyncIterator[Context]:
    """The controllers as clients of any API."""
    async with Tasks("loops") as tasks:
        events = EventRecorder(client, clock)
        informers = Informers(client, tasks)
        context = Context(client=client, informers=informers, events=events, clock=clock)
        tasks.spawn(events.run(), name="events")
        tasks.spawn(run_controllers(context, builders), name="controllers")
        yield context


async def until(check: Callable[[], Awaitable[Any]], *, seconds: float = 10.0) -> Any:
    """Waits until ``check`` gives something true; the state of that moment is its answer."""
    async with asyncio.timeout(seconds):
        while not (found := await check()):  # noqa: ASYNC110 - the server is asked, it tells nobody
            await asyncio.sleep(0.01)
        return found
