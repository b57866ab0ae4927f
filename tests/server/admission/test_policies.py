"""Admission policies, through the real API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edgek.api.errors import ApiError, Invalid
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    DEPLOYMENT,
    MUTATING_ADMISSION_POLICY,
    MUTATING_ADMISSION_POLICY_BINDING,
    NAMESPACE,
    POD,
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
)
from server.admission.policies.invocations import Invocations
from server.admission.policies.mutating import MutatingPolicies
from server.admission.policies.param_rights import ParamRights
from server.admission.policies.validating import ValidatingPolicies
from server.app import Api, PluginTools
from server.request.model import User
from tests.support.api import admin, open_api

RBAC = "rbac.authorization.k8s.io"
RULE = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["configmaps"],
}


def _plugins(tools: PluginTools) -> Any:
    invocations = Invocations(tools.reader, tools.kinds.all, tools.ask)
    return (
        ParamRights(tools.reader, tools.kinds.all, tools.ask),
        MutatingPolicies(tools.reader, invocations),
        ValidatingPolicies(tools.reader, invocations),
    )


@asynccontextmanager
async def policed() -> AsyncIterator[Api]:
    async with open_api(plugins=_plugins) as api:
        await admin(api).create(NAMESPACE, {"metadata": {"name": "default"}})
        yield api


def policy(*validations: Any, **spec: Any) -> Obj:
    """Of ConfigMaps; a validation is its expression, or the whole of it."""
    listed = [v if isinstance(v, dict) else {"expression": v} for v in validations]
    return {
        "metadata": {"name": "demo"},
        "spec": {
            "matchConstraints": {"resourceRules": [RULE]},
            **({"validations": listed} if listed else {}),
            **spec,
        },
    }


def binding(*actions: str, **spec: Any) -> Obj:
    return {
        "metadata": {"name": "demo-binding"},
        "spec": {"policyName": "demo", "validationActions": list(actions) or ["Deny"], **spec},
    }


async def enforce(client: Client, policy: Obj, binding: Obj) -> None:
    await client.create(VALIDATING_ADMISSION_POLICY, policy)
    await client.create(VALIDATING_ADMISSION_POLICY_BINDING, binding)


def config_map(name: str = "cm", **more: Any) -> Obj:
    metadata = {"name": name, "namespace": "default", **more.pop("metadata", {})}
    return {"metadata": metadata, **more}


async def refusal(client: Client, obj: Obj) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await client.create(CONFIG_MAP, obj)
    return caught.value


async def test_what_a_policy_forbids_is_refused_in_upstreams_words() -> None:
    async with policed() as api:
        client = admin(api)
        await enforce(client, policy("has(object.data) && size(object.data) < 2"), binding())
        await client.create(CONFIG_MAP, config_map("good", data={"a": "1"}))
        error = await refusal(client, config_map(data={"a": "1", "b": "2"}))
    assert (error.code, error.reason) == (422, "Invalid")
    told = (
        "ValidatingAdmissionPolicy 'demo' with binding 'demo-binding' denied request: "
        "failed expression: has(object.data) && size(object.data) < 2"
    )
    assert error.message == f'configmaps "cm" is forbidden: {told}'
    assert error.details["causes"] == [{"message": told}]


@pytest.mark.parametrize(
    ("validation", "message", "code"),
    [
        ({"expression": "false", "message": " too bad "}, "too bad", 422),
        (
            {"expression": "false", "messageExpression": "'no ' + object.metadata.name"},
            "no cm",
            422,
        ),
        (
            {"expression": "false", "message": "fixed", "messageExpression": "string(object.nope)"},
            "fixed",
            422,
        ),
        (
            {"expression": "false", "message": "fixed", "messageExpression": "'a\\nb'"},
            "fixed",
            422,
        ),
        ({"expression": "false", "reason": "Forbidden"}, "failed expression: false", 403),
        ({"expression": "false", "reason": "Unauthorized"}, "failed expression: false", 401),
        (
            {"expression": "false", "reason": "RequestEntityTooLarge"},
            "failed expression: false",
            413,
        ),
        (
            "object.nope == 1",
            "expression 'object.nope == 1' resulted in error: no such key: nope",
            422,
        ),
    ],
)
async def test_message_and_code_are_those_of_the_first_failed_validation(
    validation: Any, message: str, code: int
) -> None:
    async with policed() as api:
        client = admin(api)
        await enforce(client, policy("true", validation, "1 == 2"), binding())
        error = await refusal(client, config_map())
    assert error.message.endswith(f"denied request: {message}")
    assert error.code == code


async def test_an_error_is_no_refusal_where_failures_are_ignored() -> None:
    async with policed() as api:
        client = admin(api)
        await enforce(client, policy("object.nope == 1", failurePolicy="Ignore"), binding())
        await client.create(CONFIG_MAP, config_map())


async def test_a_policy_without_a_binding_does_nothing() -> None:
    async with policed() as api:
        client = admin(api)
        await client.create(VALIDATING_ADMISSION_POLICY, policy("false"))
        await client.create(CONFIG_MAP, config_map())


async def test_a_policy_ends_with_its_deletion_and_changes_with_an_update() -> None:
    async with policed() as api:
        client = admin(api)
        await enforce(client, policy("false"), binding())
        await refusal(client, config_map())
        stored = await client.get(VALIDATING_ADMISSION_POLICY, Key("", "demo"))
        stored["spec"]["validations"] = [{"expression": "true"}]
        await client.update(VALIDATING_ADMISSION_POLICY, stored)
        await client.create(CONFIG_MAP, config_map("one"))
        stored = await client.get(VALIDATING_ADMISSION_POLICY, Key("", "demo"))
        stored["spec"]["validations"] = [{"expression": "false"}]
        await client.update(VALIDATING_ADMISSION_POLICY, stored)
        await refusal(client, config_map())
        await client.delete(VALIDATING_ADMISSION_POLICY, Key("", "demo"))
        await client.create(CONFIG_MAP, config_map())


@pytest.mark.parametrize(
    "expression",
    [
        "request.operation == 'CREATE' && request.name == 'cm' && request.namespace == 'default'",
        "request.kind.kind == 'ConfigMap' && request.resource.resource == 'configmaps'",
        "request.userInfo.username == 'admin' && 'system:masters' in request.userInfo.groups",
        "namespaceObject.metadata.name == 'default' && oldObject == null",
        "!request.dryRun && object.kind == 'ConfigMap' && object.apiVersion == 'v1'",
        "authorizer.group('').resource('pods').namespace('x').check('create').allowed()",
        "authorizer.requestResource.check('delete').allowed()",
        "authorizer.path('/healthz').check('get').allowed()",
        "!authorizer.serviceAccount('default', 'a').path('/x').check('get').allowed()",
        "namespaceObject.metadata.creationTimestamp < timestamp('2100-01-01T00:00:00Z')",
    ],
)
async def test_expressions_see_the_request(expression: str) -> None:
    async with policed() as api:
        client = admin(api)
        await enforce(client, policy(expression), binding())
        await client.create(CONFIG_MAP, config_map())


async def test_old_and_new_object_are_there_on_update_and_only_the_old_on_delete() -> None:
    rules = [RULE | {"operations": ["UPDATE", "DELETE"]}]
    async with policed() as api:
        client = admin(api)
        await client.create(CONFIG_MAP, config_map(data={"keep": "1"}))
        found = policy(
            "request.operation == 'DELETE' ? object == null && !('keep' in oldObject.data) : "
            "object.data.keep == oldObject.data.keep",
            matchConstraints={"resourceRules": rules},
        )
        await enforce(client, found, binding())
        stored = await client.get(CONFIG_MAP, Key("default", "cm"))
        with pytest.raises(Invalid):
            await client.update(CONFIG_MAP, stored | {"data": {"keep": "2"}})
        await client.update(CONFIG_MAP, stored | {"data": {"keep": "1", "more": "x"}})
        with pytest.raises(Invalid):
            await client.delete(CONFIG_MAP, Key("default", "cm"))


async def test_variables_are_composed_and_an_unread_one_is_never_evaluated() -> None:
    variables = [
        {"name": "count", "expression": "size(object.data)"},
        {"name": "many", "expression": "variables.count > 1"},
        {"name": "broken", "expression": "object.nope.nope"},
    ]
    async with policed() as api:
        client = admin(api)
        found = policy("!variables.many", "true || variables.broken == 1", variables=variables)
        await enforce(client, found, binding())
        await client.create(CONFIG_MAP, config_map("few", data={"a": "1"}))
        error = await refusal(client, config_map(data={"a": "1", "b": "2"}))
    assert "failed expression: !variables.many" in error.message


async def test_match_conditions_narrow_a_policy() -> None:
    conditions = [{"name": "not-mine", "expression": "object.metadata.name != 'mine'"}]
    async with policed() as api:
        client = admin(api)
        await enforce(client, policy("false", matchConditions=conditions), binding())
        await client.create(CONFIG_MAP, config_map("mine"))
        await refusal(client, config_map("yours"))


@pytest.mark.parametrize(
    ("constraints", "denied"),
    [
        ({"namespaceSelector": {"matchLabels": {"strict": "yes"}}}, False),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}, True),
        ({"objectSelector": {"matchLabels": {"app": "web"}}}, True),
        ({"objectSelector": {"matchLabels": {"app": "db"}}}, False),
        ({"excludeResourceRules": [RULE | {"resourceNames": ["cm"]}]}, False),
        ({"resourceRules": [RULE | {"resourceNames": ["other"]}]}, False),
        ({"resourceRules": [RULE | {"scope": "Cluster"}]}, False),
        ({"resourceRules": [RULE | {"resources": ["*"], "apiGroups": ["*"]}]}, True),
        ({"resourceRules": [RULE | {"resources": ["configmaps/*"]}]}, True),
        ({"resourceRules": [RULE | {"resources": ["configmaps/status"]}]}, False),
        ({"resourceRules": [RULE | {"apiVersions": ["v2"]}]}, False),
    ],
)
async def test_a_policy_matches_by_rules_and_selectors(constraints: Any, denied: bool) -> None:
    async with policed() as api:
        client = admin(api)
        found = {"resourceRules": [RULE], **constraints}
        await enforce(client, policy("false", matchConstraints=found), binding())
        obj = config_map(metadata={"labels": {"app": "web"}})
        if denied:
            await refusal(client, obj)
        else:
            await client.create(CONFIG_MAP, obj)


async def test_a_binding_narrows_where_its_policy_holds() -> None:
    matched = {"objectSelector": {"matchLabels": {"app": "web"}}}
    async with policed() as api:
        client = admin(api)
        await enforce(client, policy("false"), binding(matchResources=matched))
        await client.create(CONFIG_MAP, config_map())
        await refusal(client, config_map("web", metadata={"labels": {"app": "web"}}))


PARAM_KIND = {"apiVersion": "v1", "kind": "ConfigMap"}
PARAMS = {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}


async def test_params_come_from_the_object_that_the_binding_names() -> None:
    async with policed() as api:
        client = admin(api)
        await client.create(CONFIG_MAP, config_map("limits", data={"max": "2"}))
        found = policy("size(object.data) <= int(params.data.max)", paramKind=PARAM_KIND)
        await enforce(client, found, binding(paramRef=PARAMS))
        await client.create(CONFIG_MAP, config_map("few", data={"a": "", "b": ""}))
        await refusal(client, config_map("many", data={"a": "", "b": "", "c": ""}))


async def test_each_object_that_params_select_must_be_satisfied() -> None:
    ref = {"selector": {"matchLabels": {"limits": "yes"}}, "parameterNotFoundAction": "Allow"}
    async with policed() as api:
        client = admin(api)
        found = policy("size(object.data) <= int(params.data.max)", paramKind=PARAM_KIND)
        await enforce(client, found, binding(paramRef=ref))
        await client.create(CONFIG_MAP, config_map("free", data={"a": "", "b": "", "c": ""}))
        await client.delete(VALIDATING_ADMISSION_POLICY_BINDING, Key("", "demo-binding"))
        for name, most in (("wide", "5"), ("narrow", "1")):
            obj = config_map(name, metadata={"labels": {"limits": "yes"}}, data={"max": most})
            await client.create(CONFIG_MAP, obj)
        await client.create(VALIDATING_ADMISSION_POLICY_BINDING, binding(paramRef=ref))
        await client.create(CONFIG_MAP, config_map("one", data={"a": ""}))
        await refusal(client, config_map("two", data={"a": "", "b": ""}))


async def test_params_that_are_not_there_are_a_refusal_only_where_the_binding_says_so() -> None:
    async with policed() as api:
        client = admin(api)
        found = policy("params.data.max == ''", paramKind=PARAM_KIND)
        await enforce(client, found, binding(paramRef=PARAMS))
        error = await refusal(client, config_map())
        assert error.message.endswith(
            "denied request: failed to configure binding: no params found for policy binding "
            "with `Deny` parameterNotFoundAction"
        )
        await client.delete(VALIDATING_ADMISSION_POLICY_BINDING, Key("", "demo-binding"))
        allowed = binding(paramRef=PARAMS | {"parameterNotFoundAction": "Allow"})
        await client.create(VALIDATING_ADMISSION_POLICY_BINDING, allowed)
        await client.create(CONFIG_MAP, config_map())


async def test_admission_configuration_itself_is_exempt() -> None:
    everything = RULE | {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}
    rules = [everything | {"operations": ["*"]}]
    async with policed() as api:
        client = admin(api)
        await enforce(client, policy("false", matchConstraints={"resourceRules": rules}), binding())
        await refusal(client, config_map())
        await client.delete(VALIDATING_ADMISSION_POLICY, Key("", "demo"))
        await client.create(CONFIG_MAP, config_map())


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (
            {"validations": [{"expression": "objct.x == 1"}]},
            'spec.validations[0].expression: Invalid value: "objct.x == 1": compilation failed: '
            "ERROR: <input>:1:1: undeclared reference to 'objct'",
        ),
        (
            {"validations": [{"expression": "object.x +"}]},
            "compilation failed: ERROR: <input>:1:11: Syntax error: mismatched input '<EOF>'",
        ),
        ({"validations": [{"expression": "'a'"}]}, "must evaluate to bool but got string"),
        ({"validations": [{"expression": "object.x"}]}, "must evaluate to bool but got dyn"),
        (
            {"validations": [{"expression": "request.nope == ''"}]},
            "compilation failed: ERROR: <input>:1:8: undefined field 'nope'",
        ),
        ({"validations": [{"expression": "params == null"}]}, "undeclared reference to 'params'"),
        (
            {"validations": [{"expression": "variables.a"}]},
            "undeclared reference to 'variables'",
        ),
        (
            {
                "variables": [{"name": "a", "expression": "1"}],
                "validations": [{"expression": "variables.b == 1"}],
            },
            "undefined field 'b'",
        ),
        (
            {"validations": [{"expression": "true", "messageExpression": "1"}]},
            'spec.validations[0].messageExpression: Invalid value: "1": must evaluate to string '
            "but got int",
        ),
        (
            {"matchConditions": [{"name": "a", "expression": "1"}]},
            'spec.matchConditions[0].expression: Invalid value: "1": must evaluate to bool',
        ),
        (
            {"auditAnnotations": [{"key": "a", "valueExpression": "1"}]},
            "must evaluate to one of [string null_type] but got int",
        ),
        ({"validations": []}, "validations or auditAnnotations must contain at least one item"),
        ({"matchConstraints": None}, "spec.matchConstraints: Required value"),
    ],
)
async def test_a_policy_that_cannot_work_is_not_stored(spec: Any, told: str) -> None:
    async with policed() as api:
        with pytest.raises(Invalid) as caught:
            await admin(api).create(VALIDATING_ADMISSION_POLICY, policy("true", **spec))
    assert told in caught.value.message


HOSTILE = [
    "object.data.map(a, object.data.map(b, object.data.map(c, object.data.map(d, a)))).size() > 0",
    "object.data.all(a, object.data.all(b, object.data.all(c, (a + b + c).matches('(x+)+y') || "
    "true)))",
    "object.data.all(k, object.data.all(l, "
    "object.data[k].replace('x', object.data[l]).size() > 0))",
    "[object.data].map(a, [a, a]).map(b, [b, b]).map(c, [c, c]).map(d, [d, d]).map(e, [e, e])"
    ".map(f, [f, f]).map(g, [g, g]) == [object.data].map(a, [a, a]).map(b, [b, b])"
    ".map(c, [c, c]).map(d, [d, d]).map(e, [e, e]).map(f, [f, f]).map(g, [g, g])",
]


@pytest.mark.parametrize("expression", HOSTILE)
async def test_a_hostile_expression_ends_soon_and_never_as_a_server_error(expression: str) -> None:
    async with policed() as api:
        client = admin(api)
        await enforce(client, policy(expression), binding())
        data = {f"k{i}": "x" * 2000 for i in range(60)}
        error = await refusal(client, config_map(data=data))
    assert error.code == 422
    assert "cost limit exceeded" in error.message or "deadline" in error.message


async def test_warnings_and_audit_annotations_do_not_refuse() -> None:
    async with policed() as api:
        client = admin(api)
        annotations = [{"key": "count", "valueExpression": "'n=' + string(size(object.data))"}]
        found = policy("false", auditAnnotations=annotations)
        await enforce(client, found, binding("Warn", "Audit"))
        await client.create(CONFIG_MAP, config_map(data={"a": ""}))


def mutation(expression: str, patch_type: str = "ApplyConfiguration") -> Obj:
    field = "jsonPatch" if patch_type == "JSONPatch" else "applyConfiguration"
    return {"patchType": patch_type, field: {"expression": expression}}


async def mutate(
    client: Client, *mutations: Obj, resource: str = "configmaps", **spec: Any
) -> None:
    rule = RULE | {"resources": [resource], "apiGroups": ["*"]}
    await client.create(
        MUTATING_ADMISSION_POLICY,
        policy(
            mutations=list(mutations),
            matchConstraints={"resourceRules": [rule]},
            **{"reinvocationPolicy": "Never", **spec},
        ),
    )
    bound = {"metadata": {"name": "demo-binding"}, "spec": {"policyName": "demo"}}
    await client.create(MUTATING_ADMISSION_POLICY_BINDING, bound)


async def test_an_apply_configuration_is_merged_into_the_object() -> None:
    async with policed() as api:
        client = admin(api)
        await mutate(
            client,
            mutation(
                "Object{metadata: Object.metadata{labels: {'team': request.userInfo.username}}}"
            ),
            mutation("Object{data: {'seen': object.metadata.labels.team}}"),
        )
        made = await client.create(CONFIG_MAP, config_map(data={"a": "1"}))
    assert made["metadata"]["labels"] == {"team": "admin"}
    assert made["data"] == {"a": "1", "seen": "admin"}


async def test_lists_with_keys_are_merged_by_key() -> None:
    expression = """Object{spec: Object.spec{template: Object.spec.template{spec:
        Object.spec.template.spec{containers: [Object.spec.template.spec.containers{
            name: 'web', imagePullPolicy: 'Always'}]}}}}"""
    pod = {"containers": [{"name": "web", "image": "nginx"}, {"name": "log", "image": "log:1"}]}
    deployment = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod},
        },
    }
    async with policed() as api:
        client = admin(api)
        await mutate(client, mutation(expression), resource="deployments")
        made = await client.create(DEPLOYMENT, deployment)
    containers = made["spec"]["template"]["spec"]["containers"]
    assert [(c["name"], c["image"]) for c in containers] == [("web", "nginx"), ("log", "log:1")]
    assert [c["imagePullPolicy"] for c in containers] == ["Always", "IfNotPresent"]


async def test_a_json_patch_is_applied_and_a_failed_test_leaves_the_object_alone() -> None:
    add = """[JSONPatch{op: 'add', path: '/metadata/labels', value: {'a/b': 'x'}},
              JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('c/d'),
                        value: 'y'}]"""
    test = """[JSONPatch{op: 'test', path: '/data/a', value: 'no'},
               JSONPatch{op: 'remove', path: '/data/a'}]"""
    async with policed() as api:
        client = admin(api)
        await mutate(client, mutation(add, "JSONPatch"), mutation(test, "JSONPatch"))
        made = await client.create(CONFIG_MAP, config_map(data={"a": "1"}))
    assert made["metadata"]["labels"] == {"a/b": "x", "c/d": "y"}
    assert made["data"] == {"a": "1"}


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (mutation("Object{nope: 1}"), ".nope: field not declared in schema"),
        (mutation("{'data': {}}"), "unsupported return type from ApplyConfiguration expression"),
        (
            mutation("Object{metadata: Object.spec{}}"),
            'unexpected type name "Object.spec", expected "Object.metadata"',
        ),
        (mutation("1", "JSONPatch"), "JSONPatchType.expression should evaluate to array"),
        (mutation("[JSONPatch{op: 'remove', path: '/nope'}]", "JSONPatch"), "JSONPath: "),
        (mutation("[{'op': 'remove'}]", "JSONPatch"), "should evaluate to array of JSONPatch"),
        (
            mutation("[JSONPatch{op: 'add', path: '/data', value: 'x'}]", "JSONPatch"),
            "denied request: ",
        ),
        (mutation("Object{data: {'a': object.nope}}"), "no such key: nope"),
    ],
)
async def test_a_mutation_that_cannot_be_is_a_refusal(made: Obj, told: str) -> None:
    async with policed() as api:
        client = admin(api)
        await mutate(client, made)
        error = await refusal(client, config_map(data={"a": "1"}))
    assert error.code < 500
    assert error.message.startswith("policy 'demo' with binding 'demo-binding' denied request: ")
    assert told in error.message


async def test_a_mutation_does_not_touch_what_is_atomic() -> None:
    expression = "Object{spec: Object.spec{nodeSelector: {'a': 'b'}}}"
    pod = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"containers": [{"name": "web", "image": "nginx"}]},
    }
    async with policed() as api:
        client = admin(api)
        await mutate(client, mutation(expression), resource="pods")
        with pytest.raises(ApiError) as caught:
            await client.create(POD, pod)
    assert "may not mutate atomic arrays, maps or structs: .spec.nodeSelector" in (
        caught.value.message
    )


async def test_a_policy_that_wants_it_sees_what_a_later_one_has_made() -> None:
    async with policed() as api:
        client = admin(api)
        first = mutation(
            "has(object.data.late) ? Object{data: {'first': 'again'}} : Object{data: {'x': '1'}}"
        )
        await mutate(client, first, reinvocationPolicy="IfNeeded")
        late = policy(
            mutations=[mutation("Object{data: {'late': 'yes'}}")], reinvocationPolicy="Never"
        )
        late["metadata"]["name"] = "zz"
        await client.create(MUTATING_ADMISSION_POLICY, late)
        bound = {"metadata": {"name": "zz"}, "spec": {"policyName": "zz"}}
        await client.create(MUTATING_ADMISSION_POLICY_BINDING, bound)
        made = await client.create(CONFIG_MAP, config_map(data={}))
    assert made["data"] == {"x": "1", "late": "yes", "first": "again"}


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("Object{data: objct}", "undeclared reference to 'objct'"),
        ("Object{data: foo(1)}", "undeclared reference to 'foo'"),
        ("Object{", "Syntax error"),
    ],
)
async def test_a_mutation_that_does_not_compile_is_not_stored(expression: str, told: str) -> None:
    async with policed() as api:
        with pytest.raises(Invalid) as caught:
            await mutate(admin(api), mutation(expression))
    assert told in caught.value.message
    assert "spec.mutations[0].applyConfiguration.expression" in caught.value.message


async def test_who_has_no_rights_sees_that_in_authorizer() -> None:
    async with policed() as api:
        client = admin(api)
        await enforce(
            client,
            policy("authorizer.group('').resource('secrets').check('get').allowed()"),
            binding(),
        )
        await client.create(CONFIG_MAP, config_map("mine"))
        somebody = User(name="eve", groups=("system:authenticated",))
        verdict = api.client(somebody)
        with pytest.raises(ApiError):
            await verdict.create(CONFIG_MAP, config_map())


def role(name: str, *rules: Obj) -> Obj:
    return {"metadata": {"name": name}, "rules": list(rules)}


def allowed(group: str, resource: str, *verbs: str) -> Obj:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


async def test_params_are_for_those_who_may_read_them() -> None:
    """Else a policy would tell its writer what is in other people's objects."""
    group = "admissionregistration.k8s.io"
    eve = User(name="eve", groups=("system:authenticated",))
    async with policed() as api:
        await admin(api).create(CLUSTER_ROLE, role("eve", allowed(group, "*", "*")))
        bound = {
            "metadata": {"name": "eve"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "eve"},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "eve"}],
        }
        await admin(api).create(CLUSTER_ROLE_BINDING, bound)
        client = api.client(eve)
        found = policy("params.data.x == '1'", paramKind=PARAM_KIND)
        with pytest.raises(Invalid, match='must have "get" permission on all objects'):
            await client.create(VALIDATING_ADMISSION_POLICY, found)
        await admin(api).create(VALIDATING_ADMISSION_POLICY, found)
        with pytest.raises(Invalid, match='does not have "get" permission on the object'):
            await client.create(VALIDATING_ADMISSION_POLICY_BINDING, binding(paramRef=PARAMS))
        rules = (allowed(group, "*", "*"), allowed("", "configmaps", "get"))
        stored = await admin(api).get(CLUSTER_ROLE, Key("", "eve"))
        await admin(api).update(CLUSTER_ROLE, stored | {"rules": list(rules)})
        await client.create(VALIDATING_ADMISSION_POLICY_BINDING, binding(paramRef=PARAMS))
