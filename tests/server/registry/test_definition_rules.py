"""Expressions in definitions: what is refused with a definition, and what with an object."""

import asyncio

import pytest

from edgek.api import errors
from edgek.api.meta import Obj, deep_copy
from edgek.kinds import CUSTOM_RESOURCE_DEFINITION as CRD
from server.registry.registry import How, WriteContext
from server.request.model import User
from tests.support.api import admin, open_api
from tests.support.crontabs import (
    NAME,
    TEXT,
    api_with,
    at,
    change,
    crontab,
    definition,
    served,
    version,
)


async def test_rules_are_held_against_objects() -> None:
    spec = version("v1", storage=True, replicas={"type": "integer"})
    spec["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = [
        {"rule": "self.replicas < 5", "message": "too many"},
        {"rule": "self.replicas >= oldSelf.replicas", "fieldPath": ".replicas",
         "messageExpression": "'was %d'.format([oldSelf.replicas])",
         "reason": "FieldValueForbidden"},
    ]  # fmt: skip
    async with api_with(definition(spec)) as (api, client):
        kind = served(api)
        with pytest.raises(errors.Invalid, match="spec: Invalid value: too many"):
            await client.create(kind, crontab(replicas=5))
        made = await client.create(kind, crontab(replicas=3))
        with pytest.raises(errors.Invalid, match=r"spec\.replicas: Forbidden: was 3"):
            await client.update(kind, at(crontab(replicas=2), made))
        await client.update(kind, at(crontab(replicas=4), made))


async def test_a_rule_that_is_no_expression_is_refused_with_its_definition() -> None:
    with pytest.raises(errors.Invalid, match="undefined field 'nope'"):
        await _define({"rule": "self.nope > 1"}, replicas={"type": "integer"})


def _with_rules(crd: Obj, *rules: Obj, items: bool = False) -> Obj:
    """Rules of spec, or of the items of its first field."""
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    place = next(iter(spec["properties"].values()))["items"] if items else spec
    place["x-kubernetes-validations"] = list(rules)
    return crd


async def _define(*rules: Obj, items: bool = False, **fields: Obj) -> None:
    crd = definition(version("v1", storage=True, **fields))
    async with open_api() as api:
        await admin(api).create(CRD, _with_rules(crd, *rules, items=items))


TEXTS: Obj = {"type": "array", "items": TEXT}
OBJECTS: Obj = {"type": "array", "items": {"type": "object", "properties": {"a": TEXT}}}
HELP = (
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, "
    "maps, and strings are declared)"
)
SPEC = "spec.validation.openAPIV3Schema.properties[spec]"


@pytest.mark.parametrize(
    ("fields", "rule", "items", "told"),
    [
        (
            {"names": TEXTS},
            "self.names.all(n, self.names.all(m, n == m))",
            False,
            [
                f"{SPEC}.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds "
                f"budget by factor of more than 100x {HELP}",
                f"{SPEC}.x-kubernetes-validations[0].rule: Forbidden: contributed to estimated "
                "rule cost total exceeding cost limit for entire OpenAPIv3 schema",
                "spec.validation.openAPIV3Schema: Forbidden: x-kubernetes-validations estimated "
                "rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more "
                f"than 100x {HELP}",
            ],
        ),
        # Each item costs some 314574, and there can be ten of a hundred.
        (
            {"names": OBJECTS | {"maxItems": 100}},
            "self.a.contains('test')",
            True,
            [
                f"{SPEC}.properties[names].items.x-kubernetes-validations[0].rule: Forbidden: "
                f"estimated rule cost exceeds budget by factor of 3.1x {HELP}"
            ],
        ),
        (
            {"names": OBJECTS | {"maxItems": 34}},
            "self.a.contains('test')",
            True,
            [f"exceeds budget by factor of 1.069555x {HELP}"],
        ),
        # Of a list without a bound as many as fit into a request: its items may be {}.
        ({"names": OBJECTS}, "self.a == 'test'", True, []),
        (
            {"names": OBJECTS},
            "self.a == 'a' || self.a == 'b' || self.a == 'c' || self.a == 'd'",
            True,
            [f"exceeds budget by factor of 1.258291x {HELP}"],
        ),
        ({"names": TEXTS}, "self.names.all(n, n != 'x')", False, []),
        ({"names": TEXTS | {"maxItems": 9}}, "self.names.all(n, n.contains('x'))", False, []),
    ],
)
async def test_a_rule_that_could_cost_too_much_is_refused_in_upstreams_words(
    fields: dict[str, Obj], rule: str, items: bool, told: list[str]
) -> None:
    if not told:
        await _define({"rule": rule}, items=items, **fields)
        return
    with pytest.raises(errors.Invalid) as caught:
        await _define({"rule": rule}, items=items, **fields)
    for sentence in told:
        assert sentence in caught.value.message


async def test_all_that_is_wrong_with_a_definition_is_told_at_once() -> None:
    crd = _with_rules(definition(version("v1", storage=True)), {"rule": "self.nope"})
    crd["spec"]["names"]["plural"] = "Wrong_"
    async with open_api() as api:
        with pytest.raises(errors.Invalid) as caught:
            await admin(api).create(CRD, crd)
    assert "spec.names.plural" in caught.value.message
    assert "undefined field 'nope'" in caught.value.message


async def test_expressions_of_one_definition_are_bounded_together() -> None:
    long = " && ".join(["self.replicas < 5"] * 700)
    with pytest.raises(errors.Invalid, match="size of all expressions exceeds limit: 262144"):
        await _define(*[{"rule": long}] * 22, replicas={"type": "integer"})


async def test_what_a_definition_says_already_is_not_held_against_its_update() -> None:
    dear = {"rule": "self.names.all(n, self.names.all(m, n == m))"}
    names = TEXTS | {"maxItems": 10, "items": TEXT | {"maxLength": 10}}
    crd = _with_rules(definition(version("v1", storage=True, names=names)), dear)
    async with open_api() as api:
        client = admin(api)
        await client.create(CRD, crd)
        # As a server that counted otherwise would have stored it.
        spec = _spec_of(crd)["properties"]["names"]
        spec.pop("maxItems"), spec["items"].pop("maxLength")

        def widen(stored: Obj) -> Obj:
            return {**deep_copy(stored), "spec": crd["spec"]}

        with pytest.raises(errors.Invalid, match="more than 100x"):
            await client.update(CRD, widen(await client.get(CRD, NAME)))
        unchecked = How(validate=False)
        context = WriteContext(user=User(name="test"))
        await api.env.registry.update(CRD, NAME, widen, context, how=unchecked)
        stored = await client.get(CRD, NAME)
        stored["metadata"]["labels"] = {"a": "b"}
        stored["spec"]["versions"].append(version("v2"))
        await client.update(CRD, stored)


def _spec_of(crd: Obj) -> Obj:
    found: Obj = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


ANY_PORT: Obj = {"x-kubernetes-int-or-string": True}
ROOMY = TEXTS | {"maxItems": 400, "items": TEXT | {"maxLength": 5}}


@pytest.mark.parametrize(
    ("fields", "rule", "spec", "told"),
    [
        ({"a": TEXT}, {"rule": "self.a == 'x'"}, {"a": "y"}, "failed rule: self.a == 'x'"),
        (
            {"a": TEXT},
            {"rule": "self.a == 'x'"},
            {},
            "spec: Invalid value: \"object\": no such key: a evaluating rule: self.a == 'x'",
        ),
        (
            {"a": ANY_PORT},
            {"rule": "self.a + 1 == 2", "message": "one"},
            {"a": "y"},
            "call arguments did not match a supported operator, function or macro signature for "
            "rule: one",
        ),
        (
            {"a": ROOMY},
            {"rule": "self.a.all(a, self.a.all(b, a + b != 'x' && b + a != 'x'))"},
            {"a": ["y"] * 400},
            "': no further validation rules will be run due to call cost exceeds limit for rule: "
            "self.a.all",
        ),
        (
            {"a": TEXT},
            {"rule": "self.a == 'x'", "reason": "FieldValueDuplicate", "message": "twice"},
            {"a": "y"},
            "spec: Duplicate value",
        ),
    ],
)
async def test_what_is_wrong_with_an_object_is_told_in_upstreams_words(
    fields: dict[str, Obj], rule: Obj, spec: Obj, told: str
) -> None:
    crd = _with_rules(definition(version("v1", storage=True, **fields)), rule)
    async with api_with(crd) as (api, client):
        with pytest.raises(errors.Invalid) as caught:
            await client.create(served(api), crontab(**spec))
    assert told in caught.value.message


async def test_a_simple_value_is_shown_and_a_large_one_is_not() -> None:
    said = TEXT | {"x-kubernetes-validations": [{"rule": "self == 'x'", "message": "no"}]}
    listed = {**TEXTS, "x-kubernetes-validations": [{"rule": "self.size() == 1", "message": "no"}]}
    async with api_with(definition(version("v1", storage=True, a=said, b=listed))) as (api, client):
        with pytest.raises(errors.Invalid) as caught:
            await client.create(served(api), crontab(a="y", b=["x", "y"]))
    assert 'spec.a: Invalid value: "y": no' in caught.value.message
    assert "spec.b: Invalid value: no" in caught.value.message


LISTS: dict[str, Obj] = {
    "free": {"type": "array", "items": TEXT},
    "atomic": {"type": "array", "items": TEXT, "x-kubernetes-list-type": "atomic"},
    "ports": {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": TEXT, "port": {"type": "integer"}},
        },
    },
    "note": TEXT,
}


def _stricter(*, rules: bool) -> Obj:
    """Texts are short and ports high, by words of the schema or by expressions."""
    fields = deep_copy(LISTS)
    texts = [fields["free"]["items"], fields["atomic"]["items"], fields["note"]]
    port = fields["ports"]["items"]["properties"]["port"]
    for text in texts:
        if rules:
            text["maxLength"] = 100
            text["x-kubernetes-validations"] = [{"rule": "self.size() < 4"}]
        else:
            text["maxLength"] = 3
    port |= {"x-kubernetes-validations": [{"rule": "self > 10"}]} if rules else {"minimum": 11}
    return version("v1", storage=True, **fields)


@pytest.mark.parametrize("rules", [False, True])
@pytest.mark.parametrize(
    ("old", "new", "accepted"),
    [
        ({"note": "long"}, {"note": "long", "free": ["a"]}, True),
        ({"note": "long"}, {"note": "longer"}, False),
        ({"free": ["long", "b"]}, {"free": ["long", "c"]}, True),  # by index
        ({"free": ["long", "b"]}, {"free": ["b", "long"]}, False),
        ({"atomic": ["long", "b"]}, {"atomic": ["long", "c"]}, False),
        ({"atomic": ["long", "b"]}, {"atomic": ["long", "b"], "note": "x"}, True),
        (
            {"ports": [{"name": "a", "port": 1}]},
            {"ports": [{"name": "b", "port": 80}, {"name": "a", "port": 1}]},
            True,
        ),
        (
            {"ports": [{"name": "a", "port": 1}]},
            {"ports": [{"name": "a", "port": 2}]},
            False,
        ),
        (
            {"ports": [{"name": "a", "port": 1}]},
            {"ports": [{"name": "b", "port": 1}]},
            False,
        ),
    ],
)
async def test_an_update_answers_for_what_it_changes(
    rules: bool, old: Obj, new: Obj, accepted: bool
) -> None:
    async with api_with(definition(version("v1", storage=True, **LISTS))) as (api, client):
        made = await client.create(served(api), crontab(**old))
        await change(client, versions=[_stricter(rules=rules)])
        update = client.update(served(api), at(crontab(**new), made))
        if accepted:
            await update
            return
        with pytest.raises(errors.Invalid):
            await update


async def test_a_list_that_held_things_twice_may_go_on_doing_so() -> None:
    before = {"tags": TEXTS, "more": TEXTS}
    sets = {name: TEXTS | {"x-kubernetes-list-type": "set"} for name in before}
    async with api_with(definition(version("v1", storage=True, **before))) as (api, client):
        made = await client.create(served(api), crontab(tags=["a", "a"]))
        clean = await client.create(served(api), crontab(name="clean", tags=["a"]))
        await change(client, versions=[version("v1", storage=True, **sets)])
        kind = served(api)
        await client.update(kind, at(crontab(tags=["a", "a"], more=["b", "b"]), made))
        with pytest.raises(errors.Invalid, match="Duplicate value"):
            await client.update(kind, at(crontab(name="clean", tags=["a", "a"]), clean))


async def test_rules_about_a_change_see_what_does_not_change() -> None:
    rule = {"rule": "oldSelf.all(o, o in self)", "message": "nothing may go"}
    strict = TEXTS | {"x-kubernetes-list-type": "set", "maxItems": 5}
    strict["x-kubernetes-validations"] = [rule]
    spec = version("v1", storage=True, tags=strict)
    async with api_with(definition(spec)) as (api, client):
        made = await client.create(served(api), crontab(tags=["a"]))
        with pytest.raises(errors.Invalid, match="nothing may go"):
            await client.update(served(api), at(crontab(tags=["b"]), made))


async def test_the_loop_turns_while_rules_are_evaluated() -> None:
    """Twenty rules, each dear: nobody waits for all of them."""
    dear = "self.numbers.all(a, self.numbers.all(b, a + b >= 0))"
    numbers = {"type": "array", "maxItems": 100, "items": {"type": "integer"}}
    rules = [{"rule": f"{dear} && {i} >= 0"} for i in range(20)]
    crd = _with_rules(definition(version("v1", storage=True, numbers=numbers)), *rules)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with api_with(crd) as (api, client):
        counting = asyncio.ensure_future(count())
        await asyncio.sleep(0)
        before = turns
        await client.create(served(api), crontab(numbers=list(range(40))))
        counting.cancel()
    assert turns - before > 5
