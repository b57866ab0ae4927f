"""A checked body is what typed decoding leaves of it; what is wrong is told in upstream's words."""

import copy
from typing import Any

import pytest

from edgek.api.errors import BadRequest
from edgek.kinds import DEPLOYMENT, SECRET
from edgek.schema import schema_of
from edgek.schema.check import Checked, Checker, raise_or_warn, strict_problems
from edgek.schema.schema import Schema

DEPLOYMENT_OBJ: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "a", "labels": {"a": "b"}, "creationTimestamp": "2026-01-02T03:04:05Z"},
    "spec": {
        "replicas": 3,
        "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
        "template": {"spec": {"containers": [
            {"name": "c", "resources": {"limits": {"cpu": "100m"}}},
        ]}},
    },
}  # fmt: skip


def check(obj: Any, kind: Any = DEPLOYMENT) -> Checked:
    return Checker().check(obj, schema_of(kind), version=kind.version, kind=kind.kind)


def with_value(path: tuple[Any, ...], value: Any) -> Any:
    obj = copy.deepcopy(DEPLOYMENT_OBJ)
    at: Any = obj
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return obj


def test_a_clean_body_is_handed_back_as_it_is() -> None:
    assert check(DEPLOYMENT_OBJ).obj is DEPLOYMENT_OBJ


def test_unknown_fields_are_dropped_and_told_with_their_paths() -> None:
    body = with_value(("spec", "foo"), 1)
    body["spec"]["template"]["spec"]["containers"][0]["bar"] = {"baz": 1}
    before = copy.deepcopy(body)
    checked = check(body)
    assert checked.unknown == ["spec.template.spec.containers[0].bar", "spec.foo"]
    assert checked.obj == DEPLOYMENT_OBJ
    assert body == before, "the caller's body was changed"


def test_nulls_are_dropped_as_go_decodes_them() -> None:
    assert check(with_value(("status",), None)).obj == DEPLOYMENT_OBJ
    checked = check(with_value(("metadata", "labels"), {"a": None}))
    assert checked.obj["metadata"]["labels"] == {"a": ""}
    assert checked.unknown == []


def test_quantities_times_and_numbers_take_their_canonical_form() -> None:
    limits = ("spec", "template", "spec", "containers", 0, "resources", "limits")
    body = check(with_value(limits, {"cpu": 1, "memory": "1024Mi"})).obj
    held = body["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert held == {"cpu": "1", "memory": "1Gi"}
    moved = check(with_value(("metadata", "creationTimestamp"), "2026-01-02T04:04:05+01:00")).obj
    assert moved == DEPLOYMENT_OBJ


@pytest.mark.parametrize(("path", "value", "why"), [
    (("spec", "replicas"), "x",
     "json: cannot unmarshal string into Go struct field "
     "DeploymentSpec.spec.replicas of type int32"),
    (("spec", "replicas"), 1.5, "json: cannot unmarshal number 1.5 into Go struct field "
     "DeploymentSpec.spec.replicas of type int32"),
    (("spec", "replicas"), 2**31, "json: cannot unmarshal number 2147483648 into Go struct field "
     "DeploymentSpec.spec.replicas of type int32"),
    (("spec", "replicas"), True,
     "json: cannot unmarshal bool into Go struct field DeploymentSpec.spec.replicas of type int32"),
    (("metadata", "labels"), {"a": 1},
     "json: cannot unmarshal number into Go struct field "
     "ObjectMeta.metadata.labels of type string"),
    (("spec", "template", "spec", "containers"), {}, "json: cannot unmarshal object into Go struct "
     "field PodSpec.spec.template.spec.containers of type []v1.Container"),
    (("spec", "template", "spec", "containers", 0, "name"), [], "json: cannot unmarshal array into "
     "Go struct field Container.spec.template.spec.containers.name of type string"),
    (("spec", "strategy", "rollingUpdate", "maxSurge"), True,
     "json: cannot unmarshal bool into Go value of type int32"),
    (("spec", "template", "spec", "containers", 0, "resources", "limits"), {"cpu": "lots"},
     "quantities must match the regular expression "
     "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    (("metadata", "creationTimestamp"), "yesterday", 'parsing time "yesterday" as '
     '"2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"'),
])  # fmt: skip
def test_a_value_of_the_wrong_type_is_refused_in_upstreams_words(
    path: tuple[Any, ...], value: Any, why: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        check(with_value(path, value))
    assert str(caught.value) == (
        f'Deployment in version "v1" cannot be handled as a Deployment: {why}'
    )


def test_a_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"into Go value of type v1\.Deployment"):
        check([])


@pytest.mark.parametrize(
    ("data", "ok"), [("YWJj", True), ("YQ==", True), ("YWJ", False), ("é", False)]
)
def test_secret_data_must_be_base64(data: str, ok: bool) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "data": {"k": data}}
    if ok:
        assert check(body, SECRET).obj is body
    else:
        with pytest.raises(BadRequest, match="illegal base64 data at input byte"):
            check(body, SECRET)


def test_field_validation_ignores_warns_or_refuses() -> None:
    problems = strict_problems(["spec.foo"], ["spec.bar"])
    facts = {"version": "v1", "kind": "Deployment"}
    assert raise_or_warn(problems, "Ignore", **facts) == []
    assert raise_or_warn(problems, "Warn", **facts) == [
        'unknown field "spec.foo"',
        'duplicate field "spec.bar"',
    ]
    with pytest.raises(BadRequest) as caught:
        raise_or_warn(problems, "Strict", **facts)
    assert str(caught.value) == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
        'unknown field "spec.foo", duplicate field "spec.bar"'
    )


def test_a_structural_schema_of_a_custom_resource_works_the_same() -> None:
    size = Schema(type="int64")
    free = Schema(type="object", preserve_unknown=True, fields={"size": size})
    schema = Schema(type="object", name="Widget", fields={"spec": free})
    body = {"spec": {"size": 1, "free": {"as": ["air"]}}}
    assert Checker().check(body, schema, version="v1", kind="Widget").obj is body
    with pytest.raises(BadRequest, match="Widget"):
        Checker().check({"spec": {"size": "L"}}, schema, version="v1", kind="Widget")
