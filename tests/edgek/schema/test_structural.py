"""Structural schemas: what they prune, default and refuse, in upstream's words."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgek.api.errors import BadRequest
from edgek.api.meta import deep_copy
from edgek.api.validation import FieldErrors
from edgek.schema.check import Checker
from edgek.schema.schema import NOTHING
from edgek.schema.structural import read_structural
from edgek.schema.structural_default import fill_defaults
from edgek.schema.structural_prune import Pruner
from edgek.schema.structural_validate import StructuralValidator
from edgek.schema.to_schema import to_schema

Props = dict[str, Any]
TEXT: Props = {"type": "string"}
NUMBER: Props = {"type": "integer"}


def fields(**properties: Props) -> Props:
    return {"type": "object", "properties": properties}


def problems(value: Any, schema: Props, *, old: Any = NOTHING) -> list[str]:
    errors = FieldErrors()
    root = read_structural(fields(f=schema))
    before = NOTHING if old is NOTHING else {"f": old}
    StructuralValidator(errors).check({"f": value}, root, old=before)
    return [str(e) for e in errors]


def pruned(value: Any, schema: Props) -> tuple[Any, list[str]]:
    pruner, obj = Pruner(Checker()), deep_copy(value)
    pruner.object(obj, read_structural(schema), version="v1", kind="Thing")
    return obj, pruner.unknown


def defaulted(value: Any, schema: Props) -> Any:
    obj = deep_copy(value)
    fill_defaults(obj, read_structural(schema))
    return obj


MAP_LIST = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": fields(name=TEXT, port=NUMBER),
}
ONE_OF = {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
          "properties": {"a": TEXT, "b": TEXT}}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "schema", "told"),
    [
        ("x", NUMBER, 'f: Invalid value: "string": f in body must be of type integer: "string"'),
        (1.5, NUMBER, 'f: Invalid value: "number": f in body must be of type integer: "number"'),
        (None, NUMBER, 'f: Invalid value: "null": f in body must be of type integer: "null"'),
        (True, NUMBER, 'f: Invalid value: "boolean": f in body must be of type integer: "boolean"'),
        ([], {"x-kubernetes-int-or-string": True},
         'f: Invalid value: "array": f in body must be of type integer,string: "array"'),
        (0, {**NUMBER, "minimum": 1},
         "f: Invalid value: 0: f in body should be greater than or equal to 1"),
        (0, {**NUMBER, "minimum": 0, "exclusiveMinimum": True},
         "f: Invalid value: 0: f in body should be greater than 0"),
        (11, {**NUMBER, "maximum": 10},
         "f: Invalid value: 11: f in body should be less than or equal to 10"),
        (7, {**NUMBER, "multipleOf": 2},
         "f: Invalid value: 7: f in body should be a multiple of 2"),
        ("", {**TEXT, "minLength": 1},
         'f: Invalid value: "": f in body should be at least 1 chars long'),
        ("abc", {**TEXT, "maxLength": 2}, "f: Too long: may not be more than 2 characters"),
        ("b", {**TEXT, "pattern": "^a"}, "f: Invalid value: \"b\": f in body should match '^a'"),
        ("x", {**TEXT, "enum": ["a", "b"]},
         'f: Unsupported value: "x": supported values: "a", "b"'),
        ("x", {**TEXT, "format": "date-time"},
         'f: Invalid value: "x": f in body must be of type date-time: "x"'),
        ([], {"type": "array", "items": TEXT, "minItems": 1},
         "f: Invalid value: 0: f in body should have at least 1 items"),
        (["a", "b"], {"type": "array", "items": TEXT, "maxItems": 1},
         "f: Too many: 2: must have at most 1 items"),
        (["a", "a"], {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
         'f[1]: Duplicate value: "a"'),
        ([{"name": "a"}, {"name": "a", "port": 1}], MAP_LIST,
         'f[1]: Duplicate value: {"name":"a"}'),
        ([{"port": "x"}], MAP_LIST,
         'f[0].port: Invalid value: "string": f[0].port in body must be of type integer: "string"'),
        ({}, {"type": "object", "required": ["a"]}, "f.a: Required value"),
        ({"k": 1}, {"type": "object", "additionalProperties": TEXT},
         'f.k: Invalid value: "integer": f.k in body must be of type string: "integer"'),
        ({}, ONE_OF, '<nil>: Invalid value: "": "f" must validate one and only one schema (oneOf). '
         "Found none valid"),
        ({"a": "", "b": ""}, ONE_OF, '<nil>: Invalid value: "": "f" must validate one and only one '
         "schema (oneOf). Found 2 valid alternatives"),
        (3, {**NUMBER, "not": {"enum": [3]}},
         '<nil>: Invalid value: "": "f" must not validate the schema (not)'),
        (3, {**NUMBER, "anyOf": [{"minimum": 5}, {"maximum": 1}]},
         '<nil>: Invalid value: "": "f" must validate at least one schema (anyOf)'),
        ({"kind": "Pod"}, {"type": "object", "x-kubernetes-embedded-resource": True,
         "x-kubernetes-preserve-unknown-fields": True},
         "f.apiVersion: Required value: must not be empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_upstreams_words(value: Any, schema: Props, told: str) -> None:
    assert problems(value, schema)[0] == told


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (3.0, NUMBER),
        (None, {**NUMBER, "nullable": True}),
        (5, {"type": "number"}),
        ("5", {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, TEXT]}),
        ({"a": [1, "x", None]}, {"x-kubernetes-preserve-unknown-fields": True}),
        ("anything", {**TEXT, "format": "no-such-format"}),
        ({"a": ""}, ONE_OF),
        ("caab", {**TEXT, "pattern": "aa"}),
    ],
)
def test_what_fits_is_accepted(value: Any, schema: Props) -> None:
    assert problems(value, schema) == []


def test_an_update_is_not_held_to_what_it_leaves_alone() -> None:
    strict = fields(a={**NUMBER, "maximum": 5}, b={**NUMBER, "maximum": 5})
    assert problems({"a": 9, "b": 9}, strict, old={"a": 9, "b": 1}) == [
        "f.b: Invalid value: 9: f.b in body should be less than or equal to 5"
    ]
    old = [{"name": "x", "port": "bad"}, {"name": "y", "port": 1}]
    moved = [{"name": "y", "port": "worse"}, {"name": "x", "port": "bad"}]
    assert len(problems(moved, MAP_LIST, old=old)) == 1


@pytest.mark.parametrize(
    ("format_", "good", "bad"),
    [
        ("date-time", ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123+02:00"],
         ["2026-01-02", "2026-13-02T03:04:05Z", "2026-01-02 03:04:05Z"]),
        ("date", ["2026-02-28"], ["2026-02-30", "20260228"]),
        ("duration", ["1h30m", "5s", "3 days", "1.5h"], ["x", "5", "1parsec"]),
        ("ipv4", ["10.0.0.1"], ["10.0.0.256", "::1"]),
        ("ipv6", ["::1", "fe80::1"], ["10.0.0.1"]),
        ("cidr", ["10.0.0.0/8", "10.1.0.0/8", "::/0"], ["10.0.0.1", "10.0.0.0/33"]),
        ("uuid", ["8f14e45f-ceea-467f-a8b7-0f1c2d3e4f5a"], ["8f14e45f"]),
        ("uuid4", ["8f14e45f-ceea-467f-a8b7-0f1c2d3e4f5a"],
         ["8f14e45f-ceea-367f-a8b7-0f1c2d3e4f5a"]),
        ("byte", ["", "YQ=="], ["a", "%%%%"]),
        ("email", ["a@example.com"], ["a", "a@", "@b"]),
        ("hostname", ["example.com"], ["-a.com", "a" * 300]),
        ("uri", ["https://example.com/x", "/path"], ["x y", "no-scheme"]),
        ("mac", ["00:11:22:33:44:55", "00-11-22-33-44-55"], ["00:11:22", "00:11-22:33:44:55"]),
        ("hexcolor", ["#fff", "00ff00"], ["#ffff"]),
        ("rgbcolor", ["rgb(1,2,255)"], ["rgb(1,2,256)"]),
        ("creditcard", ["4111 1111 1111 1111"], ["4111 1111 1111 1112"]),
        ("isbn", ["0-306-40615-2", "978-0-306-40615-7"], ["0-306-40615-3"]),
        ("ssn", ["123-45-6789"], ["12-345"]),
        ("password", ["anything"], []),
    ],
)  # fmt: skip
def test_formats(format_: str, good: list[str], bad: list[str]) -> None:
    schema = {**TEXT, "format": format_}
    assert [v for v in good if problems(v, schema)] == []
    assert [v for v in bad if not problems(v, schema)] == []


def test_a_pattern_that_python_would_try_for_ever_is_quick() -> None:
    assert problems("a" * 5000 + "!", {**TEXT, "pattern": "^(a+)+$"})


PRUNED = fields(
    spec={
        "type": "object",
        "properties": {
            "known": TEXT,
            "open": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"inner": fields(a=TEXT)},
            },
            "map": {"type": "object", "additionalProperties": fields(a=TEXT)},
            "list": {"type": "array", "items": fields(a=TEXT)},
            "pod": {
                "type": "object",
                "x-kubernetes-embedded-resource": True,
                "properties": {"spec": fields(a=TEXT)},
            },
        },
    }
)


@pytest.mark.parametrize(
    ("spec", "left", "unknown"),
    [
        ({"known": "x", "other": 1}, {"known": "x"}, ["spec.other"]),
        ({"open": {"any": {"thing": 1}, "inner": {"a": "", "b": 1}}},
         {"open": {"any": {"thing": 1}, "inner": {"a": ""}}}, ["spec.open.inner.b"]),
        ({"map": {"k": {"a": "", "b": 1}}}, {"map": {"k": {"a": ""}}}, ["spec.map.k.b"]),
        ({"list": [{"b": 1}, {"a": ""}]}, {"list": [{}, {"a": ""}]}, ["spec.list[0].b"]),
        ({"pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "nope": 1},
                  "spec": {"b": 1}}},
         {"pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}}},
         ["spec.pod.metadata.nope", "spec.pod.spec.b"]),
        ({"known": {"of": "another type"}}, {"known": {}}, ["spec.known.of"]),
    ],
)  # fmt: skip
def test_pruning(spec: Props, left: Props, unknown: list[str]) -> None:
    obj = {"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "n"}, "spec": spec}
    assert pruned(obj, PRUNED) == ({**obj, "spec": left}, unknown)


def test_metadata_is_held_to_what_every_object_has() -> None:
    obj = {"metadata": {"name": "n", "labels": {"a": "b"}, "colour": "red"}}
    assert pruned(obj, PRUNED)[1] == ["metadata.colour"]
    with pytest.raises(BadRequest, match="cannot unmarshal"):
        pruned({"metadata": {"name": 5}}, PRUNED)


DEFAULTS = fields(
    spec={
        "type": "object",
        "default": {},
        "properties": {
            "replicas": {**NUMBER, "default": 1},
            "mode": {**TEXT, "nullable": True, "default": "fast"},
            "plain": TEXT,
            "list": {"type": "array", "items": fields(a={**TEXT, "default": "x"})},
            "map": {"type": "object", "additionalProperties": {**NUMBER, "default": 7}},
        },
    }
)


@pytest.mark.parametrize(
    ("value", "full"),
    [
        ({}, {"spec": {"replicas": 1, "mode": "fast"}}),
        ({"spec": {"replicas": None, "mode": None}}, {"spec": {"replicas": 1, "mode": None}}),
        ({"spec": {"plain": None}}, {"spec": {"replicas": 1, "mode": "fast"}}),
        ({"spec": {"list": [{}, {"a": "y"}]}},
         {"spec": {"list": [{"a": "x"}, {"a": "y"}], "replicas": 1, "mode": "fast"}}),
        ({"spec": {"map": {"k": None}}},
         {"spec": {"map": {"k": 7}, "replicas": 1, "mode": "fast"}}),
        ({"spec": "no object"}, {"spec": "no object"}),
    ],
)  # fmt: skip
def test_defaults(value: Props, full: Props) -> None:
    assert defaulted(value, DEFAULTS) == full
    assert defaulted(full, DEFAULTS) == full


def test_defaults_are_not_shared_between_objects() -> None:
    schema = read_structural(DEFAULTS)
    one: Props = {}
    other: Props = {}
    fill_defaults(one, schema)
    fill_defaults(other, schema)
    one["spec"]["replicas"] = 9
    assert other["spec"]["replicas"] == 1


def test_the_shape_of_a_schema() -> None:
    props = fields(spec=fields(
        ports={**MAP_LIST},
        labels={"type": "object", "additionalProperties": TEXT},
        size={"x-kubernetes-int-or-string": True},
        ratio={"type": "number"},
        any={"x-kubernetes-preserve-unknown-fields": True},
    ))  # fmt: skip
    shape = to_schema(read_structural(props), name="com.example.v1.Thing", gvk=("x", "v1", "Thing"))
    spec = shape.fields["spec"]
    assert {name: s.type for name, s in spec.fields.items()} == {
        "ports": "list", "labels": "map", "size": "int-or-string", "ratio": "double", "any": "any",
    }  # fmt: skip
    assert (spec.fields["ports"].list_type, spec.fields["ports"].list_map_keys) == (
        "map",
        ("name",),
    )
    assert shape.fields["metadata"].short_name == "ObjectMeta"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


def _object_schemas(inner: st.SearchStrategy[Props]) -> st.SearchStrategy[Props]:
    properties = st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    return st.one_of(
        st.builds(lambda p: {"type": "object", "properties": p}, properties),
        st.builds(lambda s: {"type": "object", "additionalProperties": s}, inner),
        st.builds(lambda s: {"type": "array", "items": s}, inner),
        st.builds(
            lambda p: {
                "type": "object", "properties": p, "x-kubernetes-preserve-unknown-fields": True,
            },
            properties,
        ),
    )  # fmt: skip


schemas = st.recursive(
    st.sampled_from(
        [
            TEXT, NUMBER, {"type": "boolean"}, {**NUMBER, "default": 3}, {**TEXT, "nullable": True},
            {"x-kubernetes-int-or-string": True}, {**TEXT, "enum": ["a"], "default": "a"},
            {"x-kubernetes-preserve-unknown-fields": True}, {"type": "number", "minimum": 0},
        ]
    ),
    _object_schemas,
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schema=schemas, value=json_values)
def test_any_value_under_any_schema(schema: Props, value: Any) -> None:
    """Whatever comes: nothing raises, a second pass changes nothing, an unchanged value is fine."""
    props = fields(f=schema)
    obj = {"f": value}
    once, _ = pruned(obj, props)
    once = defaulted(once, props)
    again, unknown = pruned(once, props)
    assert unknown == []
    assert defaulted(again, props) == once
    problems(once.get("f"), schema)
    assert problems(value, schema, old=deep_copy({"f": value})["f"]) == []
