"""SubjectAccessReview and its two sisters: may somebody do this? Answered, never stored.

As pkg/apis/authorization/validation. Who is asked about and by which attributes is in the spec;
``server/endpoints/reviews/access.py`` answers.
"""

from collections.abc import Callable
from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_operator_values
from edgek.kinds.kind import Kind, Validate

GROUP = "authorization.k8s.io"
SPEC = FieldPath("spec")
_SERVER_SET = ("managedFields", "creationTimestamp")
_EXAMPLE_SPEC = {
    "resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods"},
}


def _validate_subject(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    if not spec.get("user") and not spec.get("groups"):
        text = "at least one of user or group must be specified"
        errors.invalid(SPEC.child("user"), spec.get("user") or "", text)


def _validate_attributes(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        text = "cannot be specified in combination with resourceAttributes"
        errors.invalid(SPEC.child("nonResourceAttributes"), path, text)
    if resource is None and path is None:
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        errors.invalid(SPEC.child("resourceAttributes"), None, text)
    for field in ("fieldSelector", "labelSelector"):
        where = SPEC.child("resourceAttributes").child(field)
        _validate_selector((resource or {}).get(field), where, errors)


def _validate_selector(selector: Any, path: FieldPath, errors: FieldErrors) -> None:
    if selector is None:
        return
    raw, requirements = selector.get("rawSelector"), selector.get("requirements")
    if raw and requirements:
        text = "may not specified at the same time as requirements"
        errors.invalid(path.child("rawSelector"), raw, text)
    if not raw and not requirements:
        text = f"when {path} is specified, requirements or rawSelector is required"
        errors.required(path.child("requirements"), text)
    for index, requirement in enumerate(requirements or ()):
        _validate_requirement(requirement, path.child("requirements").index(index), errors)


def _validate_requirement(requirement: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """Operators that we do not know are let through: a newer client may mean something by them."""
    check_operator_values(requirement, path, errors)
    if not requirement.get("key"):
        errors.required(path.child("key"), "must be specified")


def validate_empty_metadata(obj: Obj, errors: FieldErrors, *, besides: str = "") -> None:
    """Nothing of such an object is kept, so nothing may name it."""
    found = {k: v for k, v in (obj.get("metadata") or {}).items() if v and k not in _SERVER_SET}
    found.pop(besides, None)
    if found:
        text = f"must be empty except for {besides}" if besides else "must be empty"
        errors.invalid(FieldPath("metadata"), found, text)


def _validate_place(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None:
        asked = resource.get("namespace") or ""
        if asked != (obj["metadata"].get("namespace") or ""):
            where = SPEC.child("resourceAttributes").child("namespace")
            errors.invalid(where, asked, "must match metadata.namespace")
    if path is not None:
        text = "disallowed on this kind of request"
        errors.invalid(SPEC.child("nonResourceAttributes"), path, text)


def _all(*checks: Callable[[Obj, FieldErrors], None]) -> Validate:
    def validate(obj: Obj, errors: FieldErrors) -> None:
        for check in checks:
            check(obj, errors)

    return validate


def _empty_besides_namespace(obj: Obj, errors: FieldErrors) -> None:
    validate_empty_metadata(obj, errors, besides="namespace")


def _review(kind: str, plural: str, *, spec: Obj, validate: Validate, namespaced: bool) -> Kind:
    metadata = {"namespace": "default"} if namespaced else {}
    return Kind(
        group=GROUP,
        version="v1",
        kind=kind,
        plural=plural,
        namespaced=namespaced,
        verbs=("create",),
        virtual=True,
        validate=validate,
        example={
            "apiVersion": f"{GROUP}/v1",
            "kind": kind,
            "metadata": metadata,
            "spec": spec,
        },
    )


SUBJECT_ACCESS_REVIEW = _review(
    "SubjectAccessReview",
    "subjectaccessreviews",
    spec={**_EXAMPLE_SPEC, "user": "jane"},
    validate=_all(_validate_attributes, _validate_subject, validate_empty_metadata),
    namespaced=False,
)
SELF_SUBJECT_ACCESS_REVIEW = _review(
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    spec=_EXAMPLE_SPEC,
    validate=_all(_validate_attributes, validate_empty_metadata),
    namespaced=False,
)
LOCAL_SUBJECT_ACCESS_REVIEW = _review(
    "LocalSubjectAccessReview",
    "localsubjectaccessreviews",
    spec={**_EXAMPLE_SPEC, "user": "jane"},
    validate=_all(
        _validate_attributes, _validate_subject, _empty_besides_namespace, _validate_place
    ),
    namespaced=True,
)
