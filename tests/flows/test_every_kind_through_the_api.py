"""Each kind's example lives a life through the real API: strategies, schema and store agree."""

from typing import Any

import orjson
import pytest

from edgek.aio.clock import FakeClock
from edgek.api.errors import Invalid, NotFound
from edgek.api.meta import Key, Obj, deep_copy, key_of
from edgek.client.client import Client
from edgek.kinds import ALL, DEPLOYMENT, NAMESPACE, NODE, POD, SECRET, SERVICE
from edgek.kinds.kind import Kind
from edgek.schema.protobuf import builtin_codec
from server.endpoints.body import PROTOBUF
from server.endpoints.table import render_table
from server.request.model import Request
from tests.support.api import ADMIN, open_api
from tests.support.raw import decoded

STORED = [kind for kind in ALL if not kind.virtual]
each_kind = pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.plural)


async def made(client: Client, kind: Kind, **changes: Any) -> Obj:
    obj = deep_copy(dict(kind.example)) | changes
    return await client.create(kind, obj)


@each_kind
async def test_an_example_is_created_read_and_removed(client: Client, kind: Kind) -> None:
    created = await made(client, kind)
    key = key_of(created)
    assert await client.get(kind, key) == created
    assert created["metadata"]["uid"]
    await client.delete(kind, key, grace_period_seconds=0, propagation_policy="Background")
    if kind == NAMESPACE:  # its contents go first, which is a controller's work
        assert (await client.get(kind, key))["status"]["phase"] == "Terminating"
        return
    if kind.on_delete is not None:  # a controller has to end what hangs on it
        assert (await client.get(kind, key))["metadata"]["deletionTimestamp"]
        return
    with pytest.raises(NotFound):
        await client.get(kind, key)


@each_kind
async def test_writing_back_what_was_read_changes_nothing(client: Client, kind: Kind) -> None:
    """What kubectl apply, edit and replace rely on: no new revision, no new generation."""
    created = await made(client, kind)
    again = await client.update(kind, deep_copy(created))
    assert again == created


@each_kind
async def test_an_example_prints_as_a_table(clock: FakeClock, client: Client, kind: Kind) -> None:
    created = await made(client, kind)
    items = (await client.list(kind)).items
    table = render_table(kind, items, version="v1", include="Metadata", now=clock.now())
    names = [c["name"] for c in table["columnDefinitions"]]
    assert names == [c.name for c in kind.columns]
    assert all(len(row["cells"]) == len(names) for row in table["rows"])
    assert any(created["metadata"]["name"] in row["cells"] for row in table["rows"])


@each_kind
async def test_protobuf_says_the_same_as_json(kind: Kind) -> None:
    """client-go and kubectl create write protobuf."""
    example = deep_copy(dict(kind.example))
    made = {}
    for media, body in (
        ("application/json", orjson.dumps(example)),
        (PROTOBUF, builtin_codec().encode(example)),
    ):
        async with open_api(user=ADMIN) as api:
            path = kind.path(example["metadata"].get("namespace", ""))
            headers = {"content-type": media}
            request = Request(method="POST", path=path, headers=headers, raw_body=body)
            made[media] = decoded(await api.handle(request))
    assert made[PROTOBUF]["kind"] == kind.kind, made[PROTOBUF]
    for obj in made.values():
        for chosen in ("clusterIP", "clusterIPs"):
            (obj.get("spec") or {}).pop(chosen, None)
    assert made[PROTOBUF] == made["application/json"]


async def test_generation_counts_changes_of_the_spec_only(client: Client) -> None:
    created = await made(client, DEPLOYMENT)
    assert created["metadata"]["generation"] == 1
    labelled = deep_copy(created)
    labelled["metadata"]["labels"] = {"a": "b"}
    labelled = await client.update(DEPLOYMENT, labelled)
    assert labelled["metadata"]["generation"] == 1
    scaled = deep_copy(labelled)
    scaled["spec"]["replicas"] = 5
    assert (await client.update(DEPLOYMENT, scaled))["metadata"]["generation"] == 2


async def test_a_new_pod_waits_whatever_its_author_claims(client: Client) -> None:
    pod = await made(client, POD, status={"phase": "Running", "podIP": "1.2.3.4"})
    assert pod["status"] == {"phase": "Pending", "qosClass": "Burstable"}


async def test_status_of_a_pod_leaves_its_spec_alone(client: Client) -> None:
    pod = deep_copy(await made(client, POD))
    pod["spec"]["containers"] = []
    pod["status"]["phase"] = "Running"
    written = await client.update_status(POD, pod)
    assert written["status"]["phase"] == "Running"
    assert written["spec"]["containers"]
    assert written["metadata"]["generation"] == 1


async def test_secret_text_is_stored_as_data(client: Client) -> None:
    secret = await made(client, SECRET)
    assert secret["data"] == {"token": "bm90LXNvLXNlY3JldA=="}
    assert "stringData" not in secret


async def test_a_service_keeps_its_address_and_loses_node_ports_with_its_type(
    client: Client,
) -> None:
    service = await made(client, SERVICE)
    exposed = deep_copy(service)
    exposed["spec"]["type"] = "NodePort"
    exposed = await client.update(SERVICE, exposed)
    assert exposed["spec"]["clusterIP"] == service["spec"]["clusterIP"]
    assert exposed["spec"]["externalTrafficPolicy"] == "Cluster"
    assert 30000 <= exposed["spec"]["ports"][0]["nodePort"] <= 32767
    hidden = deep_copy(exposed)
    hidden["spec"]["type"] = "ClusterIP"
    hidden = await client.update(SERVICE, hidden)
    assert hidden["spec"] == service["spec"]


async def test_all_mistakes_of_a_manifest_are_answered_at_once(client: Client) -> None:
    pod = deep_copy(dict(POD.example))
    pod["metadata"]["labels"] = {"a b": "c"}
    pod["spec"]["containers"][0] |= {"image": "", "imagePullPolicy": "Sometimes"}
    with pytest.raises(Invalid) as caught:
        await client.create(POD, pod)
    fields = [cause["field"] for cause in caught.value.details["causes"]]
    assert fields == [
        "metadata.labels",
        "spec.containers[0].image",
        "spec.containers[0].imagePullPolicy",
    ]
    assert caught.value.message.startswith('Pod "web" is invalid: [metadata.labels: Invalid value')


async def test_fields_select(client: Client) -> None:
    await made(client, POD)
    await made(client, NODE)
    waiting = await client.list(POD, field_selector="status.phase=Pending,spec.nodeName=")
    assert [p["metadata"]["name"] for p in waiting.items] == ["web"]
    assert not (await client.list(POD, field_selector="spec.hostNetwork=true")).items
    assert (await client.list(NODE, field_selector="spec.unschedulable=false")).items
    assert (await client.get(POD, Key("default", "web")))["spec"]["schedulerName"]
