"""Custom kinds come, change and go with their definitions, on the real API."""

from pathlib import Path

import pytest
from aiohttp import web

from edgek.api import errors
from edgek.api.meta import Key, Obj, deep_copy, key_of
from edgek.kinds import CUSTOM_RESOURCE_DEFINITION as CRD
from edgek.kinds import INGRESS
from server.admission.chain import Attributes
from server.controllers.custom_kinds import kind_of
from server.storage.sqlite import SqliteEngine
from tests.support.api import admin, open_api
from tests.support.crontabs import (
    GROUP,
    KEY,
    NAME,
    TEXT,
    api_with,
    at,
    change,
    crontab,
    definition,
    served,
    version,
)
from tests.support.https_peer import Peer, https_peer


async def test_a_kind_is_served_from_the_answer_on_and_gone_with_its_definition() -> None:
    async with open_api() as api:
        client = admin(api)
        before = api.env.kinds.version
        made = await client.create(CRD, definition())
        assert {c["type"]: c["status"] for c in made["status"]["conditions"]}[
            "Established"
        ] == "True"
        kind = served(api)
        await client.create(kind, crontab(cronSpec="x"))
        assert api.env.kinds.version > before
        await client.delete(CRD, NAME)
        ending = served(api)
        assert "create" not in ending.verbs
        with pytest.raises(errors.MethodNotAllowed):
            await client.create(ending, crontab(name="b"))
        await client.delete(ending, KEY)
        await client.patch(CRD, NAME, {"metadata": {"finalizers": None}})
        assert api.env.kinds.find(GROUP, "v1", "crontabs") is None
        with pytest.raises(errors.NotFound):
            await client.list(kind)


async def test_an_object_that_is_under_way_when_its_definition_ends_is_not_made() -> None:
    """Who empties a definition must not miss it."""

    class Slow:
        async def admit(self, attributes: Attributes) -> None:
            if attributes.kind.custom:
                await client.delete(CRD, NAME)

        async def validate(self, attributes: Attributes) -> None:
            pass

    async with open_api(plugins=[Slow()]) as api:
        client = admin(api)
        await client.create(CRD, definition())
        with pytest.raises(errors.MethodNotAllowed, match="resource definition is terminating"):
            await client.create(served(api), crontab())
        assert not api.store.entries("/stable.example.com/crontabs/")


async def test_a_dry_run_serves_nothing() -> None:
    async with open_api() as api:
        await admin(api).create(CRD, definition(), dry_run=True)
        assert api.env.kinds.find(GROUP, "v1", "crontabs") is None
        await admin(api).create(CRD, definition())


async def test_of_two_definitions_that_want_one_name_the_first_has_it() -> None:
    async with api_with(definition()) as (api, client):
        other = definition(names={"plural": "tabs", "kind": "CronTab", "listKind": "Tabs"})
        other["metadata"]["name"] = "tabs.stable.example.com"
        made = await client.create(CRD, other)
        found = {c["type"]: c for c in made["status"]["conditions"]}
        assert found["NamesAccepted"]["reason"] == "KindConflict"
        assert found["NamesAccepted"]["message"] == '"CronTab" is already in use'
        assert api.env.kinds.find(GROUP, "v1", "tabs") is None


@pytest.mark.parametrize("version_", ["v1", "v9"])
async def test_a_built_in_resource_is_not_to_be_had_in_any_version(version_: str) -> None:
    names = {"plural": "ingresses", "kind": "Ingress"}
    crd = definition(version(version_, storage=True), group="networking.k8s.io", names=names)
    crd["metadata"] = {
        "name": "ingresses.networking.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "https://example.com/pull/1"},
    }
    async with open_api() as api:
        client = admin(api)
        kept = await client.create(INGRESS, deep_copy(dict(INGRESS.example)))
        for _ in range(2):
            made = await client.create(CRD, deep_copy(crd))
            found = {c["type"]: c for c in made["status"]["conditions"]}
            assert found["NamesAccepted"]["message"] == '"ingresses" is already in use'
            forged = [{**found["Established"], "status": "True"}]
            status = {"conditions": forged, "acceptedNames": names | {"listKind": "Ingresses"}}
            await client.patch(CRD, key_of(crd), {"status": status}, subresource="status")
            served_ = api.env.kinds.find("networking.k8s.io", version_, "ingresses")
            assert served_ in (None, INGRESS)
            assert kind_of(await client.get(CRD, key_of(crd))) is None
            await client.delete(CRD, key_of(crd))
            await client.patch(CRD, key_of(crd), {"metadata": {"finalizers": None}})
        assert await client.get(INGRESS, key_of(kept)) == kept


async def test_objects_and_kinds_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with open_api(engine=SqliteEngine(path)) as api:
        await admin(api).create(CRD, definition())
        made = await admin(api).create(served(api), crontab(cronSpec="x"))
    async with open_api(engine=SqliteEngine(path)) as api:
        client, kind = admin(api), served(api)
        assert await client.get(kind, KEY) == made
        version_ = made["metadata"]["resourceVersion"]
        async with client.watch(kind, resource_version=version_) as events:
            await client.create(kind, crontab(name="b"))
            assert (await anext(events)).obj["metadata"]["name"] == "b"


async def test_a_watch_ends_when_the_definition_changes() -> None:
    async with api_with(definition()) as (api, client):
        kind = served(api)
        async with client.watch(kind) as events:
            await client.create(kind, crontab())
            assert (await anext(events)).type == "ADDED"
            await change(client, versions=[version("v1", storage=True, other=TEXT)])
            assert [e.type async for e in events if e.type != "BOOKMARK"] == []


async def test_what_was_stored_before_shows_as_the_new_schema_wants_it() -> None:
    async with api_with(definition()) as (api, client):
        await client.create(served(api), crontab(cronSpec="x"))
        defaulted = {"type": "integer", "default": 3}
        await change(client, versions=[version("v1", storage=True, replicas=defaulted)])
        found = await client.get(served(api), KEY)
        assert found["spec"] == {"replicas": 3}
        [listed] = (await client.list(served(api))).items
        assert listed["spec"] == {"replicas": 3}


async def test_an_update_may_leave_what_a_stricter_schema_refuses() -> None:
    async with api_with(definition()) as (api, client):
        made = await client.create(served(api), crontab(cronSpec="long text"))
        strict = {**TEXT, "maxLength": 4}
        await change(client, versions=[version("v1", storage=True, cronSpec=strict, x=TEXT)])
        kind = served(api)
        kept = await client.update(kind, at(crontab(cronSpec="long text", x="y"), made))
        assert kept["spec"]["x"] == "y"
        with pytest.raises(errors.Invalid, match="Too long: may not be more than 4 characters"):
            await client.update(kind, at(crontab(cronSpec="other text"), kept))


async def test_status_is_a_subresource_where_the_definition_says_so() -> None:
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    plain = version("v1", storage=True)
    plain["schema"]["openAPIV3Schema"]["properties"]["status"] = status
    async with api_with(definition({**plain, "subresources": {"status": {}}})) as (api, client):
        kind = served(api)
        made = await client.create(kind, crontab() | {"status": {"x": 1}})
        assert "status" not in made
        labelled = {**made, "status": {"x": 2}, "spec": {"cronSpec": "y"}}
        labelled["metadata"] = {**made["metadata"], "labels": {"a": "b"}}
        written = await client.update_status(kind, labelled)
        assert (written["status"], written["spec"]) == ({"x": 2}, {})
        assert "labels" not in written["metadata"]
        assert written["metadata"]["generation"] == 1
        await change(client, versions=[plain])
        kind = served(api)
        both = await client.update(kind, at({**crontab(), "status": {"x": 3}}, written))
        assert both["status"] == {"x": 3}
        assert both["metadata"]["generation"] == 2


async def test_scale_reads_and_writes_where_the_definition_says() -> None:
    paths = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}
    sized = version("v1", storage=True, size={"type": "integer"})
    async with api_with(definition({**sized, "subresources": {"scale": paths}})) as (api, client):
        kind = served(api)
        await client.create(kind, crontab())
        with pytest.raises(errors.InternalError, match=r'field "\.spec\.size" does not exist'):
            await client.get(kind, KEY, subresource="scale")
        await client.patch(kind, KEY, {"spec": {"replicas": 3}}, subresource="scale")
        scale = await client.get(kind, KEY, subresource="scale")
        assert (scale["spec"], scale["status"]) == ({"replicas": 3}, {"replicas": 0})
        assert (await client.get(kind, KEY))["spec"] == {"size": 3}
        with pytest.raises(errors.Invalid, match="should be a non-negative integer"):
            await client.patch(kind, KEY, {"spec": {"size": -1}})


async def test_versions_without_a_webhook_differ_in_name() -> None:
    crd = definition(version("v1", storage=True), version("v2"))
    async with api_with(crd) as (api, client):
        made = await client.create(served(api, "v2"), crontab("v2", cronSpec="x"))
        assert made["apiVersion"] == f"{GROUP}/v2"
        found = await client.get(served(api), KEY)
        assert (found["apiVersion"], found["spec"]) == (f"{GROUP}/v1", {"cronSpec": "x"})
        await change(client, versions=[version("v1"), version("v2", storage=True)])
        crd = await client.get(CRD, NAME)
        assert crd["status"]["storedVersions"] == ["v1", "v2"]
        await client.update(served(api), found)
        stored = api.env.registry.find(served(api), KEY)
        assert stored is not None
        assert stored.decoded()["apiVersion"] == f"{GROUP}/v2"


async def test_deprecated_versions_warn() -> None:
    old = {**version("v1beta1"), "deprecated": True}
    async with api_with(definition(version("v1", storage=True), old)) as (api, _):
        assert served(api, "v1beta1").warning == f"{GROUP}/v1beta1 CronTab is deprecated"
        assert served(api).warning == ""


# By webhook: v1 has spec.host, v2 spec.hosts.

WEBHOOK_VERSIONS = (
    version("v1", storage=True, host=TEXT),
    version("v2", hosts={"type": "array", "items": TEXT}),
)


def convert(obj: Obj, wanted: str) -> Obj:
    spec = obj["spec"]
    turned = {"hosts": [spec["host"]]} if wanted.endswith("v2") else {"host": spec["hosts"][0]}
    return {**obj, "apiVersion": wanted, "spec": turned}


async def answer(request: web.Request) -> web.StreamResponse:
    review = await request.json()
    asked = review["request"]
    if any("refuse" in str(o) for o in asked["objects"]):
        result: Obj = {"status": "Failed", "message": "not this one"}
        response = {"uid": asked["uid"], "result": result}
    else:
        done = [convert(o, asked["desiredAPIVersion"]) for o in asked["objects"]]
        for obj in done:
            if "steal" in str(obj):
                obj["metadata"]["name"] = "stolen"
            obj["metadata"]["labels"] = {"converted": "yes"}
            obj["metadata"]["finalizers"] = ["ignored.example.com/x"]
        response = {"uid": asked["uid"], "result": {"status": "Success"}, "convertedObjects": done}
    return web.json_response(
        {"apiVersion": review["apiVersion"], "kind": "ConversionReview", "response": response}
    )


def converted_by(peer: Peer) -> Obj:
    webhook = {"clientConfig": peer.config("/convert"), "conversionReviewVersions": ["v1"]}
    return definition(*WEBHOOK_VERSIONS, conversion={"strategy": "Webhook", "webhook": webhook})


async def test_a_webhook_converts_between_versions() -> None:
    async with https_peer(answer) as peer, api_with(converted_by(peer)) as (api, client):
        await client.create(served(api), crontab(host="h"))
        await client.create(served(api), crontab(name="b", host="i"))
        found = await client.get(served(api, "v2"), KEY)
        assert found["spec"] == {"hosts": ["h"]}
        assert found["metadata"]["labels"] == {"converted": "yes"}
        assert "finalizers" not in found["metadata"]
        items = (await client.list(served(api, "v2"))).items
        assert [o["spec"]["hosts"] for o in items] == [["h"], ["i"]]
        await client.create(served(api, "v2"), crontab("v2", name="c", hosts=["j"]))
        assert (await client.get(served(api), Key("default", "c")))["spec"] == {"host": "j"}
        async with client.watch(served(api, "v2")) as events:
            seen = [(await anext(events)).obj["spec"] for _ in range(3)]
        assert seen == [{"hosts": ["h"]}, {"hosts": ["i"]}, {"hosts": ["j"]}]


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("refuse", "failed: not this one"),
        ("steal", "invalid converted object at index 0: must have the same name: a != stolen"),
    ],
)
async def test_a_webhook_that_fails_is_told_of(host: str, told: str) -> None:
    async with https_peer(answer) as peer, api_with(converted_by(peer)) as (api, client):
        await client.create(served(api), crontab(host=host))
        with pytest.raises(errors.InternalError) as caught:
            await client.get(served(api, "v2"), KEY)
        assert caught.value.message.startswith(
            f"conversion webhook for {GROUP}/v1, Kind=CronTab failed: "
        )
        assert told in caught.value.message
