"""Any JSON as a schema, any JSON as an object: an answer in Kubernetes' words, never a bug."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgek.api.errors import ApiError, InternalError
from edgek.api.meta import Key, Obj, deep_copy
from edgek.client.client import Client
from edgek.kinds import CUSTOM_RESOURCE_DEFINITION as CRD
from server.app import Api
from tests.support.api import admin, open_api

WORDS = (
    "type", "properties", "additionalProperties", "items", "required", "enum", "default",
    "nullable", "minimum", "maximum", "exclusiveMinimum", "multipleOf", "maxLength", "minLength",
    "pattern",
    "format", "maxItems", "minItems", "uniqueItems", "maxProperties", "minProperties", "allOf",
    "anyOf", "oneOf", "not", "title", "$ref", "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
    "x-kubernetes-validations",
)  # fmt: skip
TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "", "null"])
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "map", "set", "date", "("])
)
anything = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from([*WORDS, "a", "metadata", "rule"]), inner, max_size=3),
    ),
    max_leaves=6,
)


def _schemas(inner: st.SearchStrategy[Obj]) -> st.SearchStrategy[Obj]:
    """Mostly sound; each word may hold anything."""
    sound = {
        "properties": st.dictionaries(st.sampled_from(["a", "b", "metadata"]), inner, max_size=2),
        "items": inner,
        "additionalProperties": inner | st.booleans(),
        "anyOf": st.lists(inner, max_size=2),
        "x-kubernetes-validations": st.just([{"rule": "self.a == oldSelf.a"}]),
    }
    return st.fixed_dictionaries(
        {"type": TYPES},
        optional={
            word: st.one_of(sound.get(word, anything), anything) for word in WORDS if word != "type"
        },
    )


schemas = st.recursive(st.fixed_dictionaries({"type": TYPES}), _schemas, max_leaves=4)


async def define_and_use(schema: Any, value: Any) -> None:
    crd = deep_copy(dict(CRD.example))
    root = {"type": "object", "properties": {"spec": schema}}
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = root
    async with open_api() as api:
        client = admin(api)
        try:
            await client.create(CRD, crd)
        except InternalError:
            raise
        except ApiError:
            return
        await use(api, client, value)


async def use(api: Api, client: Client, value: Any) -> None:
    kind = api.env.kinds.find("stable.example.com", "v1", "crontabs")
    assert kind is not None
    obj = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": "a", "namespace": "default"},
        "spec": value,
    }
    try:
        made = await client.create(kind, obj)
        assert await client.update(kind, made) == made
        await client.patch(kind, Key("default", "a"), {"spec": {"a": value}})
    except InternalError:
        raise
    except ApiError:
        return


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=schemas, value=anything)
def test_any_schema_and_any_object(schema: Any, value: Any) -> None:
    asyncio.run(define_and_use(schema, value))
