"""ResourceQuota: charges race with other writers of the status, failures and clients that go."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from edgek.aio.clock import FakeClock
from edgek.api.errors import Conflict, Forbidden, ServiceUnavailable
from edgek.api.meta import Key, Obj
from edgek.kinds import CONFIG_MAP, RESOURCE_QUOTA
from server.admission.chain import Attributes
from server.admission.resource_quota import ResourceQuota
from server.request.fake import FakeReader
from server.request.model import User


class Quotas:
    """Quotas of namespace ``shop``; ``before`` is called before each write of a status."""

    def __init__(self, *quotas: Obj) -> None:
        self.reader = FakeReader(*((RESOURCE_QUOTA, quota) for quota in quotas))
        self.before: list[Callable[[], None]] = []
        self.writes = 0
        self.open = asyncio.Event()
        self.open.set()
        self.plugin = ResourceQuota(self.reader, write=self.write, clock=FakeClock())

    async def write(self, key: Key, transform: Callable[[Obj], Obj]) -> None:
        await self.open.wait()
        if self.before:
            self.before.pop(0)()
        stored = self.reader.get(RESOURCE_QUOTA, key)
        assert stored is not None
        self.put(transform(stored))
        self.writes += 1

    def put(self, quota: Obj) -> None:
        version = str(int(quota["metadata"]["resourceVersion"]) + 1)
        meta = {**quota["metadata"], "resourceVersion": version}
        self.reader.put(RESOURCE_QUOTA, {**quota, "metadata": meta})

    def of(self, name: str = "q") -> Obj:
        found = self.reader.get(RESOURCE_QUOTA, Key("shop", name))
        assert found is not None
        return found

    def used(self, name: str = "q") -> Any:
        return self.of(name)["status"]["used"]["configmaps"]

    def set_used(self, number: int, name: str = "q") -> None:
        quota = self.of(name)
        self.put({**quota, "status": {**quota["status"], "used": {"configmaps": str(number)}}})


def quota(used: int, hard: int, name: str = "q") -> Obj:
    status = {"hard": {"configmaps": str(hard)}, "used": {"configmaps": str(used)}}
    meta = {"name": name, "namespace": "shop", "resourceVersion": "1"}
    return {"metadata": meta, "spec": {"hard": status["hard"]}, "status": status}


def a_map(name: str = "a", **more: Any) -> Attributes:
    meta = {"name": name, "namespace": "shop", "uid": f"uid-{name}"}
    defaults = {"operation": "CREATE", "kind": CONFIG_MAP, "namespace": "shop", "name": name}
    return Attributes(obj={"metadata": meta}, user=User(name="ann"), **{**defaults, **more})


async def turn() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_those_who_wait_together_are_charged_with_one_write() -> None:
    quotas = Quotas(quota(0, 5))
    maps = [quotas.plugin.validate(a_map(f"m{i}")) for i in range(8)]
    results = await asyncio.gather(*maps, return_exceptions=True)
    assert sum(isinstance(r, Forbidden) for r in results) == 3
    assert (quotas.used(), quotas.writes) == ("5", 1)


async def test_a_status_that_changed_meanwhile_is_planned_for_anew() -> None:
    quotas = Quotas(quota(0, 5), quota(0, 5, "other"))
    quotas.before = [lambda: quotas.set_used(3)]
    await quotas.plugin.validate(a_map())
    assert (quotas.used(), quotas.used("other")) == ("4", "1")
    quotas.before = [lambda: quotas.set_used(5)]
    with pytest.raises(Forbidden, match="used: configmaps=5, limited: configmaps=5"):
        await quotas.plugin.validate(a_map("b"))
    assert (quotas.used(), quotas.used("other")) == ("5", "1")


async def test_a_status_that_cannot_be_written_keeps_nobody_waiting() -> None:
    def fail() -> None:
        raise ServiceUnavailable("disk full")

    quotas = Quotas(quota(0, 5))
    quotas.before = [fail]
    maps = [quotas.plugin.validate(a_map(f"m{i}")) for i in range(3)]
    results = await asyncio.gather(*maps, return_exceptions=True)
    assert all(isinstance(r, ServiceUnavailable) for r in results)
    await quotas.plugin.validate(a_map())
    assert quotas.used() == "1"


async def test_a_status_that_never_holds_still_is_a_conflict() -> None:
    quotas = Quotas(quota(0, 5))
    quotas.before = [lambda: quotas.set_used(1)] * 100
    with pytest.raises(Conflict, match="please try again"):
        await quotas.plugin.validate(a_map())


async def test_a_client_that_goes_while_it_waits_is_charged_nothing() -> None:
    quotas = Quotas(quota(0, 5))
    quotas.open.clear()
    task = asyncio.ensure_future(quotas.plugin.validate(a_map()))
    await turn()
    task.cancel()
    await turn()
    quotas.open.set()
    await turn()
    assert task.cancelled()
    assert quotas.used() == "0"


async def test_a_write_that_fails_gives_back_what_it_was_charged() -> None:
    quotas, request = Quotas(quota(2, 5)), a_map()
    await quotas.plugin.validate(request)
    assert quotas.used() == "3"
    await request.end(committed=False)
    assert quotas.used() == "2"


def status_update(used: int) -> Attributes:
    """As the controller makes it."""
    more = {"kind": RESOURCE_QUOTA, "operation": "UPDATE", "subresource": "status"}
    request = a_map("q", **more)
    request.obj = quota(used, 5)
    return request


async def test_what_is_under_way_is_added_to_what_others_count() -> None:
    quotas, request = Quotas(quota(0, 5)), a_map()
    await quotas.plugin.validate(request)
    update = status_update(0)
    await quotas.plugin.admit(update)
    assert update.obj["status"]["used"] == {"configmaps": "1"}
    quotas.reader.put(CONFIG_MAP, request.obj)  # from now on it can be counted
    update = status_update(1)
    await quotas.plugin.admit(update)
    assert update.obj["status"]["used"] == {"configmaps": "1"}
    await request.end(committed=True)
    quotas.reader.remove(CONFIG_MAP, Key("shop", "a"))
    update = status_update(0)
    await quotas.plugin.admit(update)
    assert update.obj["status"]["used"] == {"configmaps": "0"}


async def test_what_is_there_already_and_dry_runs_are_not_charged() -> None:
    quotas = Quotas(quota(5, 5))
    quotas.reader.put(CONFIG_MAP, a_map().obj)
    await quotas.plugin.validate(a_map())
    with pytest.raises(Forbidden, match="exceeded quota: q"):
        await quotas.plugin.validate(a_map("b", dry_run=True))
    assert quotas.writes == 0


async def test_a_quota_that_is_not_counted_yet_says_so() -> None:
    fresh = quota(0, 5)
    fresh["status"]["used"] = {}
    with pytest.raises(Forbidden) as caught:
        await Quotas(fresh).plugin.validate(a_map())
    assert caught.value.message.endswith(
        "is forbidden: status unknown for quota: q, resources: configmaps"
    )
