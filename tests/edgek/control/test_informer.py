"""Informer: a cache that follows the server and hands on differences only."""

import asyncio

import pytest

from edgek.aio.tasks import Tasks
from edgek.api.errors import ServiceUnavailable
from edgek.api.meta import Key
from edgek.api.selectors import parse_selector
from edgek.control.informer import Informer, Informers
from edgek.kinds import CONFIG_MAP, POD
from tests.support.memory_api import MemoryApi, fail


def config_map(name, namespace="default", **meta):
    return {"metadata": {"name": name, "namespace": namespace, **meta}}


@pytest.fixture
def api():
    return MemoryApi()


@pytest.fixture
async def tasks():
    async with Tasks("test") as group:
        yield group


async def started(api, tasks, kind=CONFIG_MAP, **query):
    informer = Informer(api.client, kind, jitter=lambda: 0.0, **query)
    changes = []
    informer.on_change(lambda old, new: changes.append((_text(old), _text(new))))
    tasks.spawn(informer.run(), name="informer")
    await informer.wait_synced()
    return informer, changes


def _text(obj):
    return obj and obj["metadata"]["name"] + ":" + obj.get("data", {}).get("v", "")


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_lists_then_follows_every_change_in_order(api, tasks):
    api.put(CONFIG_MAP, config_map("a"))
    informer, changes = await started(api, tasks)
    await settle()
    api.put(CONFIG_MAP, config_map("b"))
    api.put(CONFIG_MAP, config_map("a") | {"data": {"v": "2"}})
    api.remove(CONFIG_MAP, "default", "b")
    await settle()
    assert changes == [(None, "a:"), (None, "b:"), ("a:", "a:2"), ("b:", None)]
    assert [_text(o) for o in informer.list()] == ["a:2"]


@pytest.mark.looptime
async def test_a_broken_watch_resumes_without_a_list(api, tasks):
    _informer, changes = await started(api, tasks)
    await asyncio.sleep(2)
    api.break_watches()
    api.put(CONFIG_MAP, config_map("a"))
    await asyncio.sleep(1)
    assert changes == [(None, "a:")]
    assert len(api.calls) == 1


@pytest.mark.looptime
async def test_expired_history_is_listed_anew_and_only_differences_are_handed_on(api, tasks):
    api.put(CONFIG_MAP, config_map("same"))
    api.put(CONFIG_MAP, config_map("gone"))
    api.put(CONFIG_MAP, config_map("changed"))
    _informer, changes = await started(api, tasks)
    await asyncio.sleep(2)
    changes.clear()
    api.remove(CONFIG_MAP, "default", "gone")
    api.put(CONFIG_MAP, config_map("changed") | {"data": {"v": "2"}})
    api.put(CONFIG_MAP, config_map("new"))
    api.compact()
    await asyncio.sleep(60)
    assert changes == [("gone:", None), ("changed:", "changed:2"), (None, "new:")]


@pytest.mark.looptime
async def test_an_object_made_anew_under_its_name_is_removed_then_added(api, tasks):
    api.put(CONFIG_MAP, config_map("a", uid="one"))
    _informer, changes = await started(api, tasks)
    await asyncio.sleep(2)
    changes.clear()
    api.remove(CONFIG_MAP, "default", "a")
    api.put(CONFIG_MAP, config_map("a", uid="two"))
    api.compact()
    await asyncio.sleep(60)
    assert changes == [("a:", None), (None, "a:")]


@pytest.mark.looptime
async def test_a_failing_list_is_tried_again_with_growing_pauses(api, tasks):
    loop = asyncio.get_running_loop()
    api.before.append(fail("GET", "configmaps", ServiceUnavailable("down"), times=3))
    await started(api, tasks)
    assert loop.time() == pytest.approx(0.8 + 1.6 + 3.2)


@pytest.mark.looptime
async def test_a_server_whose_history_is_always_too_old_is_not_flooded(api, tasks):
    api.put(CONFIG_MAP, config_map("a"))
    api.compact()
    api.lists_stale = True
    await started(api, tasks)
    await asyncio.sleep(60)
    assert 3 <= len(api.calls) <= 10


@pytest.mark.looptime
async def test_an_idle_informer_makes_no_call(api, tasks):
    await started(api, tasks)
    await asyncio.sleep(3600)
    assert len(api.calls) == 1


async def test_selectors_narrow_the_cache_and_a_leaving_object_is_removed(api, tasks):
    api.put(CONFIG_MAP, config_map("in", labels={"a": "b"}))
    api.put(CONFIG_MAP, config_map("out"))
    _informer, changes = await started(api, tasks, label_selector="a=b")
    await settle()
    api.put(CONFIG_MAP, config_map("in"))
    await settle()
    assert changes == [(None, "in:"), ("in:", None)]


async def test_reads_by_namespace_selector_index_and_owner(api, tasks):
    owner = {"metadata": {"name": "o", "uid": "u1"}}
    ref = {"apiVersion": "v1", "kind": "Owner", "name": "o", "uid": "u1"}
    api.put(POD, config_map("mine", ownerReferences=[ref | {"controller": True}]))
    api.put(POD, config_map("other", "there", labels={"a": "b"}, ownerReferences=[ref]))
    informer, _ = await started(api, tasks, POD)
    informer.add_index("label", lambda o: (o["metadata"].get("labels") or {}).values())
    names = [
        [o["metadata"]["name"] for o in found]
        for found in (
            informer.list("there"),
            informer.list(selector=parse_selector("!a")),
            informer.by_index("label", "b"),
            informer.by_index("label", "none"),
            informer.owned_by(owner),
        )
    ]
    assert names == [["other"], ["mine"], ["other"], [], ["mine"]]
    api.remove(POD, "there", "other")
    await settle()
    assert informer.by_index("label", "b") == []
    assert informer.get(Key("there", "other")) is None


async def test_a_handler_added_late_is_handed_what_is_there_and_a_bad_one_harms_nobody(api, tasks):
    api.put(CONFIG_MAP, config_map("a"))
    informer, _ = await started(api, tasks)
    late = []
    informer.on_change(lambda old, new: [][1])
    informer.on_change(lambda old, new: late.append((_text(old), _text(new))))
    await settle()
    api.put(CONFIG_MAP, config_map("b"))
    await settle()
    assert late == [(None, "a:"), (None, "b:")]


async def test_informers_share_one_cache_per_kind_and_selector(api, tasks):
    informers = Informers(api.client, tasks)
    first = informers.get(CONFIG_MAP)
    assert informers.get(CONFIG_MAP) is first
    assert informers.get(CONFIG_MAP, label_selector="a=b") is not first
    await informers.wait_synced()
    assert len(api.calls) == 2
