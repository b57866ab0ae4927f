"""Watches as clients know them from upstream: what they begin with, show, survive and end with."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgek.api.meta import Key, Obj, deep_copy
from edgek.client.client import Client
from edgek.kinds import CONFIG_MAP, POD
from server.app import Api
from server.storage.section import BOOKMARK_SECONDS
from tests.support.api import ADMIN, open_api
from tests.support.raw import PARTIAL, TABLE, Watching, get, watchers_of

PATH = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with open_api(user=ADMIN) as opened:
        yield opened


async def put(client: Client, name: str, **data: str) -> Obj:
    """Creates or changes; labels are the data."""
    meta = {"name": name, "namespace": "default", "labels": data}
    key = Key("default", name)
    if name in [o["metadata"]["name"] for o in (await client.list(CONFIG_MAP)).items]:
        return await client.patch(CONFIG_MAP, key, {"data": data, "metadata": {"labels": data}})
    return await client.create(CONFIG_MAP, {"metadata": meta, "data": data})


def revision(obj: Obj) -> str:
    return str(obj["metadata"]["resourceVersion"])


async def test_without_a_revision_what_is_there_comes_first(api: Api, client: Client) -> None:
    await put(client, "b")
    await put(client, "a")
    for start in ({}, {"resourceVersion": "0"}):
        watching = await Watching.of(api, PATH, **start)
        assert await watching.some(2) == [("ADDED", "a"), ("ADDED", "b")]
        await client.delete(CONFIG_MAP, Key("default", "a"))
        assert await watching.some(1) == [("DELETED", "a")]
        await put(client, "a")
        await watching.close()


async def test_from_a_revision_every_later_change_comes_in_order(api: Api, client: Client) -> None:
    first = await put(client, "a", x="1")
    await put(client, "a", x="2")
    watching = await Watching.of(api, PATH, resourceVersion=revision(first))
    await put(client, "b")
    await client.delete(CONFIG_MAP, Key("default", "a"))
    seen = await watching.some(3)
    assert seen == [("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")]
    await watching.close()


async def test_a_deletion_shows_the_last_state_at_the_revision_of_its_end(
    api: Api, client: Client
) -> None:
    made = await put(client, "a", x="1")
    watching = await Watching.of(api, PATH, resourceVersion=revision(made))
    await client.delete(CONFIG_MAP, Key("default", "a"))
    event = await watching.next()
    assert event["object"]["data"] == {"x": "1"}
    assert int(revision(event["object"])) > int(revision(made))
    await watching.close()


async def test_initial_events_end_with_a_marked_bookmark_that_one_may_resume_from(
    api: Api, client: Client
) -> None:
    await put(client, "a")
    watching = await Watching.of(
        api, PATH, sendInitialEvents="true", resourceVersionMatch="NotOlderThan",
        allowWatchBookmarks="true",
    )  # fmt: skip
    assert await watching.some(1) == [("ADDED", "a")]
    end = await watching.next()
    assert (end["type"], end["object"]["kind"]) == ("BOOKMARK", "ConfigMap")
    assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    await watching.close()
    await put(client, "b")
    resumed = await Watching.of(api, PATH, resourceVersion=revision(end["object"]))
    assert await resumed.some(1) == [("ADDED", "b")]
    await resumed.close()


async def test_initial_events_that_are_not_wanted_do_not_come(api: Api, client: Client) -> None:
    await put(client, "a")
    watching = await Watching.of(
        api, PATH, sendInitialEvents="false", resourceVersionMatch="NotOlderThan"
    )
    await put(client, "b")
    assert await watching.some(1) == [("ADDED", "b")]
    await watching.close()


@pytest.mark.looptime
async def test_bookmarks_follow_changes_that_a_watcher_did_not_see(
    api: Api, client: Client
) -> None:
    """A quiet watcher of a busy kind must be able to resume after its history is gone."""
    at = (await client.list(CONFIG_MAP)).resource_version
    watching = await Watching.of(
        api, "/api/v1/namespaces/quiet/configmaps", resourceVersion=at, allowWatchBookmarks="1"
    )
    last = await put(client, "a")
    await asyncio.sleep(BOOKMARK_SECONDS + 1)
    event = await watching.next()
    assert event["type"] == "BOOKMARK"
    assert int(revision(event["object"])) >= int(revision(last))
    await watching.close()


@pytest.mark.looptime
async def test_bookmarks_come_only_to_those_who_asked(api: Api, client: Client) -> None:
    at = (await client.list(CONFIG_MAP)).resource_version
    other = "/api/v1/namespaces/other/configmaps"
    watching = await Watching.of(api, other, resourceVersion=at, timeoutSeconds="200")
    await put(client, "a")
    await asyncio.sleep(150)
    reading = asyncio.create_task(watching._watch.__anext__())
    await asyncio.sleep(20)
    assert not reading.done()
    with pytest.raises(StopAsyncIteration):
        await reading


@pytest.mark.looptime
async def test_timeout_seconds_ends_a_watch_in_good_order(api: Api, client: Client) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    watching = await Watching.of(api, PATH, timeoutSeconds="3")
    await put(client, "a")
    assert await watching.some(1) == [("ADDED", "a")]
    assert await watching.ends()
    assert 2.9 < loop.time() - began < 4
    assert watchers_of(api, CONFIG_MAP.storage_prefix) == 0


async def test_a_revision_older_than_the_history_is_an_error_event_of_410(
    api: Api, client: Client
) -> None:
    first = await put(client, "a")
    for n in range(1100):
        await client.patch(CONFIG_MAP, Key("default", "a"), {"data": {"n": str(n)}})
    watching = await Watching.of(api, PATH, resourceVersion=revision(first))
    event = await watching.next()
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert event["object"]["message"].startswith("too old resource version: ")
    assert await watching.ends()


async def test_a_revision_of_the_future_is_refused_with_504(api: Api) -> None:
    answer = await get(api, PATH, watch="1", resourceVersion="999999999999")
    assert (answer["code"], answer["reason"]) == (504, "Timeout")
    assert answer["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


# --- selectors -----------------------------------------------------------------------------------


async def test_what_enters_or_leaves_a_label_selector_is_added_or_deleted(
    api: Api, client: Client
) -> None:
    at = (await client.list(CONFIG_MAP)).resource_version
    watching = await Watching.of(api, PATH, resourceVersion=at, labelSelector="x=1")
    await put(client, "a", x="2")  # not seen
    await put(client, "a", x="1")
    await put(client, "a", x="1", y="1")
    left = await put(client, "a", x="2")
    await put(client, "a", x="3")  # not seen
    await put(client, "b", x="1")
    await client.delete(CONFIG_MAP, Key("default", "a"))  # not seen
    await client.delete(CONFIG_MAP, Key("default", "b"))
    events = [await watching.next() for _ in range(5)]
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in events] == [
        ("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b"), ("DELETED", "b"),
    ]  # fmt: skip
    # The state that matched last, at the revision at which it left: resuming there is right.
    assert events[2]["object"]["data"] == {"x": "1", "y": "1"}
    assert revision(events[2]["object"]) == revision(left)
    await watching.close()


async def test_a_node_sees_a_pod_come_by_its_binding_and_go(api: Api, client: Client) -> None:
    at = (await client.list(POD)).resource_version
    mine = await Watching.of(api, PODS, resourceVersion=at, fieldSelector="spec.nodeName=n1")
    unbound = await Watching.of(api, PODS, resourceVersion=at, fieldSelector="spec.nodeName=")
    await client.create(POD, deep_copy(dict(POD.example)))
    target = {"target": {"kind": "Node", "name": "n1"}, "metadata": {"namespace": "default"}}
    await client.create(POD, target, subresource="binding", name="web")
    await client.delete(POD, Key("default", "web"), grace_period_seconds=0)
    assert await mine.some(2) == [("ADDED", "web"), ("DELETED", "web")]
    assert await unbound.some(2) == [("ADDED", "web"), ("DELETED", "web")]
    await mine.close()
    await unbound.close()


async def test_one_object_is_watched_by_its_name(api: Api, client: Client) -> None:
    at = (await client.list(CONFIG_MAP)).resource_version
    selector = "metadata.name=b"
    watching = await Watching.of(api, PATH, resourceVersion=at, fieldSelector=selector)
    for name in ("a", "b", "c"):
        await put(client, name)
    await client.delete(CONFIG_MAP, Key("default", "b"))
    assert await watching.some(2) == [("ADDED", "b"), ("DELETED", "b")]
    await watching.close()


# --- forms ---------------------------------------------------------------------------------------


async def test_a_table_watch_has_its_columns_once_and_a_row_for_each_event(
    api: Api, client: Client
) -> None:
    await put(client, "a", x="1")
    watching = await Watching.of(api, PATH, accept=TABLE)
    await put(client, "b")
    first, second = await watching.next(), await watching.next()
    assert [c["name"] for c in first["object"]["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert not second["object"]["columnDefinitions"]
    rows = [e["object"]["rows"][0] for e in (first, second)]
    assert [row["cells"][:2] for row in rows] == [["a", 1], ["b", 0]]
    assert [row["object"]["kind"] for row in rows] == ["PartialObjectMetadata"] * 2
    await watching.close()


async def test_a_metadata_watch_shows_metadata_only(api: Api, client: Client) -> None:
    made = await put(client, "a", x="1")
    watching = await Watching.of(api, PATH, accept=PARTIAL)
    event = await watching.next()
    assert event["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": made["metadata"],
    }
    await watching.close()


# --- many and gone -------------------------------------------------------------------------------


async def test_a_thousand_watchers_see_every_change_and_leave_nothing_behind(
    api: Api, client: Client
) -> None:
    at = (await client.list(CONFIG_MAP)).resource_version
    many = [await Watching.of(api, PATH, resourceVersion=at) for _ in range(1000)]
    assert watchers_of(api, CONFIG_MAP.storage_prefix) == 1000
    await put(client, "a")
    await put(client, "b")
    for watching in many:
        assert await watching.some(2) == [("ADDED", "a"), ("ADDED", "b")]
        await watching.close()
    assert watchers_of(api, CONFIG_MAP.storage_prefix) == 0


@pytest.mark.parametrize("read", [0, 1])
async def test_a_watch_given_up_frees_its_watcher_even_unread(
    api: Api, client: Client, read: int
) -> None:
    await put(client, "a")
    watching = await Watching.of(api, PATH)
    await watching.some(read)
    await watching.close()
    assert watchers_of(api, CONFIG_MAP.storage_prefix) == 0


async def test_a_reader_that_is_cut_off_resumes_without_a_gap(
    api: Api, client: Client, monkeypatch: Any
) -> None:
    monkeypatch.setattr("server.storage.watch.QUEUE", 3)
    at = (await client.list(CONFIG_MAP)).resource_version
    slow = await Watching.of(api, PATH, resourceVersion=at)
    for n in range(6):
        await put(client, f"c{n}")
    events = [await slow.next() for _ in range(3)]
    assert await slow.ends()
    rest = await Watching.of(api, PATH, resourceVersion=revision(events[-1]["object"]))
    assert await rest.some(3) == [("ADDED", f"c{n}") for n in (3, 4, 5)]
    await rest.close()
