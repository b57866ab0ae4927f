"""Rules that say which requests admission configurations look at: groups, versions, resources.

The same in webhook configurations and, without subresources' wildcards excluded, in policies. As
pkg/apis/admissionregistration/validation validateRuleWithOperations.
"""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_enum

OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES = ("*", "Cluster", "Namespaced")


def default_rule(rule: Obj) -> None:
    if not rule.get("scope"):
        rule["scope"] = "*"


def check_rule_with_operations(rule: Obj, path: FieldPath, errors: FieldErrors) -> None:
    operations = rule.get("operations") or []
    where = path.child("operations")
    if not operations:
        errors.required(where)
    _alone("*", operations, where, "operations", errors)
    for index, operation in enumerate(operations):
        if operation not in OPERATIONS:
            errors.not_supported(where.index(index), operation, OPERATIONS)
    groups, versions = rule.get("apiGroups") or [], rule.get("apiVersions") or []
    if not groups:
        errors.required(path.child("apiGroups"))
    _alone("*", groups, path.child("apiGroups"), "API groups", errors)
    if not versions:
        errors.required(path.child("apiVersions"))
    _alone("*", versions, path.child("apiVersions"), "API versions", errors)
    for index, version in enumerate(versions):
        if not version:
            errors.required(path.child("apiVersions").index(index))
    _check_resources(rule.get("resources") or [], path.child("resources"), errors)
    check_enum(rule.get("scope"), SCOPES, path.child("scope"), errors, required=False)


def _alone(star: str, given: list[str], path: FieldPath, what: str, errors: FieldErrors) -> None:
    if len(given) > 1 and star in given:
        errors.invalid(path, given, f"if '{star}' is present, must not specify other {what}")


def _check_resources(resources: list[str], path: FieldPath, errors: FieldErrors) -> None:
    if not resources:
        errors.required(path)
    whole: set[str] = set()  # of x/*
    every: set[str] = set()  # of */x
    for index, text in enumerate(resources):
        if not text:
            errors.required(path.index(index))
            continue
        resource, slash, sub = text.partition("/")
        if not slash:
            continue
        for seen, one, pattern in ((whole, resource, f"{resource}/*"), (every, sub, f"*/{sub}")):
            if one in seen:
                why = f"if '{pattern}' is present, must not specify {text}"
                errors.invalid(path.index(index), text, why)
        if sub == "*":
            whole.add(resource)
        if resource == "*":
            every.add(sub)
    _alone("*/*", resources, path, "resources", errors)
    # NB: of the resources without a subresource only the last one counts, as upstream.
    plain = [r for r in resources if "/" not in r]
    if "*" in plain and plain[-1] != "*":
        why = "if '*' is present, must not specify other resources without subresources"
        errors.invalid(path, resources, why)
