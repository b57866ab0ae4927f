"""Definitions under control, on the real API: their objects go first, their names are passed on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edgek.aio.clock import SystemClock
from edgek.aio.tasks import Tasks
from edgek.api.conditions import find_condition
from edgek.api.meta import Key, Obj, deep_copy, uid
from edgek.client.client import Client
from edgek.control.controller import Context, run_controllers
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import CONFIG_MAP, NAMESPACE
from edgek.kinds import CUSTOM_RESOURCE_DEFINITION as CRD
from edgek.kinds.kind import Kind
from server.app import Api
from server.controllers import definitions, garbage_collector, namespace
from server.storage.sqlite import SqliteEngine
from tests.support.api import admin, open_api

BUILDERS = (namespace.build, garbage_collector.build, definitions.build)
NAME = Key("", "crontabs.stable.example.com")
HOLD = ["example.com/hold"]


@asynccontextmanager
async def controlled(engine: SqliteEngine | None = None) -> AsyncIterator[tuple[Api, Client]]:
    clock = SystemClock()
    async with open_api(clock=clock, engine=engine) as api, Tasks("test") as tasks:
        client = admin(api)
        events = EventRecorder(client, clock)
        context = Context(
            client=client, informers=Informers(client, tasks), events=events, clock=clock
        )
        tasks.spawn(events.run(), name="events")
        tasks.spawn(run_controllers(context, BUILDERS), name="controllers")
        yield api, client


async def until(check: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(10):
        while not (found := await check()):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
    return found


async def gone(client: Client, kind: Kind) -> bool:
    return not (await client.list(kind)).items


def definition(**names: str) -> Obj:
    crd = deep_copy(dict(CRD.example))
    crd["spec"]["names"] |= names
    crd["metadata"]["name"] = f"{crd['spec']['names']['plural']}.stable.example.com"
    return crd


async def with_crontab(api: Api, client: Client, **meta: Any) -> tuple[Kind, Obj]:
    await client.create(CRD, definition())
    kind = api.env.kinds.find("stable.example.com", "v1", "crontabs")
    assert kind is not None
    obj = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": "a", "namespace": "default", **meta},
    }
    return kind, await client.create(kind, obj)


async def terminating(client: Client) -> Obj | None:
    crd = await client.get(CRD, NAME)
    found = find_condition(crd["status"]["conditions"], "Terminating")
    return found if found and found["reason"] == "InstanceDeletionInProgress" else None


async def test_a_definition_goes_once_its_objects_are_gone() -> None:
    async with controlled() as (api, client):
        kind, _ = await with_crontab(api, client, finalizers=HOLD)
        await client.delete(CRD, NAME)
        await until(lambda: terminating(client))
        held = await client.get(kind, Key("default", "a"))
        assert held["metadata"]["deletionTimestamp"]
        await client.patch(kind, Key("default", "a"), {"metadata": {"finalizers": None}})
        await until(lambda: gone(client, CRD))


async def test_a_deletion_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with open_api(engine=SqliteEngine(path), clock=SystemClock()) as api:
        await with_crontab(api, admin(api))
        await admin(api).delete(CRD, NAME)
    async with controlled(SqliteEngine(path)) as (api, client):
        await until(lambda: gone(client, CRD))
        assert not api.store.entries("/stable.example.com/crontabs/")


async def test_names_that_become_free_are_taken() -> None:
    async with controlled() as (api, client):
        await client.create(CRD, definition())
        await client.create(CRD, definition(plural="tabs", listKind="Tabs", singular="tab"))
        assert api.env.kinds.find("stable.example.com", "v1", "tabs") is None
        await client.delete(CRD, NAME)

        async def served() -> Kind | None:
            return api.env.kinds.find("stable.example.com", "v1", "tabs")

        assert (await until(served)).kind == "CronTab"


async def test_what_a_custom_object_owns_goes_with_it() -> None:
    async with controlled() as (api, client):
        kind, owner = await with_crontab(api, client)
        reference = {
            "apiVersion": kind.api_version, "kind": kind.kind, "name": "a", "uid": uid(owner),
        }  # fmt: skip
        meta = {"name": "child", "namespace": "default", "ownerReferences": [reference]}
        await client.create(CONFIG_MAP, {"metadata": meta})
        await client.delete(CRD, NAME)
        await until(lambda: gone(client, CONFIG_MAP))


async def test_custom_objects_of_a_namespace_go_with_it() -> None:
    async with controlled() as (api, client):
        await client.create(NAMESPACE, {"metadata": {"name": "default"}})
        kind, _ = await with_crontab(api, client, finalizers=HOLD)
        await client.delete(NAMESPACE, Key("", "default"))

        async def deleting() -> Any:
            found = await client.get(kind, Key("default", "a"))
            return found["metadata"].get("deletionTimestamp")

        await until(deleting)
        await client.patch(kind, Key("default", "a"), {"metadata": {"finalizers": None}})
        await until(lambda: gone(client, NAMESPACE))
