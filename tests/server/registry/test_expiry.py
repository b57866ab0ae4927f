"""Events go after their time, others stay, and an idle store wakes nobody."""

import asyncio

import pytest

from edgek.aio.clock import FakeClock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Key, Obj
from edgek.kinds import EVENT
from server.registry.expiry import BATCH_SECONDS, Expiry
from tests.support.api import admin, open_api

pytestmark = pytest.mark.looptime


def event(name: str) -> Obj:
    meta = {"name": name, "namespace": "default"}
    involved = {"kind": "Pod", "namespace": "default", "name": "p"}
    return {"apiVersion": "v1", "kind": "Event", "metadata": meta, "involvedObject": involved}


async def test_an_event_goes_an_hour_after_it_was_last_written() -> None:
    clock = FakeClock()
    async with open_api(clock=clock) as api, Tasks("test") as tasks:
        client = admin(api)
        await client.create(EVENT, event("before"))
        tasks.spawn(Expiry(api.store, EVENT, ttl=3600, clock=clock).run(), name="expiry")
        await asyncio.sleep(1800)
        await client.create(EVENT, event("later"))
        await client.patch(EVENT, Key("default", "before"), {"message": "again"})
        await client.create(EVENT, event("third"))
        await asyncio.sleep(1800 + BATCH_SECONDS + 1)
        assert len((await client.list(EVENT)).items) == 3
        await asyncio.sleep(1800)
        assert (await client.list(EVENT)).items == []


async def test_nothing_to_expire_means_no_timer() -> None:
    async with open_api() as api, Tasks("test") as tasks:
        loop = asyncio.get_running_loop()
        before = len(getattr(loop, "_scheduled"))  # noqa: B009 - private, and the point
        expiry = Expiry(api.store, EVENT, ttl=3600, clock=FakeClock())
        tasks.spawn(expiry.run(), name="expiry")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(getattr(loop, "_scheduled")) == before  # noqa: B009
