"""Events of events.k8s.io: stricter than core's, and the same objects."""

import asyncio
from typing import Any

import pytest

from edgek.api.errors import Invalid
from edgek.api.meta import Obj, deep_copy, key_of
from edgek.client.client import Client
from edgek.kinds import EVENT, EVENT_V1


def event(**changes: Any) -> Obj:
    obj = deep_copy(dict(EVENT_V1.example)) | changes
    return {field: value for field, value in obj.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"eventTime": None}, "eventTime: Required value"),
        ({"type": "Odd"}, 'type: Invalid value: "": has invalid value: Odd'),
        ({"reportingController": ""}, "reportingController: Required value"),
        ({"reportingInstance": ""}, "reportingInstance: Required value"),
        ({"reason": "x" * 129}, 'reason: Invalid value: "": can have at most 128 characters'),
        ({"note": "x" * 1025}, 'message: Invalid value: "": can have at most 1024 characters'),
        ({"deprecatedCount": 2}, 'count: Invalid value: "": needs to be unset'),
        ({"deprecatedSource": {"component": "a"}}, 'source: Invalid value: "": needs to be unset'),
        (
            {"series": {"count": 1, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}},
            'series.count: Invalid value: "": should be at least 2',
        ),
    ],
)
async def test_a_new_event_is_complete_and_of_the_new_style(
    client: Client, changes: Obj, sentence: str
) -> None:
    with pytest.raises(Invalid) as caught:
        await client.create(EVENT_V1, event(**changes))
    assert sentence in caught.value.message


async def test_both_groups_show_the_same_event(client: Client) -> None:
    made = await client.create(EVENT_V1, event())
    core = await client.get(EVENT, key_of(made))
    assert (core["involvedObject"], core["message"]) == (made["regarding"], made["note"])
    assert core["reportingComponent"] == made["reportingController"]
    old = deep_copy(dict(EVENT.example))
    await client.create(EVENT, old)
    [new] = (await client.list(EVENT_V1, field_selector="regarding.name=web,reason=Started")).items
    assert (new["note"], new["deprecatedCount"]) == (old["message"], old["count"])
    assert new["deprecatedSource"] == old["source"]
    assert new["deprecatedFirstTimestamp"] == old["firstTimestamp"]


async def test_only_that_it_happened_again_may_be_written_to_an_event(client: Client) -> None:
    made = await client.create(EVENT_V1, event())
    series = {"count": 2, "lastObservedTime": "2026-01-01T00:01:00.000000Z"}
    again = await client.update(EVENT_V1, made | {"series": series})
    assert again["series"] == series
    with pytest.raises(Invalid, match=r"message: Invalid value: .*: field is immutable"):
        await client.update(EVENT_V1, again | {"note": "something else"})


async def test_a_watcher_sees_what_was_written_to_the_other_group(client: Client) -> None:
    selected = "regarding.name=web,reason=Started"
    async with client.watch(EVENT_V1, field_selector=selected) as changes:
        await client.create(EVENT_V1, event())
        made = await client.create(EVENT, deep_copy(dict(EVENT.example)))
        await client.delete(EVENT, key_of(made))
        async with asyncio.timeout(5):
            added, deleted = await anext(changes), await anext(changes)
    assert (added.type, deleted.type) == ("ADDED", "DELETED")
    assert added.obj["apiVersion"] == "events.k8s.io/v1"
    assert added.obj["note"] == made["message"]
