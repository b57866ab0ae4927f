"""Custom kinds in OpenAPI: what the definition says, as kubectl of all ages reads it."""

import gzip
from typing import Any

import orjson
import pytest

from edgek.api.meta import Obj, deep_copy
from edgek.kinds import CONFIG_MAP
from edgek.kinds import CUSTOM_RESOURCE_DEFINITION as CRD
from edgek.kinds.crd_status import Taken, plan_status
from edgek.kinds.custom import kinds_of
from edgek.kinds.kind import Kind
from server.endpoints.openapi import build, fingerprint

NAME = "com.example.stable.v1.CronTab"
SCHEMA: Obj = {
    "type": "object",
    "description": "A task.",
    "properties": {
        "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
        "spec": {
            "type": "object",
            "required": ["cronSpec"],
            "properties": {
                "cronSpec": {"type": "string", "pattern": "^x", "default": "x"},
                "size": {"x-kubernetes-int-or-string": True},
                "maybe": {"type": "object", "nullable": True,
                          "properties": {"a": {"type": "string"}}},
                "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "list": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["a"],
                    "items": {"type": "object", "required": ["a"],
                              "properties": {"a": {"type": "string"}},
                              "oneOf": [{"required": ["a"]}]},
                },
            },
            "x-kubernetes-validations": [{"rule": "true"}],
        },
    },
}  # fmt: skip


def custom(**labels: Any) -> Kind:
    crd = deep_copy(dict(CRD.example))
    crd["metadata"] |= {"uid": "u", "generation": 1, **labels}
    crd["spec"]["versions"][0] |= {"schema": {"openAPIV3Schema": SCHEMA}, "subresources": {
        "status": {}, "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"},
    }}  # fmt: skip
    CRD.default(crd)
    crd["status"] = plan_status(crd, Taken(), now="2026-01-01T00:00:00Z")
    [kind] = kinds_of(crd)
    return kind


def document(path: str) -> Any:
    return orjson.loads(gzip.decompress(build((CONFIG_MAP, custom()), path)))


def test_version_3_says_all_that_the_definition_says() -> None:
    found = document("v3/apis/stable.example.com/v1")
    schema = found["components"]["schemas"][NAME]
    assert schema["properties"]["spec"] == SCHEMA["properties"]["spec"]
    assert schema["properties"]["metadata"]["allOf"][0]["$ref"].endswith(".ObjectMeta")
    assert schema["properties"]["kind"]["type"] == "string"
    assert schema["x-kubernetes-group-version-kind"] == [
        {"group": "stable.example.com", "kind": "CronTab", "version": "v1"}
    ]
    path = found["paths"]["/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}"]
    assert path["get"]["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": f"#/components/schemas/{NAME}"
    }
    assert "application/strategic-merge-patch+json" not in path["patch"]["requestBody"]["content"]
    listed = found["components"]["schemas"][NAME + "List"]["properties"]["items"]
    assert listed["items"] == {"$ref": f"#/components/schemas/{NAME}"}


def test_version_2_leaves_out_what_its_readers_take_wrongly() -> None:
    spec = document("v2")["definitions"][NAME]["properties"]["spec"]
    assert "x-kubernetes-validations" not in spec
    fields = spec["properties"]
    assert fields["cronSpec"] == {"type": "string", "pattern": "^x"}
    assert fields["size"] == {"x-kubernetes-int-or-string": True}
    assert fields["maybe"] == {}
    assert fields["list"]["x-kubernetes-list-map-keys"] == ["a"]
    assert "oneOf" not in fields["list"]["items"]


def test_old_kubectls_get_it_in_protobuf() -> None:
    from server.endpoints.openapi import V2_PROTOBUF

    assert b"crontabs" in gzip.decompress(build((CONFIG_MAP, custom()), V2_PROTOBUF))


@pytest.mark.parametrize("change", [{"generation": 2}, {"uid": "other"}])
def test_a_changed_definition_changes_the_hash(change: Obj) -> None:
    assert fingerprint((custom(),)) != fingerprint((custom(**change),))
    assert fingerprint((custom(),)) == fingerprint((custom(),))
