"""PATCH: what it touches, what it leaves, and when it loses against another write."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from edgek.api.errors import Conflict, NotFound
from edgek.api.meta import Key, Obj, deep_copy
from edgek.client.client import PATCH_TYPES, Client
from edgek.kinds import CONFIG_MAP, DEPLOYMENT, POD
from server.app import Api
from server.request.model import Request, Response
from tests.support.api import ADMIN, open_api

KEY = Key("default", "a")


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with open_api(user=ADMIN) as opened:
        yield opened


@pytest.fixture
async def made(client: Client) -> Obj:
    meta = {"name": "a", "namespace": "default", "labels": {"x": "1"}}
    return await client.create(CONFIG_MAP, {"metadata": meta, "data": {"k": "v"}})


async def test_patches_made_at_once_all_take_effect(client: Client, made: Obj) -> None:
    count = 30
    patches = [client.patch(CONFIG_MAP, KEY, {"data": {f"k{n}": str(n)}}) for n in range(count)]
    answers = await asyncio.gather(*patches)
    assert len({a["metadata"]["resourceVersion"] for a in answers}) == count
    assert len((await client.get(CONFIG_MAP, KEY))["data"]) == count + 1


async def test_a_patch_that_names_a_revision_loses_against_a_newer_one(
    client: Client, made: Obj
) -> None:
    await client.patch(CONFIG_MAP, KEY, {"data": {"k": "w"}})
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {}}
    with pytest.raises(Conflict, match="the object has been modified"):
        await client.patch(CONFIG_MAP, KEY, stale)


async def test_a_patch_that_changes_nothing_writes_nothing(client: Client, made: Obj) -> None:
    for form, patch in (
        ("merge", {"data": {"k": "v"}}),
        ("strategic", {"metadata": {"labels": {"x": "1"}}}),
        ("json", [{"op": "test", "path": "/data/k", "value": "v"}]),
    ):
        assert await client.patch(CONFIG_MAP, KEY, patch, patch_type=form) == made


async def test_the_server_keeps_what_is_the_servers(client: Client, made: Obj) -> None:
    mine: Obj = {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 99, "selfLink": "/x"}
    patched = await client.patch(CONFIG_MAP, KEY, {"metadata": mine, "data": {"k": "w"}})
    kept = {k: v for k, v in made["metadata"].items() if k != "resourceVersion"}
    assert {k: v for k, v in patched["metadata"].items() if k != "resourceVersion"} == kept


async def test_a_strategic_patch_merges_containers_by_name(client: Client) -> None:
    deployment = deep_copy(dict(DEPLOYMENT.example))
    created = await client.create(DEPLOYMENT, deployment)
    containers = created["spec"]["template"]["spec"]["containers"]
    more = {"name": containers[0]["name"], "image": "other:2"}
    patch = {"spec": {"template": {"spec": {"containers": [more, {"name": "b", "image": "b:1"}]}}}}
    key = Key("default", created["metadata"]["name"])
    patched = await client.patch(DEPLOYMENT, key, patch, patch_type="strategic")
    first, second = patched["spec"]["template"]["spec"]["containers"]
    assert first == {**containers[0], "image": "other:2"}
    assert (second["name"], second["imagePullPolicy"]) == ("b", "IfNotPresent")
    assert patched["metadata"]["generation"] == 2


async def test_status_and_spec_are_patched_apart(client: Client) -> None:
    created = await client.create(POD, deep_copy(dict(POD.example)))
    key = Key("default", "web")
    both = {"spec": {"nodeName": "n9"}, "status": {"message": "hello"}}
    by_status = await client.patch(POD, key, both, subresource="status")
    assert by_status["spec"] == created["spec"]
    assert by_status["status"]["message"] == "hello"
    labelled = {"metadata": {"labels": {"a": "b"}}, "status": {"message": "other"}}
    by_spec = await client.patch(POD, key, labelled)
    assert by_spec["status"] == by_status["status"]


async def test_a_patch_makes_nothing_new(client: Client) -> None:
    with pytest.raises(NotFound):
        await client.patch(CONFIG_MAP, Key("default", "none"), {"data": {"a": "b"}})


async def patched(api: Api, body: Any, **query: str) -> Response:
    path = "/api/v1/namespaces/default/configmaps/a"
    headers = {"content-type": PATCH_TYPES["merge"]}
    request = Request(
        method="PATCH", path=path, query=query, headers=headers, raw_body=orjson.dumps(body)
    )
    response = await api.handle(request)
    response.headers["warnings"] = "; ".join(request.warnings)
    return response


@pytest.mark.usefixtures("made")
async def test_unknown_fields_warn_or_fail_as_asked(api: Api, client: Client) -> None:
    typo = {"dta": {"a": "b"}}
    assert (await patched(api, typo)).headers["warnings"] == 'unknown field "dta"'
    assert (await patched(api, typo, fieldValidation="Ignore")).headers["warnings"] == ""
    strict = await patched(api, typo, fieldValidation="Strict")
    assert 400 <= strict.status < 500
    assert strict.obj is not None
    assert 'unknown field "dta"' in strict.obj["message"]
    assert "dta" not in await client.get(CONFIG_MAP, KEY)


@pytest.mark.usefixtures("made")
async def test_patches_that_had_to_try_again_warn_once(api: Api) -> None:
    many = [patched(api, {"dta": 1, "data": {f"k{n}": "x"}}) for n in range(5)]
    warned = [answer.headers["warnings"] for answer in await asyncio.gather(*many)]
    assert warned == ['unknown field "dta"'] * 5


@pytest.mark.usefixtures("made")
async def test_a_dry_run_answers_what_would_be(api: Api, client: Client) -> None:
    answer = await patched(api, {"data": {"k": "w"}}, dryRun="All")
    assert orjson.loads(answer.body or b"")["data"] == {"k": "w"}
    assert (await client.get(CONFIG_MAP, KEY))["data"] == {"k": "v"}
