"""Policies of any shape: taken or refused, never a server error, also for the writes they meet."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edgek.api.errors import ApiError
from edgek.client.client import Client
from edgek.kinds import (
    CONFIG_MAP,
    MUTATING_ADMISSION_POLICY,
    MUTATING_ADMISSION_POLICY_BINDING,
    NAMESPACE,
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
)
from edgek.kinds.kind import Kind
from server.parts import plugins
from tests.support.api import admin, open_api

_TEXT = st.sampled_from(["", " ", "a", "a/b", "x.y", "*", "é", "A_", "namespace", "\n"])
_BOOLEANS = st.sampled_from([
    "true", "false", "object.data.a == 'b'", "oldObject == null", "has(object.data.a)",
    "object.data.all(k, k == object.data[k])", "request.options.x == 1", "1 / 0 == 1",
    "object.data.a.matches(object.data.a + '(')", "namespaceObject.metadata.name == 'x'",
    "params.data.a == 'b'", "variables.a == 1", "request.nope", "'a'", "",
])  # fmt: skip
_TEXTS = st.sampled_from(["'a'", "object.data.a + 'x'", "string(object.nope)", "'\\n'", "1"])
_APPLIED = st.sampled_from([
    "Object{data: {'a': 'b'}}", "Object{metadata: Object.x{}}", "Object{data: object.data}",
    "Object{kind: 'Pod'}", "{'a': 1}", "null", "Object{metadata: Object.metadata{name: 'z'}}",
    "Object{data: {'a': 1}}", "Object{data: Object.data{a: 'b'}}", "Object{nope: 1}",
    "Object{metadata: Object.metadata{labels: object.data}}", "Object{data: {'a': [1]}}",
    "Object{metadata: Object.metadata{ownerReferences: [Object.metadata.ownerReferences{}]}}",
    "Object{metadata: Object.metadata{finalizers: ['a', 'a']}}", "Object{?data: object.?data}",
])  # fmt: skip
_PATCHES = st.sampled_from([
    "[JSONPatch{op: 'add', path: '/data/x', value: 'y'}]", "[JSONPatch{op: 'x', path: 1}]",
    "[JSONPatch{op: 'replace', path: '', value: 1}]",
    "[JSONPatch{op: 'remove', path: '/metadata'}]",
    "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'a': quantity('1')}}]", "[]", "[1]",
    "[JSONPatch{op: 'add', path: '/data', value: 1.5}]", "[JSONPatch{}]", "[JSONPatch{op: 'test'}]",
    "[JSONPatch{op: 'copy', from: '/data', path: '/data/a'}]",
    "[JSONPatch{op: 'replace', path: '/metadata/name', value: 'other'}]",
    "[JSONPatch{op: 'add', path: '/metadata/managedFields', value: 'x'}]",
    "[JSONPatch{op: 'move', from: '/metadata', path: '/metadata/a'}]",
])  # fmt: skip
_RULES = st.lists(
    st.fixed_dictionaries(
        {
            "apiGroups": st.sampled_from([[], [""], ["*"]]),
            "apiVersions": st.sampled_from([[], ["v1"], ["*"]]),
            "operations": st.sampled_from([[], ["CREATE"], ["*"], ["NOPE"]]),
            "resources": st.sampled_from([[], ["configmaps"], ["*"], ["*/*"]]),
        },
        optional={"scope": _TEXT, "resourceNames": st.lists(_TEXT, max_size=2)},
    ),
    max_size=2,
)
_SELECTOR: st.SearchStrategy[Any] = (
    st.none() | st.just({}) | st.fixed_dictionaries({"matchLabels": st.just({"a": "b"})})
)
_MATCH = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "resourceRules": _RULES,
        "excludeResourceRules": _RULES,
        "namespaceSelector": _SELECTOR,
        "objectSelector": _SELECTOR,
        "matchPolicy": st.sampled_from(["Exact", "Equivalent", "x"]),
    },
)
_GOOD = st.just(
    {
        "resourceRules": [
            {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
        ]
    }
)
_CONDITIONS = st.lists(st.fixed_dictionaries({"name": _TEXT, "expression": _BOOLEANS}), max_size=1)
_VARIABLES = st.lists(
    st.fixed_dictionaries({"name": st.just("a"), "expression": _BOOLEANS | _TEXTS}), max_size=2
)
_SPEC = st.fixed_dictionaries(
    {"matchConstraints": st.one_of(_GOOD, _GOOD, _GOOD, _MATCH)},
    optional={
        "failurePolicy": st.sampled_from(["Fail", "Ignore"]),
        "paramKind": st.sampled_from(
            [{"apiVersion": "v1", "kind": "ConfigMap"}, {"apiVersion": "v9", "kind": "Nope"}, None]
        ),
        "matchConditions": _CONDITIONS,
        "variables": _VARIABLES,
    },
)
_VALIDATIONS = st.lists(
    st.fixed_dictionaries(
        {"expression": _BOOLEANS},
        optional={
            "message": st.sampled_from(["a", "é"]),
            "messageExpression": _TEXTS,
            "reason": st.sampled_from(["Invalid", "Forbidden", "x"]),
        },
    ),
    min_size=1,
    max_size=2,
)
_MUTATIONS = st.lists(
    st.builds(
        lambda text: {
            "patchType": "ApplyConfiguration",
            "applyConfiguration": {"expression": text},
        },
        _APPLIED,
    )
    | st.builds(
        lambda text: {"patchType": "JSONPatch", "jsonPatch": {"expression": text}}, _PATCHES
    ),
    min_size=1,
    max_size=2,
)
_BINDING = st.fixed_dictionaries(
    {"policyName": st.just("p")},
    optional={
        "matchResources": _MATCH,
        "paramRef": st.fixed_dictionaries(
            {"parameterNotFoundAction": st.sampled_from(["Deny", "Allow"])},
            optional={"name": _TEXT, "namespace": _TEXT, "selector": _SELECTOR},
        ),
    },
)


async def attempt(client: Client, kind: Kind, obj: Any) -> bool:
    try:
        await client.create(kind, obj)
    except ApiError as error:
        if error.code >= 500:
            raise
        return False
    return True


def named(spec: Any) -> Any:
    return {"metadata": {"name": "p"}, "spec": spec}


@settings(max_examples=60, deadline=None)
@given(_SPEC, _VALIDATIONS, _MUTATIONS, _BINDING)
async def test_any_policy_is_taken_or_refused_and_so_are_writes(
    spec: Any, validations: Any, mutations: Any, binding: Any
) -> None:
    async with open_api(plugins=plugins) as api:
        client = admin(api)
        await client.create(NAMESPACE, {"metadata": {"name": "default"}})
        await attempt(
            client, VALIDATING_ADMISSION_POLICY, named({**spec, "validations": validations})
        )
        await attempt(
            client,
            MUTATING_ADMISSION_POLICY,
            named({**spec, "mutations": mutations, "reinvocationPolicy": "IfNeeded"}),
        )
        actions = {**binding, "validationActions": ["Deny", "Audit"]}
        await attempt(client, VALIDATING_ADMISSION_POLICY_BINDING, named(actions))
        await attempt(client, MUTATING_ADMISSION_POLICY_BINDING, named(binding))
        for data in ({}, {"a": "b"}):
            obj = {"metadata": {"name": "c", "namespace": "default"}, "data": data}
            await attempt(client, CONFIG_MAP, obj)
