"""DELETE of one and of many, by body and by query."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from edgek.api.meta import Key, Obj, deep_copy
from edgek.client.client import Client
from edgek.kinds import CONFIG_MAP, POD
from server.app import Api
from server.request.model import Request
from tests.support.api import ADMIN, open_api
from tests.support.raw import decoded

PATH = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with open_api(user=ADMIN) as opened:
        yield opened


async def put(client: Client, name: str, *, finalizers: Any = (), **labels: str) -> Obj:
    meta = {"name": name, "namespace": "default", "labels": labels, "finalizers": list(finalizers)}
    return await client.create(CONFIG_MAP, {"metadata": meta})


async def delete(api: Api, path: str, options: Any = None, **query: str) -> Obj:
    body = orjson.dumps(options) if options is not None else b""
    request = Request(method="DELETE", path=path, query=query, raw_body=body)
    return decoded(await api.handle(request))


async def names(client: Client) -> list[str]:
    return [o["metadata"]["name"] for o in (await client.list(CONFIG_MAP)).items]


async def test_what_is_gone_is_told_with_a_status_that_names_it(api: Api, client: Client) -> None:
    made = await put(client, "a")
    assert await delete(api, f"{PATH}/a") == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]},
    }
    assert (await delete(api, f"{PATH}/a"))["reason"] == "NotFound"


async def test_a_dry_run_deletes_nothing_however_it_is_asked(api: Api, client: Client) -> None:
    await put(client, "a")
    assert (await delete(api, f"{PATH}/a", dryRun="All"))["status"] == "Success"
    assert (await delete(api, f"{PATH}/a", {"dryRun": ["All"]}))["status"] == "Success"
    await delete(api, PATH, dryRun="All")
    assert await names(client) == ["a"]


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
async def test_a_precondition_that_fails_keeps_the_object(
    api: Api, client: Client, field: str
) -> None:
    made = await put(client, "a")
    refused = await delete(api, f"{PATH}/a", {"preconditions": {field: "other"}})
    assert (refused["code"], refused["reason"]) == (409, "Conflict")
    assert "Precondition failed" in refused["message"]
    right = {"preconditions": {field: made["metadata"][field]}}
    assert (await delete(api, f"{PATH}/a", right))["status"] == "Success"


async def test_finalizers_hold_an_object_that_is_then_shown_as_going(
    api: Api, client: Client
) -> None:
    await put(client, "a", finalizers=["example.com/hold"])
    going = await delete(api, f"{PATH}/a")
    assert (going["kind"], going["metadata"]["deletionGracePeriodSeconds"]) == ("ConfigMap", 0)
    assert going["metadata"]["deletionTimestamp"]
    again = await delete(api, f"{PATH}/a")
    assert again["metadata"] == going["metadata"]
    released = {"metadata": {"finalizers": None}}
    await client.patch(CONFIG_MAP, Key("default", "a"), released)
    assert await names(client) == []


@pytest.mark.parametrize(
    ("policy", "finalizers"), [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"])]
)
async def test_a_propagation_policy_leaves_its_work_to_the_garbage_collector(
    api: Api, client: Client, policy: str, finalizers: list[str]
) -> None:
    await put(client, "a")
    await put(client, "b")
    by_query = await delete(api, f"{PATH}/a", propagationPolicy=policy)
    by_body = await delete(api, f"{PATH}/b", {"propagationPolicy": policy})
    assert by_query["metadata"]["finalizers"] == by_body["metadata"]["finalizers"] == finalizers


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"propagationPolicy": "Sideways"}, 422),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, 422),
        ({"gracePeriodSeconds": "soon"}, 400),
        ({"gracePeriodSeconds": True}, 400),
        ({"preconditions": []}, 400),
        ({"preconditions": {"uid": 5}}, 400),
        ({"dryRun": ["Some"]}, 422),
        ({"kind": "Pod"}, 400),
        ([], 400),
    ],
)
async def test_options_that_cannot_be_are_told(
    api: Api, client: Client, options: Any, code: int
) -> None:
    await put(client, "a")
    answer = await delete(api, f"{PATH}/a", options)
    assert (answer["kind"], answer["code"]) == ("Status", code)
    assert await names(client) == ["a"]


async def test_a_collection_is_deleted_by_selector_and_answers_what_it_deleted(
    api: Api, client: Client
) -> None:
    for name in "abc":
        await put(client, name, x="1" if name != "c" else "2")
    gone = await delete(api, PATH, labelSelector="x=1")
    assert gone["kind"] == "ConfigMapList"
    assert [o["metadata"]["name"] for o in gone["items"]] == ["a", "b"]
    assert await names(client) == ["c"]


async def test_a_pod_gets_its_grace_and_a_second_delete_may_only_shorten_it(
    api: Api, client: Client
) -> None:
    pod = deep_copy(dict(POD.example))
    await client.create(POD, pod)
    target = {"target": {"kind": "Node", "name": "n1"}, "metadata": {"namespace": "default"}}
    await client.create(POD, target, subresource="binding", name="web")
    path = "/api/v1/namespaces/default/pods/web"
    graces = []
    for seconds in ("", "60", "10", "20", "-5"):
        query = {"gracePeriodSeconds": seconds} if seconds else {}
        going = await delete(api, path, **query)
        graces.append(going["metadata"]["deletionGracePeriodSeconds"])
    assert graces == [30, 30, 10, 10, 1]
    await delete(api, path, {"gracePeriodSeconds": 0})
    assert (await delete(api, path))["reason"] == "NotFound"


async def test_a_grace_of_ages_is_a_date_all_the_same(api: Api, client: Client) -> None:
    await client.create(POD, deep_copy(dict(POD.example)))
    target = {"target": {"kind": "Node", "name": "n1"}, "metadata": {"namespace": "default"}}
    await client.create(POD, target, subresource="binding", name="web")
    path = "/api/v1/namespaces/default/pods/web"
    going = await delete(api, path, {"gracePeriodSeconds": 2**63 - 1})
    assert going["metadata"]["deletionTimestamp"].startswith("20")
