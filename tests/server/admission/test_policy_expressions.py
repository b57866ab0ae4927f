"""What is said of a policy's or webhook's expressions as it is written, and how they take turns."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edgek.api.errors import Invalid
from edgek.api.meta import Key, Obj, deep_copy
from edgek.client.client import Client
from edgek.kinds import (
    CONFIG_MAP,
    NAMESPACE,
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
    VALIDATING_WEBHOOK_CONFIGURATION,
)
from edgek.kinds.kind import Kind
from server.admission.policies.invocations import Invocations
from server.admission.policies.validating import ValidatingPolicies
from server.app import PluginTools
from server.registry.registry import How, WriteContext
from server.request.model import User
from tests.support.api import admin, open_api

POLICY: Obj = {
    "metadata": {"name": "demo"},
    "spec": {
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["configmaps"],
                }
            ]
        },
        "variables": [{"name": "size", "expression": "object.data.size()"}],
        "matchConditions": [{"name": "always", "expression": "true"}],
        "validations": [{"expression": "variables.size > 0", "messageExpression": "'empty'"}],
        "auditAnnotations": [{"key": "size", "valueExpression": "string(variables.size)"}],
    },
}
HOOKS: Obj = {
    **deep_copy(dict(VALIDATING_WEBHOOK_CONFIGURATION.example)),
    "metadata": {"name": "demo"},
}
HOOKS["webhooks"][0]["matchConditions"] = [{"name": "always", "expression": "true"}]
Change = Callable[[Obj], object]
BROKEN = "of another library()"


def _put(*path: str | int, text: str = BROKEN) -> Change:
    def put(obj: Obj) -> None:
        here: Any = obj
        for step in path[:-1]:
            here = here[step]
        here[path[-1]] = text

    return put


PLACES: list[tuple[Kind, Obj, tuple[str | int, ...]]] = [
    (VALIDATING_ADMISSION_POLICY, POLICY, ("spec", "variables", 0, "expression")),
    (VALIDATING_ADMISSION_POLICY, POLICY, ("spec", "matchConditions", 0, "expression")),
    (VALIDATING_ADMISSION_POLICY, POLICY, ("spec", "validations", 0, "expression")),
    (VALIDATING_ADMISSION_POLICY, POLICY, ("spec", "validations", 0, "messageExpression")),
    (VALIDATING_ADMISSION_POLICY, POLICY, ("spec", "auditAnnotations", 0, "valueExpression")),
    (
        VALIDATING_WEBHOOK_CONFIGURATION,
        HOOKS,
        ("webhooks", 0, "matchConditions", 0, "expression"),
    ),
]


@pytest.mark.parametrize(("kind", "example", "path"), PLACES)
async def test_an_expression_that_was_there_before_is_not_compiled_again(
    kind: Kind, example: Obj, path: tuple[str | int, ...]
) -> None:
    broken = deep_copy(example)
    _put(*path)(broken)
    async with open_api() as api:
        client = admin(api)
        with pytest.raises(Invalid, match="compilation failed"):
            await client.create(kind, deep_copy(broken))
        await client.create(kind, deep_copy(example))

        def spoil(stored: Obj) -> Obj:
            """As a server would have stored it that knew this function."""
            spoiled = deep_copy(stored)
            _put(*path)(spoiled)
            return spoiled

        context, key = WriteContext(user=User(name="test")), Key("", "demo")
        await api.env.registry.update(kind, key, spoil, context, how=How(validate=False))
        stored = await client.get(kind, key)
        for hook in stored.get("webhooks") or ():
            hook["timeoutSeconds"] = 3
        if "spec" in stored:
            stored["spec"]["failurePolicy"] = "Ignore"
        await client.update(kind, stored)
        stored = await client.get(kind, key)
        _put(*path, text="still " + BROKEN)(stored)
        with pytest.raises(Invalid, match="compilation failed"):
            await client.update(kind, stored)


async def test_expressions_are_compiled_again_where_what_they_name_has_changed() -> None:
    async with open_api() as api:
        client = admin(api)
        made = await client.create(VALIDATING_ADMISSION_POLICY, deep_copy(POLICY))
        made["spec"]["variables"] = [{"name": "other", "expression": "1"}]
        with pytest.raises(Invalid, match="undefined field 'size'"):
            await client.update(VALIDATING_ADMISSION_POLICY, made)


async def test_all_that_is_wrong_with_a_policy_is_told_at_once() -> None:
    wrong = deep_copy(POLICY)
    wrong["spec"]["failurePolicy"] = "Perhaps"
    wrong["spec"]["validations"] = [{"expression": "nobody"}, {"expression": " "}]
    async with open_api() as api:
        with pytest.raises(Invalid) as caught:
            await admin(api).create(VALIDATING_ADMISSION_POLICY, wrong)
    assert "spec.failurePolicy: Unsupported value" in caught.value.message
    assert "undeclared reference to 'nobody'" in caught.value.message
    assert "spec.validations[1].expression: Required value" in caught.value.message
    assert "spec.validations[1].expression: Invalid" not in caught.value.message


async def test_expressions_of_one_policy_are_bounded_together() -> None:
    long = " && ".join(["object.a == 1"] * 900)
    wrong = deep_copy(POLICY)
    wrong["spec"]["validations"] = [{"expression": long}] * 20
    async with open_api() as api:
        with pytest.raises(Invalid, match="size of all expressions exceeds limit: 262144"):
            await admin(api).create(VALIDATING_ADMISSION_POLICY, wrong)


def _plugins(tools: PluginTools) -> Any:
    invocations = Invocations(tools.reader, tools.kinds.all, tools.ask)
    return (ValidatingPolicies(tools.reader, invocations),)


@asynccontextmanager
async def _policed(policy: Obj) -> AsyncIterator[Client]:
    async with open_api(plugins=_plugins) as api:
        client = admin(api)
        await client.create(NAMESPACE, {"metadata": {"name": "default"}})
        await client.create(VALIDATING_ADMISSION_POLICY, policy)
        spec = {"policyName": "demo", "validationActions": ["Deny"]}
        await client.create(
            VALIDATING_ADMISSION_POLICY_BINDING, {"metadata": {"name": "demo"}, "spec": spec}
        )
        yield client


async def test_others_have_their_turn_between_two_expressions() -> None:
    dear = "object.data.all(a, object.data.all(b, object.data[a] != b))"
    policy = deep_copy(POLICY)
    policy["spec"]["validations"] = [{"expression": f"{dear} && {i} >= 0"} for i in range(20)]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with _policed(policy) as client:
        counting = asyncio.ensure_future(count())
        await asyncio.sleep(0)
        before = turns
        metadata = {"name": "a", "namespace": "default"}
        data = {f"k{i}": "x" for i in range(40)}
        await client.create(CONFIG_MAP, {"metadata": metadata, "data": data})
        counting.cancel()
    assert turns - before > 5
