"""A kind served in another version than it is stored in: every verb speaks its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgek.api.meta import Key, Obj
from edgek.kinds import CONFIG_MAP
from edgek.kinds.kind import Kind
from tests.support.api import admin, open_api


@dataclass(frozen=True)
class Shouted:
    """Stored in core/v1, served in loud/v2 with the values in capitals."""

    async def serve(self, objs: Sequence[Obj]) -> Sequence[Obj]:
        return [self._shout(obj) for obj in objs]

    def _shout(self, obj: Obj) -> Obj:
        data = {k: v.upper() for k, v in (obj.get("data") or {}).items()}
        return {**obj, "apiVersion": "loud/v2", "data": data}

    async def store(self, obj: Obj) -> Obj:
        data = {k: v.lower() for k, v in (obj.get("data") or {}).items()}
        return {**obj, "apiVersion": "v1", "data": data}


LOUD = Kind(
    group="loud",
    version="v2",
    kind="ConfigMap",
    plural="configmaps",
    schema="io.k8s.api.core.v1.ConfigMap",
    storage_prefix=CONFIG_MAP.storage_prefix,
    conversion=Shouted(),
)


def loud(name: str, text: str) -> Obj:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "loud/v2", "kind": "ConfigMap", "metadata": meta, "data": {"say": text}}


async def test_each_version_reads_what_the_other_wrote() -> None:
    async with open_api() as api:
        api.env.kinds.add(LOUD)
        client, key = admin(api), Key("default", "a")
        made = await client.create(LOUD, loud("a", "HI"))
        quiet = await client.get(CONFIG_MAP, key)
        assert (made["apiVersion"], made["data"]["say"]) == ("loud/v2", "HI")
        assert (quiet["apiVersion"], quiet["data"]["say"]) == ("v1", "hi")
        assert made["metadata"] == quiet["metadata"]
        await client.update(CONFIG_MAP, {**quiet, "data": {"say": "ho"}})
        [listed] = (await client.list(LOUD, namespace="default")).items
        assert listed["data"] == {"say": "HO"}


async def test_updates_and_deletions_answer_in_the_version_that_asked() -> None:
    async with open_api() as api:
        api.env.kinds.add(LOUD)
        client, key = admin(api), Key("default", "a")
        made = await client.create(LOUD, loud("a", "HI"))
        same = await client.update(LOUD, made)
        assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        changed = await client.update(LOUD, {**made, "data": {"say": "BYE"}})
        assert changed["data"] == {"say": "BYE"}
        held = await client.patch(LOUD, key, {"metadata": {"finalizers": ["example.com/x"]}})
        assert held["apiVersion"] == "loud/v2"
        await client.delete(LOUD, key)
        marked = await client.get(LOUD, key)
        assert marked["metadata"]["deletionTimestamp"]
        assert marked["data"] == {"say": "BYE"}


async def test_a_watch_speaks_its_own_version() -> None:
    async with open_api() as api:
        api.env.kinds.add(LOUD)
        client = admin(api)
        await client.create(LOUD, loud("a", "HI"))
        async with client.watch(LOUD, resource_version="", namespace="default") as events:
            first = await anext(events)
            await client.create(CONFIG_MAP, {**loud("b", "lo"), "apiVersion": "v1"})
            second = await anext(events)
        assert [(e.type, e.obj["data"]["say"]) for e in (first, second)] == [
            ("ADDED", "HI"),
            ("ADDED", "LO"),
        ]


async def test_a_write_that_changes_nothing_still_moves_an_object_to_the_storage_version() -> None:
    @dataclass(frozen=True)
    class Moved(Shouted):
        async def store(self, obj: Obj) -> Obj:
            return {**obj, "apiVersion": "loud/v2"}

    async with open_api() as api:
        api.env.kinds.add(LOUD)
        client = admin(api)
        made = await client.create(LOUD, loud("a", "HI"))
        moved = replace(LOUD, conversion=Moved())
        api.env.kinds.add(moved)
        again = await client.update(moved, made)
        assert again["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
        stored = api.env.registry.find(moved, Key("default", "a"))
        assert stored is not None
        assert stored.decoded()["apiVersion"] == "loud/v2"
