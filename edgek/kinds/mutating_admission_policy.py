"""MutatingAdmissionPolicy and its binding: expressions that change what is written.

As pkg/apis/admissionregistration; server/admission/policies/ applies them, and checks what the
expressions say when a policy is written.
"""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_enum
from edgek.kinds.kind import Kind
from edgek.kinds.match_resources import (
    BINDING_COLUMNS,
    SPEC,
    check_binding,
    check_policy,
    default_binding,
    default_policy,
    policy_columns,
)

GROUP = "admissionregistration.k8s.io"
REINVOCATION_POLICIES = ("IfNeeded", "Never")
PATCH_TYPES = ("ApplyConfiguration", "JSONPatch")
_FIELDS = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}


def _validate(policy: Obj, errors: FieldErrors) -> None:
    spec = policy.get("spec") or {}
    check_policy(spec, errors)
    where = SPEC.child("reinvocationPolicy")
    check_enum(spec.get("reinvocationPolicy"), REINVOCATION_POLICIES, where, errors)
    mutations = spec.get("mutations") or []
    if not mutations:
        errors.required(SPEC.child("mutations"), "mutations must contain at least one item")
    for index, mutation in enumerate(mutations):
        _check_mutation(mutation, SPEC.child("mutations").index(index), errors)


def _check_mutation(mutation: Obj, path: FieldPath, errors: FieldErrors) -> None:
    kind = mutation.get("patchType") or ""
    check_enum(kind, PATCH_TYPES, path.child("patchType"), errors)
    for name, field in _FIELDS.items():
        given, where = mutation.get(field), path.child(field)
        if name == kind and given is None:
            errors.required(where, f"must be specified when patchType is {kind}")
        elif name == kind and not ((given or {}).get("expression") or "").strip():
            errors.required(where.child("expression"), "expression is not specified")
        elif name != kind and kind in PATCH_TYPES and given is not None:
            why = f"must not be specified when patchType is {kind}"
            errors.invalid(where, f"{{{field}}}", why)


def _validate_binding(binding: Obj, errors: FieldErrors) -> None:
    check_binding(binding.get("spec") or {}, errors)


MUTATING_ADMISSION_POLICY = Kind(
    group=GROUP,
    version="v1",
    kind="MutatingAdmissionPolicy",
    plural="mutatingadmissionpolicies",
    categories=("api-extensions",),
    namespaced=False,
    columns=policy_columns("Mutations", "mutations", description="How many changes are made."),
    default=default_policy,
    validate=_validate,
    generation=True,
    example={
        "apiVersion": f"{GROUP}/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": "team-label"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                    }
                ]
            },
            "reinvocationPolicy": "Never",
            "mutations": [
                {
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": {
                        "expression": "Object{metadata: Object.metadata{labels: {'team': 'a'}}}"
                    },
                }
            ],
        },
    },
)
MUTATING_ADMISSION_POLICY_BINDING = Kind(
    group=GROUP,
    version="v1",
    kind="MutatingAdmissionPolicyBinding",
    plural="mutatingadmissionpolicybindings",
    categories=("api-extensions",),
    namespaced=False,
    columns=BINDING_COLUMNS,
    default=default_binding,
    validate=_validate_binding,
    generation=True,
    example={
        "apiVersion": f"{GROUP}/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "team-label"},
        "spec": {"policyName": "team-label"},
    },
)
