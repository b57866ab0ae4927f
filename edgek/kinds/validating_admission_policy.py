"""ValidatingAdmissionPolicy and its binding: expressions that every write must satisfy.

As pkg/apis/admissionregistration; server/admission/policies/ enforces them, and checks what the
expressions say when a policy is written.
"""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_qualified_name
from edgek.kinds.checks import check_enum, repeated
from edgek.kinds.conditions_validation import validate_conditions
from edgek.kinds.kind import STATUS, Kind
from edgek.kinds.match_resources import (
    BINDING_COLUMNS,
    SPEC,
    check_binding,
    check_policy,
    default_binding,
    default_policy,
    policy_columns,
)
from edgek.kinds.strategy import keep_status, only_status

GROUP = "admissionregistration.k8s.io"
REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
ACTIONS = ("Audit", "Deny", "Warn")
MAX_AUDIT_ANNOTATIONS = 20
MAX_AUDIT_EXPRESSION = 5 * 1024
_ONE_OF = "validations or auditAnnotations must contain at least one item"


def _validate(policy: Obj, errors: FieldErrors) -> None:
    spec = policy.get("spec") or {}
    check_policy(spec, errors)
    validations, annotations = spec.get("validations") or [], spec.get("auditAnnotations") or []
    if not validations and not annotations:
        errors.required(SPEC.child("validations"), _ONE_OF)
        errors.required(SPEC.child("auditAnnotations"), _ONE_OF)
    for index, validation in enumerate(validations):
        _check_validation(validation, SPEC.child("validations").index(index), errors)
    name = (policy.get("metadata") or {}).get("name") or ""
    _check_annotations(name, annotations, SPEC.child("auditAnnotations"), errors)
    _check_status(policy.get("status") or {}, errors)


def _check_validation(validation: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if not (validation.get("expression") or "").strip():
        errors.required(path.child("expression"), "expression is not specified")
    expression, message = validation.get("messageExpression"), validation.get("message")
    if expression and not expression.strip():
        why = "must be non-empty if specified"
        errors.invalid(path.child("messageExpression"), expression, why)
    if message and not message.strip():
        errors.invalid(path.child("message"), message, "message must be non-empty if specified")
    elif message and any(end in message.strip() for end in "\n\r"):
        errors.invalid(path.child("message"), message, "message must not contain line breaks")
    check_enum(validation.get("reason"), REASONS, path.child("reason"), errors, required=False)


def _check_annotations(
    name: str, annotations: list[Obj], path: FieldPath, errors: FieldErrors
) -> None:
    if len(annotations) > MAX_AUDIT_ANNOTATIONS:
        why = f"must not have more than {MAX_AUDIT_ANNOTATIONS} auditAnnotations"
        errors.invalid(path, annotations, why)
    seen: set[str] = set()
    for index, annotation in enumerate(annotations):
        where, key = path.index(index), annotation.get("key") or ""
        for problem in is_qualified_name(f"{name}/{key}"):
            errors.invalid(where.child("key"), f"{name}/{key}", problem)
        text = (annotation.get("valueExpression") or "").strip()
        if not text:
            errors.required(where.child("valueExpression"), "valueExpression is not specified")
        elif len(text.encode()) > MAX_AUDIT_EXPRESSION:
            why = f"must not exceed {MAX_AUDIT_EXPRESSION} bytes in length"
            errors.required(where.child("valueExpression"), why)
        if key in seen:
            errors.duplicate(where.child("key"), key)
        seen.add(key)


def _check_status(status: Obj, errors: FieldErrors) -> None:
    path = FieldPath("status")
    warnings = (status.get("typeChecking") or {}).get("expressionWarnings") or ()
    for index, warning in enumerate(warnings):
        where = path.child("typeChecking", "expressionWarnings").index(index)
        for field in ("warning", "fieldRef"):
            if not (warning.get(field) or "").strip():
                errors.required(where.child(field))
    validate_conditions(status.get("conditions"), path.child("conditions"), errors)


def _validate_binding(binding: Obj, errors: FieldErrors) -> None:
    spec = binding.get("spec") or {}
    check_binding(spec, errors)
    actions, path = spec.get("validationActions") or [], SPEC.child("validationActions")
    again = repeated(actions)
    for index, action in enumerate(actions):
        if action not in ACTIONS:
            errors.not_supported(path.index(index), action, ACTIONS)
        if index in again:
            errors.duplicate(path.index(index), action)
    if "Deny" in actions and "Warn" in actions:
        why = (
            "must not contain both Deny and Warn (repeating the same validation failure "
            "information in the API response and headers serves no purpose)"
        )
        errors.invalid(path, actions, why)
    if not actions:
        errors.required(path, "at least one validation action is required")


VALIDATING_ADMISSION_POLICY = Kind(
    group=GROUP,
    version="v1",
    kind="ValidatingAdmissionPolicy",
    plural="validatingadmissionpolicies",
    categories=("api-extensions",),
    namespaced=False,
    columns=policy_columns(
        "Validations", "validations", description="How many expressions a request must satisfy."
    ),
    subresources=(STATUS,),
    default=default_policy,
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    generation=True,
    example={
        "apiVersion": f"{GROUP}/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "few-replicas"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["deployments"],
                    }
                ]
            },
            "validations": [{"expression": "object.spec.replicas <= 5"}],
        },
    },
)
VALIDATING_ADMISSION_POLICY_BINDING = Kind(
    group=GROUP,
    version="v1",
    kind="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    categories=("api-extensions",),
    namespaced=False,
    columns=BINDING_COLUMNS,
    default=default_binding,
    validate=_validate_binding,
    generation=True,
    example={
        "apiVersion": f"{GROUP}/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "few-replicas"},
        "spec": {"policyName": "few-replicas", "validationActions": ["Deny"]},
    },
)
