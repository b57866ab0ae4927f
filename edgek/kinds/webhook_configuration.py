"""Webhook configurations: whom the server asks before it takes a write, and about which.

ValidatingWebhookConfiguration and MutatingWebhookConfiguration differ by one field. As
pkg/apis/admissionregistration; server/admission/webhooks/ asks them. What the expressions of
match conditions say is checked by server/admission/policies/check.py, where CEL is known.
"""

from edgek.api.meta import Obj
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1123_subdomain,
)
from edgek.kinds.admission_rules import check_rule_with_operations, default_rule
from edgek.kinds.checks import check_enum, check_label_selector
from edgek.kinds.columns import count_column
from edgek.kinds.kind import AGE, NAME, Default, Kind, Validate
from edgek.kinds.match_resources import check_conditions
from edgek.kinds.webhook_client_config import (
    REVIEW_VERSIONS,
    check_client_config,
    check_review_versions,
    default_client_config,
)

GROUP = "admissionregistration.k8s.io"
POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
REINVOCATION_POLICIES = ("IfNeeded", "Never")
NO_SIDE_EFFECTS = ("None", "NoneOnDryRun")
WEBHOOKS = FieldPath("webhooks")
_NO_VERSION = "must specify one of " + ", ".join(REVIEW_VERSIONS)


def _default(obj: Obj) -> None:
    for hook in obj.get("webhooks") or ():
        hook["failurePolicy"] = hook.get("failurePolicy") or "Fail"
        hook["matchPolicy"] = hook.get("matchPolicy") or "Equivalent"
        for selector in ("namespaceSelector", "objectSelector"):
            if hook.get(selector) is None:
                hook[selector] = {}
        if hook.get("timeoutSeconds") is None:
            hook["timeoutSeconds"] = 10
        default_client_config(hook.get("clientConfig"))
        for rule in hook.get("rules") or ():
            default_rule(rule)


def _default_mutating(obj: Obj) -> None:
    _default(obj)
    for hook in obj.get("webhooks") or ():
        hook["reinvocationPolicy"] = hook.get("reinvocationPolicy") or "Never"


def _validate(obj: Obj, errors: FieldErrors) -> None:
    names: set[str] = set()
    for index, hook in enumerate(obj.get("webhooks") or ()):
        path, name = WEBHOOKS.index(index), hook.get("name") or ""
        _check_hook(hook, path, errors)
        versions = hook.get("admissionReviewVersions") or []
        where = path.child("admissionReviewVersions")
        check_review_versions(versions, where, errors, missing=_NO_VERSION)
        if name and name in names:
            errors.duplicate(path.child("name"), name)
        names.add(name)


def _validate_mutating(obj: Obj, errors: FieldErrors) -> None:
    _validate(obj, errors)
    for index, hook in enumerate(obj.get("webhooks") or ()):
        path = WEBHOOKS.index(index).child("reinvocationPolicy")
        given = hook.get("reinvocationPolicy")
        check_enum(given, REINVOCATION_POLICIES, path, errors, required=False)


def _check_hook(hook: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_qualified_domain(hook.get("name") or "", path.child("name"), errors)
    for index, rule in enumerate(hook.get("rules") or ()):
        check_rule_with_operations(rule, path.child("rules").index(index), errors)
    for field, allowed in (("failurePolicy", POLICIES), ("matchPolicy", MATCH_POLICIES)):
        check_enum(hook.get(field), allowed, path.child(field), errors, required=False)
    effects, where = hook.get("sideEffects"), path.child("sideEffects")
    if effects is None:
        errors.required(where, f"must specify one of {', '.join(NO_SIDE_EFFECTS)}")
    elif effects not in NO_SIDE_EFFECTS:
        errors.not_supported(where, effects, NO_SIDE_EFFECTS)
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        why = "the timeout value must be between 1 and 30 seconds"
        errors.invalid(path.child("timeoutSeconds"), seconds, why)
    for field in ("namespaceSelector", "objectSelector"):
        check_label_selector(hook.get(field), path.child(field), errors)
    check_client_config(hook.get("clientConfig"), path.child("clientConfig"), errors)
    check_conditions(hook.get("matchConditions"), path.child("matchConditions"), errors)


def check_qualified_domain(name: str, path: FieldPath, errors: FieldErrors) -> None:
    """As utilvalidation.IsFullyQualifiedName: a domain of three parts at least."""
    if not name:
        errors.required(path)
    elif problems := is_dns1123_subdomain(name):
        errors.invalid(path, name, ",".join(problems))
    elif name.count(".") < 2:
        why = "should be a domain with at least three segments separated by dots"
        errors.invalid(path, name, why)


def _configuration(kind: str, plural: str, *, default: Default, validate: Validate) -> Kind:
    return Kind(
        group=GROUP,
        version="v1",
        kind=kind,
        plural=plural,
        categories=("api-extensions",),
        namespaced=False,
        columns=(
            NAME,
            count_column(
                "Webhooks", "webhooks", description="How many webhooks this configuration has."
            ),
            AGE,
        ),
        default=default,
        validate=validate,
        generation=True,
        example={
            "apiVersion": f"{GROUP}/v1",
            "kind": kind,
            "metadata": {"name": "pod-policy"},
            "webhooks": [
                {
                    "name": "pods.policy.example.com",
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    "clientConfig": {
                        "service": {"namespace": "default", "name": "policy", "path": "/pods"}
                    },
                    "rules": [
                        {
                            "operations": ["CREATE"],
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "resources": ["pods"],
                        }
                    ],
                }
            ],
        },
    )


VALIDATING_WEBHOOK_CONFIGURATION = _configuration(
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    default=_default,
    validate=_validate,
)
MUTATING_WEBHOOK_CONFIGURATION = _configuration(
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    default=_default_mutating,
    validate=_validate_mutating,
)
