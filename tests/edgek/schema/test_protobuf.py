"""Protobuf bodies mean what the same JSON bodies mean, and garbage is only a bad request."""

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgek.api.errors import ApiError, BadRequest, UnsupportedMediaType
from edgek.kinds import ALL
from edgek.schema.protobuf import MAGIC, builtin_codec
from edgek.schema.schema import Schema, builtin_types, schema_of
from edgek.schema.wire import write_bytes, write_number

WORD = st.text(string.ascii_letters + string.digits + "é-", min_size=1, max_size=6)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": WORD,
    "int32": st.integers(-(2**31), 2**31 - 1).filter(bool),
    "int64": st.integers(-(2**63), 2**63 - 1).filter(bool),
    "double": st.sampled_from([1, 2.5, -1e-3]),
    "boolean": st.just(True),
    "bytes": st.sampled_from(["AA==", "3q2+7w==", "YWJj"]),
    "quantity": st.sampled_from(["100m", "1Gi", "3", "2500m", "0"]),
    "int-or-string": st.one_of(st.integers(1, 65535), WORD),
    "time": st.sampled_from(["2026-01-02T03:04:05Z", "1969-12-31T23:59:59Z"]),
    "micro-time": st.sampled_from(["2026-01-02T03:04:05.000006Z"]),
    "any": st.dictionaries(WORD, st.one_of(WORD, st.integers(0, 9)), min_size=1, max_size=2),
}


def values(schema: Schema, depth: int = 0) -> st.SearchStrategy[Any]:
    if schema.type == "object":
        return objects(schema, depth)
    if schema.type == "list":
        return st.lists(values(schema.items, depth), min_size=1, max_size=2)
    if schema.type == "map":
        return st.dictionaries(WORD, values(schema.items, depth), min_size=1, max_size=2)
    if is_schema(schema):
        return st.just({"type": "string"})
    return SCALARS[schema.type]


def is_schema(schema: Schema) -> bool:
    """Of a CustomResourceDefinition: a schema, several, or a boolean."""
    return schema.short_name.startswith("JSONSchemaPropsOr")


@st.composite
def objects(draw: st.DrawFn, schema: Schema, depth: int) -> dict[str, Any]:
    spoken = message_fields(message_of(schema.name))
    names = [n for n in schema.fields if n in spoken]
    if depth > 7 or not names:
        return {}
    size = len(names) if depth < 1 else 3
    chosen = draw(st.lists(st.sampled_from(names), max_size=size, unique=True))
    return {n: draw(values(schema.fields[n], depth + 1)) for n in chosen}


def message_fields(name: str) -> set[str]:
    out = set()
    for json_name, kind, *_ in builtin_codec().facts.message(name).values():
        out |= {json_name} if json_name else message_fields(kind)
    return out


def dressed(obj: dict[str, Any], api_version: str, kind: str) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, **obj}


WITH_BODIES = tuple(kind for kind in ALL if kind.group != "metrics.k8s.io")
"""Metrics are only read, and answers are JSON."""


@pytest.mark.parametrize("kind", WITH_BODIES, ids=lambda k: k.kind)
def test_every_kind_comes_back_from_protobuf_as_it_went(kind: Any) -> None:
    @given(objects(schema_of(kind), 0))
    @settings(max_examples=15, deadline=None)
    def round_trip(obj: dict[str, Any]) -> None:
        body = dressed(obj, kind.api_version, kind.kind)
        assert builtin_codec().decode(builtin_codec().encode(body)) == body

    round_trip()


def types_with_a_message() -> list[str]:
    types = builtin_types()
    return [
        name
        for name in sorted(types.facts.types)
        if types.named(name).type == "object" and message_of(name) in types.facts.messages
    ]


def message_of(name: str) -> str:
    return name.replace("io.k8s", "k8s.io", 1)


@pytest.mark.parametrize("name", types_with_a_message())
def test_every_type_with_a_message_can_be_written_whole(name: str) -> None:
    """One of each field, nested once: all names of the facts find each other."""
    codec, schema, message = builtin_codec(), builtin_types().named(name), message_of(name)
    spoken = message_fields(message) & set(schema.fields)
    obj = {n: sample(schema.fields[n]) for n in spoken}
    assert codec.read_message(message, codec.write_message(message, obj)) == obj


def sample(schema: Schema) -> Any:
    if schema.type == "object":
        return {}
    if schema.type == "list":
        return [sample(schema.items)]
    if schema.type == "map":
        return {"k": sample(schema.items)}
    if is_schema(schema):
        return {"type": "x"}
    plain = {"string": "x", "double": 2.5, "int32": -7, "int64": 7, "boolean": True,
             "bytes": "YWJj", "quantity": "1500m", "int-or-string": "http",
             "time": "2026-01-02T03:04:05Z",
             "micro-time": "2026-01-02T03:04:05.000006Z", "any": {"a": 1}}  # fmt: skip
    return plain[schema.type]


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_a_bad_request_or_an_object(raw: bytes) -> None:
    head = write_bytes(1, write_bytes(1, b"v1") + write_bytes(2, b"Pod"))
    for body in (raw, MAGIC + raw, MAGIC + head + write_bytes(2, raw)):
        outcome = decoded(body)
        assert isinstance(outcome, dict) or outcome.code in (400, 415)


def decoded(body: bytes) -> Any:
    try:
        return builtin_codec().decode(body)
    except ApiError as err:
        return err


def test_bodies_cut_anywhere_never_make_a_traceback() -> None:
    pod = dressed(
        {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        "v1",
        "Pod",
    )
    whole = builtin_codec().encode(pod)
    outcomes = [decoded(whole[:cut]) for cut in range(len(whole))]
    assert {type(o) for o in outcomes} <= {dict, BadRequest, UnsupportedMediaType}


def pod_spec(raw: bytes) -> Any:
    head = write_bytes(1, write_bytes(1, b"v1") + write_bytes(2, b"Pod"))
    return builtin_codec().decode(MAGIC + head + write_bytes(2, write_bytes(2, raw)))["spec"]


def test_zeros_that_go_always_writes_are_left_out_and_pointers_to_zero_stay() -> None:
    assert pod_spec(write_bytes(6, b"") + write_number(11, 0)) == {}  # dnsPolicy, hostNetwork
    assert pod_spec(write_number(4, 0)) == {"terminationGracePeriodSeconds": 0}
    assert pod_spec(write_number(21, 0)) == {"automountServiceAccountToken": False}


def test_the_zero_time_is_absent() -> None:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
    raw = write_bytes(1, write_bytes(1, b"a") + write_bytes(8, b""))
    head = write_bytes(1, write_bytes(1, b"v1") + write_bytes(2, b"Pod"))
    assert builtin_codec().decode(MAGIC + head + write_bytes(2, raw)) == body


def test_a_kind_without_protobuf_is_an_unsupported_media_type() -> None:
    head = write_bytes(1, write_bytes(1, b"example.com/v1") + write_bytes(2, b"Widget"))
    with pytest.raises(UnsupportedMediaType):
        builtin_codec().decode(MAGIC + head)


def test_delete_options_of_any_group_are_read() -> None:
    body = {"apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
    assert builtin_codec().decode(builtin_codec().encode(body)) == body


SCHEMAS: list[dict[str, Any]] = [
    {"additionalProperties": False},
    {"additionalProperties": True, "default": False, "minimum": 0, "maximum": 1.5},
    {"items": [{"type": "string"}, {"type": "integer"}]},
    {"items": {"type": "string", "enum": ["a", False, 0, {"b": 1}]}},
    {"dependencies": {"a": ["b"], "c": {"type": "string"}}},
    {"x-kubernetes-preserve-unknown-fields": False, "properties": {"a": {"not": {"pattern": "x"}}}},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_what_a_schema_may_hold_comes_back(schema: dict[str, Any]) -> None:
    name = "k8s.io.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
    codec = builtin_codec()
    assert codec.read_message(name, codec.write_message(name, schema)) == schema
