"""Fast and slow pass agree, whatever a body holds."""

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgek.api.errors import BadRequest
from edgek.kinds import DEPLOYMENT, POD, SECRET, SERVICE
from edgek.schema import builtin_types, schema_of
from edgek.schema.check import Checker
from edgek.schema.compiled import compile_clean
from edgek.schema.schema import Schema

QUANTITIES = st.sampled_from(["1Gi", "1024Mi", "100m", "0.5", 1, 0.25, "1e3"])
TIMES = st.sampled_from([
    "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.5+02:00", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00", None,
])  # fmt: skip
FITTING: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(string.printable, max_size=4),
    "boolean": st.booleans(),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "bytes": st.sampled_from(["", "YWJj", "YQ==", "YR==", "YW\nJj"]),
    "quantity": QUANTITIES,
    "int-or-string": st.one_of(st.integers(0, 9), st.just("http")),
    "time": TIMES,
    "micro-time": TIMES,
}
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(allow_nan=False),
    st.text(string.printable, max_size=4), QUANTITIES,
)  # fmt: skip
WORD = st.text(string.ascii_lowercase, min_size=1, max_size=3)


def roughly(schema: Schema, depth: int = 0) -> st.SearchStrategy[Any]:
    """Bodies that mostly fit: the right fields, sometimes with anything in them."""
    if depth > 6:
        return LEAVES
    if schema.type == "object":
        return rough_objects(schema, depth)
    if schema.items is not None and schema.type == "list":
        return st.lists(roughly(schema.items, depth + 1), max_size=2)
    if schema.items is not None:
        return st.dictionaries(WORD, roughly(schema.items, depth + 1), max_size=2)
    fitting = FITTING.get(schema.type, LEAVES)
    return st.integers(0, 30).flatmap(lambda die: LEAVES if die == 7 else fitting)


@st.composite
def rough_objects(draw: st.DrawFn, schema: Schema, depth: int) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from([*schema.fields, "bogus"]), max_size=3, unique=True))
    fields = schema.fields
    return {n: draw(roughly(fields[n], depth + 1) if n in fields else LEAVES) for n in names}


@pytest.mark.parametrize("kind", [POD, DEPLOYMENT, SECRET, SERVICE], ids=lambda k: k.kind)
def test_a_checked_body_is_clean_and_a_clean_body_stays_as_it_is(kind: Any) -> None:
    schema = schema_of(kind)
    checker, clean = Checker(), compile_clean(schema)

    @given(roughly(schema))
    @settings(max_examples=150, deadline=None)
    def agree(body: Any) -> None:
        try:
            checked = checker.check(body, schema, version=kind.version, kind=kind.kind)
        except BadRequest:
            assert not clean(body)
            return
        assert clean(checked.obj), checked.obj
        assert (checked.obj == body) or not clean(body)

    agree()


def test_the_deepest_body_that_decodes_can_be_checked() -> None:
    name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
    schema = builtin_types().named(name)
    deep: Any = {"type": "string"}
    for _ in range(125):
        deep = {"properties": {"a": deep}}
    checker = Checker()
    assert checker.check(deep, schema, version="v1", kind="X").obj is deep
    dirty = {"properties": {"a": deep}, "bogus": None}
    assert checker.check(dirty, schema, version="v1", kind="X").unknown == ["bogus"]
