"""Clients find every kind, in the form that they ask for."""

import orjson
import pytest

from edgek.api.errors import MethodNotAllowed, NotAcceptable, NotFound
from edgek.kinds import ALL, DEPLOYMENT, POD
from server.endpoints.discovery import Discovery
from server.request.model import Request, Response

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"


async def get(path: str, accept: str = "", **headers: str) -> Response:
    all_headers = {"accept": accept, "host": "server:6443", **headers}
    return await Discovery(lambda: ALL).handle(
        Request(method="GET", path=path, headers=all_headers)
    )


async def test_the_core_group_is_listed_apart_from_the_named_ones() -> None:
    core, named = (await get("/api")).obj, (await get("/apis/")).obj
    assert core is not None
    assert named is not None
    assert core["versions"] == ["v1"]
    assert core["serverAddressByClientCIDRs"][0]["serverAddress"] == "server:6443"
    assert {g["name"] for g in named["groups"]} == {k.group for k in ALL} - {""}


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.kind)
async def test_every_kind_and_subresource_is_in_its_group_version(kind) -> None:  # type: ignore[no-untyped-def]
    listed = (await get(kind.root)).obj
    assert listed is not None
    names = {r["name"]: r for r in listed["resources"]}
    assert names[kind.plural]["kind"] == kind.kind
    assert names[kind.plural]["verbs"] == list(kind.verbs)
    assert {f"{kind.plural}/{s.name}" for s in kind.subresources} <= set(names)


async def test_the_storage_version_hash_is_the_one_upstream_has() -> None:
    listed = (await get("/api/v1")).obj
    assert listed is not None
    pods = next(r for r in listed["resources"] if r["name"] == POD.plural)
    assert pods["storageVersionHash"] == "xPOwRZ+Yhw8="


@pytest.mark.parametrize(("accept", "version"), [
    (f"{V2},{V2BETA1},application/json", "v2"),
    (f"{V2BETA1},application/json", "v2beta1"),
    ("application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList," + V2, "v2"),
])  # fmt: skip
async def test_aggregated_discovery_answers_in_the_first_form_it_knows(
    accept: str, version: str
) -> None:
    answer = await get("/apis", accept)
    assert f"v={version};as=APIGroupDiscoveryList" in answer.content_type
    found = orjson.loads(answer.body or b"")
    assert found["apiVersion"] == f"apidiscovery.k8s.io/{version}"
    apps = next(g for g in found["items"] if g["metadata"]["name"] == "apps")
    resources = {r["resource"]: r for r in apps["versions"][0]["resources"]}
    assert resources[DEPLOYMENT.plural]["scope"] == "Namespaced"
    scale = [s for s in resources["deployments"]["subresources"] if s["subresource"] == "scale"]
    assert scale[0]["responseKind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}


async def test_a_client_that_has_the_document_is_told_so() -> None:
    etag = (await get("/api", V2)).headers["ETag"]
    again = await get("/api", V2, **{"if-none-match": etag})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", ["/apis/nowhere", "/apis/apps/v9", "/api/v9", "/apis/a/b/c"])
async def test_what_we_do_not_serve_is_not_found(path: str) -> None:
    with pytest.raises(NotFound, match="the server could not find the requested resource"):
        await get(path)


async def test_a_form_that_we_cannot_write_is_not_acceptable() -> None:
    with pytest.raises(NotAcceptable):
        await get("/apis", "application/yaml")


async def test_discovery_is_read_only() -> None:
    with pytest.raises(MethodNotAllowed):
        await Discovery(lambda: ALL).handle(Request(method="POST", path="/apis"))
