"""Metadata is checked alike for every kind."""

from typing import Any

import pytest

from edgek.api.validation import FieldErrors, is_dns1123_label
from edgek.kinds.metadata import validate_object_meta, validate_object_meta_update

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u"}


def told(**meta: Any) -> list[str]:
    errors = FieldErrors()
    obj = {"metadata": {"name": "a", "namespace": "b", **meta}}
    validate_object_meta(obj, errors, namespaced=True, validate_name=None)
    return [str(e) for e in errors]


@pytest.mark.parametrize(
    ("meta", "sentence"),
    [
        ({"name": ""}, "metadata.name: Required value: name or generateName is required"),
        ({"name": "A"}, 'metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain'),
        ({"name": "a" * 254}, "must be no more than 253 bytes"),
        ({"generateName": "-"}, 'metadata.generateName: Invalid value: "-"'),
        ({"namespace": ""}, "metadata.namespace: Required value"),
        ({"namespace": "a.b"}, 'metadata.namespace: Invalid value: "a.b"'),
        ({"labels": {"a": "b c"}}, "metadata.labels: Invalid value"),
        ({"annotations": {"a b": "c"}}, "metadata.annotations: Invalid value"),
        ({"annotations": {"a": "x" * 2**18}}, "metadata.annotations: Too long"),
        ({"finalizers": ["mine"]}, "name is neither a standard finalizer name nor is it fully"),
        ({"finalizers": ["orphan", "foregroundDeletion"]}, "cannot be both set"),
        ({"ownerReferences": [OWNER | {"uid": ""}]}, "metadata.ownerReferences[0].uid"),
        (
            {"ownerReferences": [OWNER | {"controller": True}] * 2},
            "Only one reference can have Controller set to true. Found ReplicaSet/r and "
            "ReplicaSet/r",
        ),
        (
            {"ownerReferences": [OWNER | {"apiVersion": "v1", "kind": "Event"}]},
            "is disallowed from being an owner",
        ),
    ],
)
def test_a_mistake_is_told(meta: dict, sentence: str) -> None:
    assert any(sentence in text for text in told(**meta)), told(**meta)


def test_what_is_right_passes() -> None:
    fine = {"app.kubernetes.io/name": "web", "empty": ""}
    finalizers = ["kubernetes", "example.com/mine", "foregroundDeletion"]
    owners = [OWNER | {"controller": True}, OWNER]
    assert told(labels=fine, annotations={"Some.Key/UP": "any text\n"}, finalizers=finalizers,
                ownerReferences=owners, generateName="web-") == []  # fmt: skip


def test_cluster_scoped_objects_have_no_namespace() -> None:
    errors = FieldErrors()
    obj = {"metadata": {"name": "a", "namespace": "b"}}
    validate_object_meta(obj, errors, namespaced=False, validate_name=is_dns1123_label)
    assert [str(e) for e in errors] == ["metadata.namespace: Forbidden: not allowed on this type"]


def test_no_finalizer_is_added_to_what_is_being_deleted() -> None:
    old = {"metadata": {"name": "a", "deletionTimestamp": "t", "finalizers": ["a.b/c"]}}
    new = {"metadata": {"name": "a", "deletionTimestamp": "t", "finalizers": ["a.b/d"]}}
    errors = FieldErrors()
    validate_object_meta_update(new, old, errors)
    assert [str(e) for e in errors] == [
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being "
        'deleted, found new finalizers []string{"a.b/d"}'
    ]


@pytest.mark.parametrize("field", ["name", "namespace", "uid", "creationTimestamp"])
def test_identity_is_immutable(field: str) -> None:
    errors = FieldErrors()
    validate_object_meta_update({"metadata": {field: "a"}}, {"metadata": {field: "b"}}, errors)
    assert [e.field for e in errors] == [f"metadata.{field}"]
