"""OpenAPI documents describe what is served, and are cheap to ask for again."""

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from edgek.api.errors import NotAcceptable, NotFound
from edgek.kinds import ALL, POD
from edgek.schema.wire import read_fields
from server.endpoints.openapi import OpenApi, build
from server.endpoints.openapi_gnostic import ASKED, MEDIA_TYPE
from server.endpoints.openapi_prose import LightkubeProse, parse_docstring
from server.endpoints.openapi_schemas import Schemas
from server.request.model import Request, Response


async def get(path: str, *, openapi: OpenApi | None = None, **headers: str) -> Response:
    path, _, query = path.partition("?")
    asked = dict(pair.split("=") for pair in query.split("&") if pair)
    names = {k.replace("_", "-"): v for k, v in headers.items()}
    served = openapi or OpenApi(lambda: ALL)
    return await served.handle(Request(method="GET", path=path, query=asked, headers=names))


async def paths() -> dict[str, Any]:
    answer = await get("/openapi/v3")
    assert answer.obj is not None
    found: dict[str, Any] = answer.obj["paths"]
    return found


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    groups = {k.root for k in ALL}
    return {
        root: orjson.loads(gzip.decompress(build([k for k in ALL if k.root == root], "v3/x")))
        for root in groups
    }


@pytest.fixture(scope="module")
def swagger() -> Any:
    return orjson.loads(gzip.decompress(build(ALL, "v2")))


async def test_the_index_leads_to_a_document_for_each_group_version() -> None:
    found = await paths()
    assert set(found) == {k.root.removeprefix("/") for k in ALL}
    for entry in found.values():
        answer = await get(entry["serverRelativeURL"])
        assert orjson.loads(answer.body or b"")["openapi"] == "3.0.0"
        assert "immutable" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.kind)
@pytest.mark.parametrize("action", ["post", "put", "patch"])
def test_kubectl_finds_field_validation_for_every_kind(
    documents: dict[str, Any], kind: Any, action: str
) -> None:
    gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    found = [
        operation
        for item in documents[kind.root]["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
        and operation["x-kubernetes-action"] == action
        and operation["x-kubernetes-group-version-kind"] == gvk
    ]
    verb = {"post": "create", "put": "update"}.get(action, action)
    assert bool(found) or verb not in kind.verbs
    for operation in found:
        assert "fieldValidation" in {p["name"] for p in operation["parameters"]}


def test_every_reference_leads_to_a_schema(documents: dict[str, Any], swagger: Any) -> None:
    for document in documents.values():
        held = document["components"]["schemas"]
        assert references(document) <= {f"#/components/schemas/{n}" for n in held}
    assert references(swagger) <= {f"#/definitions/{n}" for n in swagger["definitions"]}


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(v) for v in value.values()))
    return set().union(*(references(v) for v in value)) if isinstance(value, list) else set()


def test_schemas_carry_what_patch_and_apply_clients_need(documents: dict[str, Any]) -> None:
    held = documents["/api/v1"]["components"]["schemas"]
    pod, container = held["io.k8s.api.core.v1.Pod"], held["io.k8s.api.core.v1.Container"]
    assert {"group": "", "kind": "Pod", "version": "v1"} in pod["x-kubernetes-group-version-kind"]
    ports = container["properties"]["ports"]
    assert ports["x-kubernetes-patch-merge-key"] == "containerPort"
    assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]


def test_a_subresource_speaks_its_own_kind(swagger: Any) -> None:
    path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"
    scale = swagger["paths"][path]["put"]
    assert scale["x-kubernetes-group-version-kind"]["kind"] == "Scale"
    body = next(p for p in scale["parameters"] if p["name"] == "body")
    assert body["schema"] == {"$ref": "#/definitions/io.k8s.api.autoscaling.v1.Scale"}


async def test_a_document_is_built_once_and_an_unchanged_one_is_not_sent_again() -> None:
    openapi = OpenApi(lambda: ALL)
    first = await get("/openapi/v2", openapi=openapi, accept_encoding="gzip")
    again = await get("/openapi/v2", openapi=openapi, accept_encoding="gzip")
    assert first.headers["Content-Encoding"] == "gzip"
    assert first.body is again.body
    known = await get("/openapi/v2", openapi=openapi, if_none_match=first.headers["ETag"])
    assert (known.status, known.body) == (304, b"")


async def test_an_old_hash_leads_to_the_new_document() -> None:
    answer = await get("/openapi/v3/api/v1?hash=OLD")
    assert answer.status == 301
    assert answer.headers["Location"] == (await paths())["api/v1"]["serverRelativeURL"]


async def test_documents_follow_the_kinds() -> None:
    kinds = [k for k in ALL if k is not POD]
    openapi = OpenApi(lambda: kinds)
    before = orjson.loads((await get("/openapi/v3/api/v1", openapi=openapi)).body or b"")
    kinds.append(POD)
    after = orjson.loads((await get("/openapi/v3/api/v1", openapi=openapi)).body or b"")
    assert "/api/v1/pods" not in before["paths"]
    assert "/api/v1/pods" in after["paths"]


@pytest.mark.parametrize("path", ["/openapi/v3/apis/nowhere/v1", "/openapi/v4", "/openapi/v3/x"])
async def test_what_there_is_not_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        await get(path)


def pieces(message: bytes, number: int) -> list[bytes]:
    return [v for n, _, v in read_fields(message) if n == number and isinstance(v, bytes)]


def named(message: bytes, number: int) -> dict[str, bytes]:
    """The (name, value) pairs at a field."""
    found = {}
    for pair in pieces(message, number):
        [name] = pieces(pair, 1)
        found[name.decode()] = (pieces(pair, 2) or [b""])[0]
    return found


@pytest.mark.parametrize("path", ["/openapi/v2", "/openapi/swagger-2.0.0.pb-v1"])
async def test_v2_in_protobuf_says_what_the_json_says(path: str, swagger: Any) -> None:
    answer = await get(path, accept=f"{ASKED},application/json")
    assert answer.content_type == MEDIA_TYPE
    document = answer.body or b""
    [definitions], [paths_] = pieces(document, 9), pieces(document, 8)
    held = named(definitions, 1)
    assert set(held) == set(swagger["definitions"])
    pod = swagger["definitions"]["io.k8s.api.core.v1.Pod"]
    [properties] = pieces(held["io.k8s.api.core.v1.Pod"], 25)
    assert set(named(properties, 1)) == set(pod["properties"])
    extensions = named(held["io.k8s.api.core.v1.Pod"], 31)
    [gvk] = pieces(extensions["x-kubernetes-group-version-kind"], 2)
    assert orjson.loads(gvk) == pod["x-kubernetes-group-version-kind"]
    assert set(named(paths_, 2)) == set(swagger["paths"])


async def test_protobuf_is_offered_of_v2_only() -> None:
    with pytest.raises(NotAcceptable):
        await get("/openapi/v3", accept=MEDIA_TYPE)


def test_descriptions_come_from_docstrings_where_there_are_any(tmp_path: Path) -> None:
    text = 'class Pod(DictMixin):\n    r"""A pod\n      of peas.\n\n      **parameters**\n\n'
    text += "      * **spec** ``PodSpec`` - What is\n        wanted.\n"
    text += '      * **x** ``str`` - X.\n    """\n'
    (tmp_path / "core_v1.py").write_text(text)
    prose = LightkubeProse(tmp_path)
    assert prose.of("io.k8s.api.core.v1.Pod") == (
        "A pod of peas.",
        {"spec": "What is wanted.", "x": "X."},
    )
    assert prose.of("io.k8s.api.core.v1.Nope") == ("", {})
    assert prose.of("io.k8s.api.apps.v1.Nope") == ("", {})
    assert parse_docstring("Just text.") == ("Just text.", {})


def test_without_descriptions_documents_are_whole() -> None:
    schemas = Schemas(version=3)
    from edgek.schema import schema_of

    assert schemas.refer(schema_of(POD)) == {"$ref": "#/components/schemas/io.k8s.api.core.v1.Pod"}
    assert "description" not in schemas.write_all()["io.k8s.api.core.v1.Pod"]
