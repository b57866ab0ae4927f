"""Which resource names mean something to quotas and limit ranges (upstream: core/helper).

``cpu`` and the like are native; ``example.com/gpu`` is extended; a quota writes the latter with
``requests.`` before it. Containers' own requirements are in resource_validation.py.
"""

from typing import Any

from edgek.api.validation import FieldErrors, FieldPath, is_qualified_name
from edgek.kinds.checks import check_quantity
from edgek.kinds.resource_validation import HUGE_PAGES, STANDARD

REQUESTS = "requests."
LIMITS = "limits."
_COMPUTE = {prefix + name for prefix in ("", REQUESTS, LIMITS) for name in STANDARD}
INTEGERS = {
    "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
    "persistentvolumeclaims", "services.nodeports", "services.loadbalancers",
}  # fmt: skip
QUOTA_NAMES = _COMPUTE | INTEGERS | {"requests.storage"}
STANDARD_NAMES = QUOTA_NAMES | {"storage"}

NOT_STANDARD = "must be a standard resource type or fully qualified"


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """As IsExtendedResourceName: somebody's own, and short enough to be put into a quota."""
    if is_native(name) or name.startswith(REQUESTS):
        return False
    return not is_qualified_name(REQUESTS + name)


def is_huge_pages(name: str) -> bool:
    """Also as quotas write them."""
    return name.removeprefix(REQUESTS).startswith(HUGE_PAGES)


def is_quota_name(name: str) -> bool:
    return name in QUOTA_NAMES or is_huge_pages(name)


def may_overcommit(name: str) -> bool:
    return is_native(name) and not name.startswith(HUGE_PAGES)


def check_resource_name(name: str, path: FieldPath, errors: FieldErrors) -> None:
    for problem in is_qualified_name(name):
        errors.invalid(path, name, problem)
    if "/" not in name and name not in STANDARD_NAMES and not is_huge_pages(name):
        errors.invalid(path, name, NOT_STANDARD)


def check_container_resource_name(name: str, path: FieldPath, errors: FieldErrors) -> None:
    check_resource_name(name, path, errors)
    if "/" not in name:
        if name not in STANDARD and not name.startswith(HUGE_PAGES):
            errors.invalid(path, name, "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        errors.invalid(path, name, "doesn't follow extended resource name standard")


def check_quota_list(found: dict[str, Any], path: FieldPath, errors: FieldErrors) -> None:
    """Names and amounts of a quota's hard or used."""
    for name, amount in found.items():
        where = path.key(name)
        check_resource_name(name, where, errors)
        if "/" not in name and not is_quota_name(name):
            errors.invalid(where, name, "must be a standard resource for quota")
        value = check_quantity(amount, where, errors)
        whole = name in INTEGERS or is_extended(name)
        if value is not None and whole and value.denominator != 1:
            errors.invalid(where, amount, "must be an integer")
