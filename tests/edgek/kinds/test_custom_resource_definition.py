"""CustomResourceDefinitions: what is refused, with upstream's words; names and their conflicts."""

from typing import Any

import pytest

from edgek.api.errors import BadRequest
from edgek.api.meta import Obj, deep_copy
from edgek.api.validation import FieldErrors
from edgek.kinds import CUSTOM_RESOURCE_DEFINITION as CRD
from edgek.kinds.crd_status import CLEANUP, Taken, begin_deletion, plan_status
from edgek.kinds.custom import kinds_of

SCHEMA = "spec.validation.openAPIV3Schema"
NOW = "2026-01-01T00:00:00Z"


def definition(**spec: Any) -> Obj:
    crd = deep_copy(dict(CRD.example))
    crd["spec"] |= spec
    return crd


def with_schema(**fields: Any) -> Obj:
    """One whose spec has these properties."""
    crd = definition()
    root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    root["properties"]["spec"]["properties"] |= fields
    return crd


def with_version(**more: Any) -> Obj:
    crd = definition()
    crd["spec"]["versions"][0] |= more
    return crd


def problems(crd: Obj, old: Obj | None = None) -> list[str]:
    CRD.default(crd)
    CRD.prepare(crd, old)
    errors = FieldErrors()
    CRD.validate(crd, errors)
    if old is not None:
        CRD.validate_update(crd, old, errors)
    return [str(e) for e in errors]


def versions(*names: str, storage: str) -> list[Obj]:
    first = CRD.example["spec"]["versions"][0]
    return [{**deep_copy(first), "name": n, "storage": n == storage} for n in names]


PROPS = f"{SCHEMA}.properties[spec].properties"


@pytest.mark.parametrize(
    ("crd", "told"),
    [
        (definition(group="nodots"), 'spec.group: Invalid value: "nodots": should be a domain '
         "with at least one dot"),
        (definition(scope="World"), 'spec.scope: Unsupported value: "World": supported values: '
         '"Cluster", "Namespaced"'),
        (definition(versions=versions("v1", "v2", storage="v3")), "must have exactly one version "
         "marked as storage version"),
        (definition(versions=versions("v1", "v1", storage="v1")),
         "must contain unique version names"),
        (definition(names={"plural": "Things", "kind": "T"}), 'spec.names.plural: Invalid value: '
         '"Things": a DNS-1035 label must consist'),
        (definition(names={"plural": "things", "kind": "T", "listKind": "T"}),
         'spec.names.listKind: Invalid value: "T": kind and listKind may not be the same'),
        (definition(preserveUnknownFields=True), "spec.preserveUnknownFields: Invalid value: true: "
         "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
         "spec.versions[*].schema instead"),
        (definition(conversion={"strategy": "Webhook"}), "spec.conversion.webhookClientConfig: "
         "Required value: required when strategy is set to Webhook"),
        (definition(conversion={"strategy": "None",
                                "webhook": {"conversionReviewVersions": ["v1"]}}),
         "spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is "
         "not set to Webhook"),
        (definition(group="example.k8s.io"), "metadata.annotations[api-approved.kubernetes.io]: "
         "Required value: protected groups must have approval annotation"),
        (with_version(schema=None), "spec.versions[0].schema.openAPIV3Schema: Required value: "
         "schemas are required"),
        (with_version(deprecationWarning="x"), 'spec.versions[0].deprecationWarning: Invalid '
         'value: "x": can only be set for deprecated versions'),
        (with_version(subresources={"scale": {"specReplicasPath": ".status.x",
                                              "statusReplicasPath": "x"}}),
         'spec.subresources.scale.specReplicasPath: Invalid value: ".status.x": should be a json '
         "path under .spec"),
        (with_version(additionalPrinterColumns=[{"name": "a", "type": "text", "jsonPath": "x"}]),
         'spec.additionalPrinterColumns[0].type: Invalid value: "text": must be one of '
         "boolean,date,integer,number,string"),
        (with_version(selectableFields=[{"jsonPath": ".spec"}]), "must point to a field of type "
         "string, boolean or integer"),
        (with_version(selectableFields=[{"jsonPath": ".spec.nope"}]), "is an invalid path"),
        (with_schema(x={}), f"{PROPS}[x].type: Required value: must not be empty for specified "
         "object fields"),
        (with_schema(x={"type": "text"}), f'{PROPS}[x].type: Unsupported value: "text": supported '
         'values: "array", "boolean", "integer", "number", "object", "string"'),
        (with_schema(x={"type": "array"}), f"{PROPS}[x].items: Required value: must be specified"),
        (with_schema(x={"type": "object", "properties": {"a": {"type": "string"}},
                        "additionalProperties": {"type": "string"}}),
         f"{PROPS}[x].additionalProperties: Forbidden: additionalProperties and properties are "
         "mutual exclusive"),
        (with_schema(x={"type": "string", "uniqueItems": True}), f"{PROPS}[x].uniqueItems: "
         "Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes "
         "quadratic"),
        (with_schema(x={"type": "object", "$ref": "y"}), f"{PROPS}[x].$ref: Forbidden: $ref is not "
         "supported"),
        (with_schema(x={"type": "string", "pattern": "("}), f'{PROPS}[x].pattern: Invalid value: '
         '"(": must be a valid regular expression, but isn\'t: error parsing regexp'),
        (with_schema(x={"type": "integer", "default": "x"}), f'{PROPS}[x].default: Invalid value: '
         '"string":'),
        (with_schema(x={"type": "object", "default": {"y": 1}}), f'{PROPS}[x].default: Invalid '
         'value: {"y":1}: must not have unknown fields'),
        (with_schema(x={"type": "object", "anyOf": [{"properties": {"y": {"minimum": 1}}}]}),
         f"{PROPS}[x].properties[y]: Required value: because it is defined in "
         f"{PROPS}[x].anyOf[0].properties[y]"),
        (with_schema(x={"type": "integer", "allOf": [{"type": "integer"}]}), f"{PROPS}[x].allOf[0]"
         ".type: Forbidden: must be empty to be structural"),
        (with_schema(x={"type": "array", "items": {"type": "string"},
                        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}),
         f'{PROPS}[x].items.type: Invalid value: "string": must be object if parent array\'s '
         "x-kubernetes-list-type is map"),
        (with_schema(x={"type": "array", "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["a"],
                        "items": {"type": "object", "properties": {"a": {"type": "string"}}}}),
         f"{PROPS}[x].items.properties[a].default: Required value: this property is in "
         "x-kubernetes-list-map-keys, so it must have a default or be a required property"),
        (with_schema(x={"type": "object", "x-kubernetes-embedded-resource": True}),
         f"{PROPS}[x].properties: Required value: must not be empty if "
         "x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"),
        (with_schema(x={"type": "string", "x-kubernetes-validations": [{"rule": " "}]}),
         f"{PROPS}[x].x-kubernetes-validations[0].rule: Required value: rule is not specified"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_upstreams_words(crd: Obj, told: str) -> None:
    found = problems(crd)
    assert any(told in p for p in found), found


@pytest.mark.parametrize(
    "schema",
    [
        {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"x-kubernetes-int-or-string": True,
         "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "a"}]},
        {"x-kubernetes-preserve-unknown-fields": True},
        {"type": "object", "properties": {"y": {"type": "integer"}},
         "oneOf": [{"properties": {"y": {"minimum": 1}}}, {"required": ["y"]}]},
        {"type": "object", "x-kubernetes-embedded-resource": True,
         "x-kubernetes-preserve-unknown-fields": True},
        {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        {"type": "object", "default": {"y": 1}, "properties": {"y": {"type": "integer"}}},
    ],
)  # fmt: skip
def test_structural_schemas_are_accepted(schema: Obj) -> None:
    assert problems(with_schema(x=schema)) == []


def test_a_schema_that_says_something_else_than_a_schema_is_no_request() -> None:
    for wrong in (5, "x", ["x"]):
        with pytest.raises(BadRequest, match="json: cannot unmarshal"):
            CRD.default(with_schema(x={"type": "array", "items": wrong}))
    nested = {"type": "array", "items": {"type": "object", "properties": "x"}}
    with pytest.raises(BadRequest, match="json: cannot unmarshal"):
        CRD.default(with_schema(x=nested))


def test_names_are_completed() -> None:
    crd = definition()
    CRD.default(crd)
    assert crd["spec"]["names"]["singular"] == "crontab"
    assert crd["spec"]["names"]["listKind"] == "CronTabList"
    assert crd["spec"]["conversion"] == {"strategy": "None"}


def established(crd: Obj, taken: Taken | None = None) -> Obj:
    CRD.default(crd)
    CRD.prepare(crd, None)
    crd["status"] = plan_status(crd, taken or Taken(), now=NOW)
    return crd


def conditions(crd: Obj) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in crd["status"]["conditions"]}


def test_a_definition_with_free_names_is_established() -> None:
    crd = established(definition())
    assert conditions(crd) == {
        "NamesAccepted": ("True", "NoConflicts"),
        "Established": ("True", "InitialNamesAccepted"),
    }
    assert crd["status"]["storedVersions"] == ["v1"]
    assert plan_status(crd, Taken(), now="later") == crd["status"]
    [kind] = kinds_of(crd)
    assert (kind.kind, kind.singular, kind.short_names) == ("CronTab", "crontab", ("ct",))


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"plural": "others", "shortNames": ["ct"]}, "ShortNamesConflict"),
        ({"plural": "crontab"}, "SingularConflict"),
        ({"kind": "CronTab"}, "KindConflict"),
        ({"kind": "CronTabList"}, "ListKindConflict"),
    ],
)
def test_a_name_in_use_keeps_a_definition_from_being_served(other: Obj, reason: str) -> None:
    crd = established(definition(), Taken.by([other]))
    assert conditions(crd)["NamesAccepted"] == ("False", reason)
    assert conditions(crd)["Established"] == ("False", "NotAccepted")
    assert kinds_of(crd) == ()


def test_what_is_established_stays_so_under_its_old_names() -> None:
    crd = established(definition())
    crd["spec"]["names"]["shortNames"] = ["taken"]
    crd["status"] = plan_status(crd, Taken(resources={"taken"}), now=NOW)
    assert conditions(crd)["Established"][0] == "True"
    assert conditions(crd)["NamesAccepted"] == ("False", "ShortNamesConflict")
    assert kinds_of(crd)[0].short_names == ("ct",)


def test_what_was_stored_must_stay_a_version() -> None:
    old = established(definition(versions=versions("v1", "v2", storage="v1")))
    moved = deep_copy(old)
    moved["spec"]["versions"] = versions("v1", "v2", storage="v2")
    assert problems(moved, old) == []
    assert moved["status"]["storedVersions"] == ["v1", "v2"]
    gone = deep_copy(moved)
    gone["spec"]["versions"] = versions("v2", storage="v2")
    assert any("v1 was previously a storage version" in p for p in problems(gone, moved))


def test_an_established_definition_keeps_scope_and_kind() -> None:
    old = established(definition())
    new = deep_copy(old)
    new["spec"]["scope"] = "Cluster"
    assert 'spec.scope: Invalid value: "Cluster": field is immutable' in problems(new, old)


def test_a_deletion_waits_for_the_objects() -> None:
    crd = established(definition())
    before = deep_copy(crd)
    marked = {**crd, "metadata": dict(crd["metadata"])}
    begin_deletion(marked, NOW)
    assert marked["metadata"]["finalizers"] == [CLEANUP]
    assert conditions(marked)["Terminating"] == ("True", "InstanceDeletionPending")
    assert crd == before


def test_an_approved_group_of_the_community_says_so() -> None:
    crd = definition(group="example.k8s.io")
    crd["metadata"] = {
        "name": "crontabs.example.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "https://example.com/pull/1"},
    }
    assert problems(crd) == []
    kind = "KubernetesAPIApprovalPolicyConformant"
    assert conditions(established(crd))[kind] == ("True", "ApprovedAnnotation")
