"""Claims and volumes that are deleted while they are in use stay until they are not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from edgek.aio.clock import SystemClock
from edgek.aio.tasks import Tasks
from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, with_path
from edgek.client.client import Client
from edgek.control.controller import Context, run_controllers
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import NAMESPACE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD
from edgek.kinds.kind import Kind
from server.admission.storage import StorageObjectInUseProtection
from server.controllers import pv_protection, pvc_protection
from tests.support.api import admin, open_api

BUILDERS = (pvc_protection.build, pv_protection.build)
CLAIM_SPEC = {
    "accessModes": ["ReadWriteOnce"],
    "resources": {"requests": {"storage": "1Gi"}},
}
VOLUME_SPEC = {
    "accessModes": ["ReadWriteOnce"],
    "capacity": {"storage": "1Gi"},
    "hostPath": {"path": "/data"},
}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    clock = SystemClock()
    plugin = StorageObjectInUseProtection()
    async with open_api(clock=clock, plugins=[plugin]) as api, Tasks("test") as tasks:
        client = admin(api)
        events, informers = EventRecorder(client, clock), Informers(client, tasks)
        context = Context(client=client, informers=informers, events=events, clock=clock)
        tasks.spawn(run_controllers(context, BUILDERS), name="controllers")
        await client.create(NAMESPACE, {"metadata": {"name": "shop"}})
        yield client


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await check():  # noqa: ASYNC110 - the server is asked, it tells nobody
            await asyncio.sleep(0.01)


async def gone(client: Client, kind: Kind, key: Key) -> None:
    """Returns once it is."""

    async def is_gone() -> bool:
        try:
            await client.get(kind, key)
        except NotFound:
            return True
        return False

    await until(is_gone)


def a_pod(name: str, **volume: object) -> Obj:
    volumes = [{"name": "data", **volume}]
    spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}], "volumes": volumes}
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}


@pytest.mark.parametrize(
    ("claim", "volume"),
    [
        ("data", {"persistentVolumeClaim": {"claimName": "data"}}),
        ("web-data", {"ephemeral": {"volumeClaimTemplate": {"spec": CLAIM_SPEC}}}),
    ],
)
async def test_a_claim_outlives_the_pods_that_use_it(
    client: Client, claim: str, volume: Obj
) -> None:
    key = Key("shop", claim)
    meta = {"name": claim, "namespace": "shop"}
    made = await client.create(PERSISTENT_VOLUME_CLAIM, {"metadata": meta, "spec": CLAIM_SPEC})
    assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    await client.create(POD, a_pod("web", **volume))
    await client.delete(PERSISTENT_VOLUME_CLAIM, key)
    going = await client.get(PERSISTENT_VOLUME_CLAIM, key)
    assert going["metadata"]["deletionTimestamp"]
    await client.delete(POD, Key("shop", "web"), grace_period_seconds=0)
    await gone(client, PERSISTENT_VOLUME_CLAIM, key)


async def test_a_volume_outlives_its_binding(client: Client) -> None:
    key = Key("", "disk")
    await client.create(PERSISTENT_VOLUME, {"metadata": {"name": "disk"}, "spec": VOLUME_SPEC})
    found = await client.get(PERSISTENT_VOLUME, key)
    bound = await client.update_status(
        PERSISTENT_VOLUME, with_path(found, ("status", "phase"), "Bound")
    )
    await client.delete(PERSISTENT_VOLUME, key)
    found = await client.get(PERSISTENT_VOLUME, key)
    assert found["metadata"]["finalizers"] == bound["metadata"]["finalizers"]
    await client.update_status(PERSISTENT_VOLUME, with_path(found, ("status", "phase"), "Released"))
    await gone(client, PERSISTENT_VOLUME, key)


async def test_what_lacks_protection_gets_it(client: Client) -> None:
    key, meta = Key("shop", "data"), {"name": "data", "namespace": "shop"}
    await client.create(PERSISTENT_VOLUME_CLAIM, {"metadata": meta, "spec": CLAIM_SPEC})
    await client.patch(PERSISTENT_VOLUME_CLAIM, key, {"metadata": {"finalizers": None}})

    async def is_protected() -> bool:
        found = await client.get(PERSISTENT_VOLUME_CLAIM, key)
        return bool(found["metadata"].get("finalizers"))

    await until(is_protected)
