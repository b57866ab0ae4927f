"""Whatever a client sends, the API answers with an object or a Status of 4xx; never a bug of ours.

Bodies start from each kind's example and have odd values of the right types, and values of wrong
types, put anywhere the schema or the example goes. What is accepted is read back in every form.
"""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgek.api.meta import Obj, deep_copy
from edgek.kinds import ALL, NAMESPACE, SERVICE_ACCOUNT
from edgek.kinds.kind import Kind
from edgek.schema import Schema, builtin_types, schema_of
from edgek.schema.protobuf import MAGIC, builtin_codec
from edgek.schema.wire import write_bytes
from server.app import Api
from server.parts import plugins
from server.request.model import Request, Response, User
from server.request.principals import MASTERS, NODES
from tests.support.api import ADMIN, admin, open_api

EXAMPLES = int(os.environ.get("EDGEK_TEST_FUZZ_EXAMPLES", "0"))
"""More, and others at each run, for a long look; by default few and always the same."""

JSON = "application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
APPLY = "application/apply-patch+yaml"
PATCHES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"

TEXTS = ("", "a", "-", ".", "web", "default", "é\u2028", "x" * 300, "10.43.0.1", "::1",
         "10.0.0.0/99", "5%", "None", "http", "100m", "2026-01-02T03:04:05Z", "a/b/c", "\x00",
         "ClusterIP", "NodePort", "ExternalName", "Always", "Recreate", "RollingUpdate", "AA==",
         "metadata.name", "$patch", "1e3", "-1")  # fmt: skip
NUMBERS = (0, 1, -1, 80, 65536, 30000, 2**31 - 1, 2**31, -(2**31), 2**63 - 1, -(2**63))
ODD: dict[str, tuple[Any, ...]] = {
    "string": TEXTS,
    "int32": NUMBERS,
    "int64": NUMBERS,
    "double": (0.0, -1.5, 1e308),
    "boolean": (True, False),
    "bytes": ("", "AA==", "A", "é", "3q2+7w=="),
    "quantity": ("0", "-1", "1e3", "100m", "1Gi", "9" * 30, "1.5.5", "", 5, -0.5),
    "int-or-string": (0, -1, 101, "5%", "-5%", "101%", "http", "", "x" * 99),
    "time": ("2026-01-02T03:04:05Z", "yesterday", "0001-01-01T00:00:00Z", ""),
    "micro-time": ("2026-01-02T03:04:05.000006Z", "2026-01-02T03:04:05Z", "x"),
    "any": (None, [], {}, "x", {"a": [1, {"b": None}]}),
}
WRONG = st.sampled_from(
    (None, [], {}, "", "a", 0, -1, 1.5, True, 2**64, [None], [[]], [{}], {"": None}, ["a", 1, None],
     {"a": {"b": []}}, {"$patch": "delete"}, {"$patch": "replace"}, {"$retainKeys": ["a"]})
).map(deep_copy)  # fmt: skip


def odd_value(schema: Schema, depth: int = 0) -> st.SearchStrategy[Any]:
    """Of the type that the schema says, seldom of another."""
    fitting = _fitting(schema, depth)
    return st.one_of(fitting, fitting, fitting, fitting, WRONG)


def _fitting(schema: Schema, depth: int) -> st.SearchStrategy[Any]:
    if schema.type == "object":
        return odd_object(schema, depth + 1)
    if schema.type == "list" and schema.items is not None:
        return st.lists(odd_value(schema.items, depth + 1), max_size=2)
    if schema.type == "map" and schema.items is not None:
        return st.dictionaries(st.sampled_from(TEXTS), odd_value(schema.items, depth), max_size=2)
    return st.sampled_from((*schema.enum, *ODD[schema.type])).map(deep_copy)


@st.composite
def odd_object(draw: st.DrawFn, schema: Schema, depth: int) -> Obj:
    names = list(schema.fields)
    if depth > 6 or not names:
        return {}
    wanted = sorted(schema.required | {"name"} & set(names))
    more = draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    return {n: draw(odd_value(schema.fields[n], depth)) for n in {*wanted, *more}}


@st.composite
def changed(draw: st.DrawFn, kind: Kind) -> Obj:
    """The kind's example with up to three changes, each anywhere."""
    obj = deep_copy(dict(kind.example))
    for _ in range(draw(st.integers(1, 3))):
        spots = list(_spots(obj, schema_of(kind)))
        place, name, schema = draw(st.sampled_from(spots))
        value = draw(WRONG if schema is None else odd_value(schema))
        if isinstance(place, list):
            place.append(value) if name is None else place.__setitem__(name, value)
        else:
            place[name] = value
    return obj


def _spots(value: Any, schema: Schema | None) -> Iterator[tuple[Any, Any, Schema | None]]:
    """(container, key in it, what belongs there), for what is there and what could be."""
    if isinstance(value, dict):
        fields: Any = schema.fields if schema is not None and schema.type == "object" else {}
        inner = schema.items if schema is not None and schema.type == "map" else None
        for name in {**dict.fromkeys(fields), **dict.fromkeys(value)}:
            below = fields.get(name, inner)
            yield value, name, below
            yield from _spots(value.get(name), below)
    elif isinstance(value, list):
        inner = schema.items if schema is not None else None
        yield value, None, inner
        for index, item in enumerate(value):
            yield value, index, inner
            yield from _spots(item, inner)


KINDS = {kind.plural: kind for kind in ALL if kind.conversion is None and not kind.virtual}
PLURAL = st.sampled_from(sorted(KINDS))
KIND_AND_BODY = PLURAL.flatmap(lambda name: st.tuples(st.just(name), changed(KINDS[name])))


def budget(examples: int) -> settings:
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


async def ask(
    api: Api, method: str, path: str, *, body: bytes = b"", content_type: str = JSON,
    accept: str = JSON, **query: str,
) -> Response:  # fmt: skip
    """The answer, after a look at its form."""
    headers = {"content-type": content_type, "accept": accept}
    request = Request(method=method, path=path, query=query, headers=headers, raw_body=body)
    response = await api.handle(request)
    if response.status >= 400:
        status = response.obj
        assert status is not None
        ahead = "Too large resource version" in status["message"]  # the one 5xx that is right
        assert response.status < 500 or ahead, (method, path, query, status, body[:2000])
        assert status["kind"] == "Status"
        assert status["code"] == response.status
        assert status["message"]
        assert status["reason"]
    else:
        orjson.loads(response.body if response.body is not None else orjson.dumps(response.obj))
    return response


async def watch(api: Api, path: str, query: dict[str, str]) -> None:
    response = await api.handle(Request(method="GET", path=path, query={**query, "watch": "1"}))
    if response.watch is None:
        assert response.status < 500 or "Too large resource version" in str(response.obj)
    else:
        await response.watch.aclose()


def collection(kind: Kind) -> str:
    return kind.path("default" if kind.namespaced else "")


def named(kind: Kind) -> str:
    return f"{collection(kind)}/{kind.example['metadata']['name']}"


async def read_in_all_forms(api: Api, kind: Kind) -> None:
    for accept, query in ((JSON, {}), (TABLE, {"includeObject": "Object"}), (PARTIAL, {})):
        await ask(api, "GET", collection(kind), accept=accept, **query)


NODE = User(name="system:node:web", groups=(MASTERS, NODES))
"""Admission looks at what nodes write; as a master it gets that far with everything."""


def test_admission_takes_any_body(loop: asyncio.Runner) -> None:
    """It sees objects before they are validated."""

    async def write(kind: Kind, obj: Any, user: User) -> None:
        async with open_api(user=user, plugins=plugins) as api:
            client = admin(api)
            await client.create(NAMESPACE, {"metadata": {"name": "default"}})
            account = {"metadata": {"name": "default", "namespace": "default"}}
            await client.create(SERVICE_ACCOUNT, account)
            await ask(api, "POST", collection(kind), body=as_json(obj))
            await ask(api, "POST", collection(kind), body=orjson.dumps(dict(kind.example)))
            await ask(api, "PUT", named(kind), body=as_json(obj))
            for path in (named(kind), named(kind) + "/status"):
                await ask(api, "PATCH", path, body=as_json(obj), content_type=PATCHES["merge"])
            await ask(api, "DELETE", named(kind))

    @given(KIND_AND_BODY, st.sampled_from((ADMIN, NODE)))
    @budget(200)
    def run(case: tuple[str, Any], user: User) -> None:
        loop.run(write(KINDS[case[0]], case[1], user))

    run()


@pytest.mark.parametrize("media", [JSON, PROTOBUF])
def test_bodies(loop: asyncio.Runner, media: str) -> None:
    async def write(kind: Kind, obj: Any) -> None:
        async with open_api(user=ADMIN) as api:
            body = encoded(obj, media)
            await ask(api, "POST", collection(kind), body=body, content_type=media)
            await ask(api, "POST", collection(kind), body=orjson.dumps(dict(kind.example)))
            await ask(api, "PUT", named(kind), body=body, content_type=media)
            if any(s.name == "status" for s in kind.subresources):
                await ask(api, "PUT", named(kind) + "/status", body=body, content_type=media)
            await read_in_all_forms(api, kind)

    @given(KIND_AND_BODY)
    @budget(150)
    def run(case: tuple[str, Any]) -> None:
        loop.run(write(KINDS[case[0]], case[1]))

    run()


def encoded(obj: Any, media: str) -> bytes:
    if media == JSON:
        return as_json(obj)
    try:
        return builtin_codec().encode(obj)
    except Exception:  # not what protobuf can say
        return MAGIC + write_bytes(1, write_bytes(1, b"v1") + write_bytes(2, b"Pod")) + b"\x12\xff"


def as_json(value: Any) -> bytes:
    import json

    return json.dumps(value).encode()


@pytest.mark.parametrize("form", ["merge", "strategic"])
def test_patches_of_an_object(loop: asyncio.Runner, form: str) -> None:
    async def write(kind: Kind, obj: Any) -> None:
        async with open_api(user=ADMIN) as api:
            await ask(api, "POST", collection(kind), body=orjson.dumps(dict(kind.example)))
            for path in (named(kind), named(kind) + "/status", named(kind) + "/scale"):
                await ask(api, "PATCH", path, body=as_json(obj), content_type=PATCHES[form])
            await read_in_all_forms(api, kind)

    @given(KIND_AND_BODY)
    @budget(120)
    def run(case: tuple[str, Any]) -> None:
        loop.run(write(KINDS[case[0]], case[1]))

    run()


def test_applied_configurations(loop: asyncio.Runner) -> None:
    """By two managers in turn, so that each owns what the other had."""

    async def write(kind: Kind, obj: Any, other: Any) -> None:
        async with open_api(user=ADMIN) as api:
            await ask(api, "POST", collection(kind), body=orjson.dumps(dict(kind.example)))
            base = {"apiVersion": kind.api_version, "kind": kind.kind}
            for n, config in enumerate((obj, other, obj)):
                body = as_json({**config, **base} if isinstance(config, dict) else config)
                query = {"fieldManager": f"m{n % 2}", "force": "true" if n == 2 else "false"}
                for path in (named(kind), named(kind) + "/status", named(kind) + "/scale"):
                    await ask(api, "PATCH", path, body=body, content_type=APPLY, **query)
            await read_in_all_forms(api, kind)

    @given(KIND_AND_BODY, KIND_AND_BODY)
    @budget(120)
    def run(case: tuple[str, Any], other: tuple[str, Any]) -> None:
        loop.run(write(KINDS[case[0]], case[1], other[1]))

    run()


CONTAINER = {"name": "a", "image": "b", "lifecycle": {"postStart": {}, "stopSignal": "a"}}
FOUND = (
    ("pods", {"metadata": {"name": "a"}, "spec": {"containers": [CONTAINER]}}),
    ("services", {"spec": {"clusterIP": "\x00", "ports": [{"port": 80}]}}),
)
"""What has been a bug once."""


@pytest.mark.parametrize(("plural", "obj"), FOUND)
async def test_bodies_that_were_not_taken_well_once(plural: str, obj: Any) -> None:
    async with open_api(user=ADMIN) as api:
        await ask(api, "POST", collection(KINDS[plural]), body=as_json(obj))


POINTER = st.sampled_from(
    ("", "/", "/metadata", "/metadata/name", "/metadata/labels", "/metadata/labels/a~1b", "/spec",
     "/spec/replicas", "/spec/containers/0", "/spec/containers/-", "/spec/containers/x",
     "/spec/template/spec/containers/0/image", "/data/a", "/status", "/kind", "/~2", "x", None, 5)
)  # fmt: skip
OPERATION = st.one_of(
    WRONG,
    st.fixed_dictionaries(
        {},
        optional={
            "op": st.sampled_from(("add", "remove", "replace", "move", "copy", "test", "x", None)),
            "path": POINTER,
            "from": POINTER,
            "value": WRONG,
        },
    ),
)


def test_json_patches(loop: asyncio.Runner) -> None:
    async def write(kind: Kind, operations: Any) -> None:
        async with open_api(user=ADMIN) as api:
            await ask(api, "POST", collection(kind), body=orjson.dumps(dict(kind.example)))
            await ask(api, "PATCH", named(kind), body=as_json(operations),
                      content_type=PATCHES["json"])  # fmt: skip
            await read_in_all_forms(api, kind)

    @given(PLURAL, st.one_of(st.lists(OPERATION, min_size=1, max_size=4), WRONG))
    @budget(200)
    def run(plural: str, operations: Any) -> None:
        loop.run(write(KINDS[plural], operations))

    run()


MESSAGE = st.recursive(
    st.one_of(st.binary(max_size=8), st.sampled_from([t.encode() for t in TEXTS])),
    lambda inner: st.lists(st.tuples(st.integers(1, 16), inner), min_size=1, max_size=4).map(
        lambda fields: b"".join(write_bytes(number, raw) for number, raw in fields)
    ),
    max_leaves=12,
)


def test_protobuf_of_any_fields(loop: asyncio.Runner) -> None:
    async def write(kind: Kind, message: bytes) -> None:
        api_version = kind.api_version.encode()
        head = write_bytes(1, write_bytes(1, api_version) + write_bytes(2, kind.kind.encode()))
        async with open_api(user=ADMIN) as api:
            body = MAGIC + head + write_bytes(2, message)
            await ask(api, "POST", collection(kind), body=body, content_type=PROTOBUF)

    @given(PLURAL, MESSAGE)
    @budget(200)
    def run(plural: str, message: bytes) -> None:
        loop.run(write(KINDS[plural], message))

    run()


TYPED = {
    "io.k8s.api.autoscaling.v1.Scale": ("PUT", "deployments", "/scale"),
    "io.k8s.api.core.v1.Binding": ("POST", "pods", "/binding"),
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions": ("DELETE", "pods", ""),
}
BY_TYPE = {name: odd_object(builtin_types().named(name), 0) for name in TYPED}


def test_bodies_of_subresources_and_options(loop: asyncio.Runner) -> None:
    async def write(name: str, obj: Any) -> None:
        method, plural, subresource = TYPED[name]
        kind = KINDS[plural]
        async with open_api(user=ADMIN) as api:
            await ask(api, "POST", collection(kind), body=orjson.dumps(dict(kind.example)))
            await ask(api, method, named(kind) + subresource, body=as_json(obj))
            await ask(api, "GET", named(kind) + "/scale")
            await read_in_all_forms(api, kind)

    @given(st.sampled_from(sorted(TYPED)).flatmap(lambda n: st.tuples(st.just(n), BY_TYPE[n])))
    @budget(200)
    def run(case: tuple[str, Any]) -> None:
        loop.run(write(*case))

    run()


QUERY = st.dictionaries(
    st.sampled_from(("labelSelector", "fieldSelector", "limit", "continue", "resourceVersion",
                     "resourceVersionMatch", "sendInitialEvents", "allowWatchBookmarks", "dryRun",
                     "fieldValidation", "includeObject", "gracePeriodSeconds", "pretty",
                     "propagationPolicy", "fieldManager", "force", "timeout")),
    st.one_of(
        st.sampled_from(("", "0", "1", "-1", "99999999999999999999", "a=b", "a in (b", "!a", "x,,y",
                         "metadata.name=web", "spec.nodeName!=", "true", "maybe", "Exact",
                         "NotOlderThan", "All", "Strict", "é", "W10", "eyJ9", "1.5", "٣")),
        st.text(max_size=12),
    ),
    max_size=4,
)  # fmt: skip


def test_queries_of_every_verb(loop: asyncio.Runner) -> None:
    async def run_all(kind: Kind, query: dict[str, str]) -> None:
        body = orjson.dumps(dict(kind.example))
        async with open_api(user=ADMIN) as api:
            await ask(api, "POST", collection(kind), body=body)
            await ask(api, "GET", collection(kind), **query)
            await ask(api, "GET", named(kind), accept=TABLE, **query)
            await ask(api, "PUT", named(kind), body=body, **query)
            await ask(api, "PATCH", named(kind), body=b"{}", content_type=PATCHES["merge"], **query)
            await ask(api, "DELETE", named(kind), **query)
            await ask(api, "DELETE", collection(kind), **query)
            await watch(api, collection(kind), query)

    @given(PLURAL, QUERY)
    @budget(200)
    def run(plural: str, query: dict[str, str]) -> None:
        loop.run(run_all(KINDS[plural], query))

    run()
