"""Quotas on the real API with the controller that counts: never exceeded, and never stuck."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from edgek.aio.clock import SystemClock
from edgek.aio.tasks import Tasks
from edgek.api.errors import AlreadyExists, Forbidden
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.control.controller import Context, run_controllers
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import (
    CONFIG_MAP,
    CUSTOM_RESOURCE_DEFINITION,
    NAMESPACE,
    POD,
    RESOURCE_QUOTA,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
)
from edgek.kinds.kind import Kind
from server.controllers import resource_quota
from server.parts import plugins
from tests.support.api import admin, open_api


@dataclass(frozen=True)
class Shop:
    """A namespace with quotas."""

    client: Client

    async def limit(self, hard: dict[str, str]) -> None:
        """Returns once it is enforced."""
        meta = {"name": "q", "namespace": "shop"}
        await self.client.create(RESOURCE_QUOTA, {"metadata": meta, "spec": {"hard": hard}})
        await until(self._is_counted)

    async def _is_counted(self) -> bool:
        quota = await self.client.get(RESOURCE_QUOTA, Key("shop", "q"))
        return bool(quota["status"].get("hard") == quota["spec"]["hard"])

    async def used(self) -> dict[str, str]:
        quota = await self.client.get(RESOURCE_QUOTA, Key("shop", "q"))
        found: dict[str, str] = quota["status"]["used"]
        return found

    async def make(self, kind: Kind, name: str, **fields: object) -> str:
        """What was said against it; "" where it was made."""
        try:
            await self.client.create(
                kind, {"metadata": {"name": name, "namespace": "shop"}, **fields}
            )
        except Forbidden as refusal:
            return refusal.message
        return ""

    async def uses(self, used: dict[str, str]) -> None:
        """Returns once that is used."""

        async def does() -> bool:
            return await self.used() == used

        await until(does)


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await check():  # noqa: ASYNC110 - the server is asked, it tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    clock = SystemClock()
    async with open_api(clock=clock, plugins=plugins) as api, Tasks("test") as tasks:
        client = admin(api)
        events, informers = EventRecorder(client, clock), Informers(client, tasks)
        context = Context(client=client, informers=informers, events=events, clock=clock)
        tasks.spawn(run_controllers(context, (resource_quota.build,)), name="controllers")
        await client.create(NAMESPACE, {"metadata": {"name": "shop"}})
        made = Shop(client)
        await made.make(SERVICE_ACCOUNT, "default")
        yield made


def a_pod(cpu: str = "100m") -> Obj:
    resources = {"requests": {"cpu": cpu}}
    return {"containers": [{"name": "c", "image": "i", "resources": resources}]}


async def test_many_at_once_get_what_there_is_and_not_more(shop: Shop) -> None:
    await shop.limit({"pods": "7", "requests.cpu": "600m"})
    said = await asyncio.gather(*(shop.make(POD, f"p{i}", spec=a_pod()) for i in range(20)))
    assert sum(1 for text in said if not text) == 6
    assert {text.partition(" is forbidden: ")[2] for text in said if text} == {
        "exceeded quota: q, requested: requests.cpu=100m, used: requests.cpu=600m, limited: "
        "requests.cpu=600m"
    }
    assert await shop.used() == {"pods": "6", "requests.cpu": "600m"}
    assert len((await shop.client.list(POD, namespace="shop")).items) == 6


async def test_what_goes_makes_room(shop: Shop) -> None:
    await shop.limit({"pods": "1", "count/configmaps": "1"})
    assert await shop.make(POD, "a", spec=a_pod()) == ""
    assert "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1" in (
        await shop.make(POD, "b", spec=a_pod())
    )
    await shop.client.delete(POD, Key("shop", "a"))
    await shop.uses({"pods": "0", "count/configmaps": "0"})
    assert await shop.make(POD, "b", spec=a_pod()) == ""
    pod = await shop.client.get(POD, Key("shop", "b"))
    await shop.client.update_status(POD, {**pod, "status": {"phase": "Succeeded"}})
    await shop.uses({"pods": "0", "count/configmaps": "0"})


async def test_makers_and_deleters_together_never_exceed_it(shop: Shop) -> None:
    """The controller counts while admission charges."""
    await shop.limit({"configmaps": "5"})
    most = 0

    async def churn(number: int) -> None:
        nonlocal most
        for turn in range(10):
            name = f"c{number}-{turn}"
            if not await shop.make(CONFIG_MAP, name):
                there = (await shop.client.list(CONFIG_MAP, namespace="shop")).items
                most = max(most, len(there))
                await shop.client.delete(CONFIG_MAP, Key("shop", name))

    await asyncio.gather(*(churn(n) for n in range(12)))
    assert 1 <= most <= 5
    await shop.uses({"configmaps": "0"})


async def test_what_comes_to_nothing_is_given_back(shop: Shop) -> None:
    await shop.limit({"secrets": "3"})
    await shop.make(SECRET, "a")
    twins = (shop.make(SECRET, "twin") for _ in range(2))
    results = await asyncio.gather(*twins, return_exceptions=True)
    assert any(isinstance(result, AlreadyExists) for result in results)
    assert await shop.used() == {"secrets": "2"}
    with suppress(AlreadyExists):
        await shop.make(SECRET, "a")
    assert await shop.used() == {"secrets": "2"}


async def test_a_dry_run_is_told_and_takes_nothing(shop: Shop) -> None:
    await shop.limit({"configmaps": "1"})
    obj = {"metadata": {"name": "a", "namespace": "shop"}}
    await shop.client.create(CONFIG_MAP, obj, dry_run=True)
    assert await shop.used() == {"configmaps": "0"}


async def test_a_service_is_charged_for_what_it_becomes(shop: Shop) -> None:
    await shop.limit({"services.nodeports": "1", "services": "2"})
    ports = [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]
    assert await shop.make(SERVICE, "web", spec={"ports": ports}) == ""
    found = await shop.client.get(SERVICE, Key("shop", "web"))
    with pytest.raises(Forbidden, match=r"requested: services\.nodeports=2, used: "):
        await shop.client.update(SERVICE, {**found, "spec": {**found["spec"], "type": "NodePort"}})
    one = {**found, "spec": {**found["spec"], "type": "NodePort", "ports": ports[:1]}}
    found = await shop.client.update(SERVICE, one)
    assert await shop.used() == {"services": "1", "services.nodeports": "1"}
    back = {**found["spec"], "type": "ClusterIP", "ports": [{"port": 80, "name": "a"}]}
    await shop.client.update(SERVICE, {**found, "spec": back})
    await shop.uses({"services": "1", "services.nodeports": "0"})


async def test_a_resized_pod_is_charged_for_what_it_grows_by(shop: Shop) -> None:
    await shop.limit({"requests.cpu": "500m"})
    await shop.make(POD, "web", spec=a_pod("100m"))

    async def resize(cpu: str) -> None:
        resources = {"requests": {"cpu": cpu}}
        body = {"spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}}
        await shop.client.patch(POD, Key("shop", "web"), body, subresource="resize")

    with pytest.raises(Forbidden, match=r"requested: requests\.cpu=500m, used: requests\.cpu=100m"):
        await resize("600m")
    await resize("400m")
    await shop.uses({"requests.cpu": "400m"})
    await resize("50m")
    await shop.uses({"requests.cpu": "50m"})


async def test_a_pod_must_say_what_a_quota_counts(shop: Shop) -> None:
    await shop.limit({"limits.cpu": "1", "requests.memory": "1Gi"})
    assert (await shop.make(POD, "p", spec=a_pod())).endswith(
        "failed quota: q: must specify limits.cpu for: c; requests.memory for: c"
    )


async def test_a_lower_limit_is_counted_at_once(shop: Shop) -> None:
    await shop.limit({"configmaps": "5"})
    for number in range(3):
        await shop.make(CONFIG_MAP, f"c{number}")
    quota = await shop.client.get(RESOURCE_QUOTA, Key("shop", "q"))
    await shop.client.update(
        RESOURCE_QUOTA, {**quota, "spec": {"hard": {"configmaps": "2", "secrets": "1"}}}
    )
    await shop.uses({"configmaps": "3", "secrets": "0"})
    assert "used: configmaps=3, limited: configmaps=2" in await shop.make(CONFIG_MAP, "more")


CRD = {
    "metadata": {"name": "toys.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "toys", "kind": "Toy"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}


async def test_custom_objects_are_counted_too(shop: Shop) -> None:
    await shop.client.create(CUSTOM_RESOURCE_DEFINITION, CRD)
    toy = Kind(group="example.com", version="v1", kind="Toy", plural="toys", custom=True)

    async def is_served() -> bool:
        with suppress(Exception):
            await shop.client.list(toy, namespace="shop")
            return True
        return False

    await until(is_served)
    await shop.limit({"count/toys.example.com": "1"})
    assert await shop.make(toy, "a") == ""
    assert "exceeded quota" in await shop.make(toy, "b")
    await shop.client.delete(toy, Key("shop", "a"))
    await shop.uses({"count/toys.example.com": "0"})
