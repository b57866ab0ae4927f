"""Claims to devices in pods (upstream: validatePodResourceClaims, validateResourceClaimNames)."""

from edgek.api.meta import Obj
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1123_label,
    is_dns1123_subdomain,
)
from edgek.kinds.checks import check_rule

SOURCES = ("resourceClaimName", "resourceClaimTemplateName")
LISTS = ("containers", "initContainers", "ephemeralContainers")
_NONE = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
_BOTH = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"


def validate_pod_claims(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """The pod's claims, and that its containers use no others."""
    names: set[str] = set()
    for index, claim in enumerate(spec.get("resourceClaims") or ()):
        where, name = path.child("resourceClaims").index(index), claim.get("name") or ""
        if not name:
            errors.required(where.child("name"))
        elif name in names:
            errors.duplicate(where.child("name"), name)
        check_rule(name, is_dns1123_label, where.child("name"), errors)
        names.add(name)
        _validate_source(claim, where, errors)
    for field in LISTS:
        for index, container in enumerate(spec.get(field) or ()):
            where = path.child(field).index(index).child("resources", "claims")
            _validate_used(container, names - {""}, where, errors)


def _validate_source(claim: Obj, path: FieldPath, errors: FieldErrors) -> None:
    given = [field for field in SOURCES if claim.get(field) is not None]
    if len(given) != 1:
        errors.invalid(path, claim, _BOTH if given else _NONE)
    for field in given:
        check_rule(claim[field], is_dns1123_subdomain, path.child(field), errors)


def _validate_used(container: Obj, names: set[str], path: FieldPath, errors: FieldErrors) -> None:
    seen: set[tuple[str, str]] = set()
    for index, claim in enumerate((container.get("resources") or {}).get("claims") or ()):
        where, name = path.index(index), claim.get("name") or ""
        if not name:
            errors.required(where)
            continue
        used = (name, claim.get("request") or "")
        if used in seen:
            errors.duplicate(where, "/".join(filter(None, used)))
        seen.add(used)
        if name not in names:
            known = ": " + ", ".join(sorted(names)) if names else " which is empty"
            text = f"must be one of the names in pod.spec.resourceClaims{known}"
            errors.not_found(where, name, text)
