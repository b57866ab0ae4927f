"""Which objects a ResourceQuota's scopes take in (upstream: podMatchesScopeFunc and kin).

A quota with scopes counts pods and claims only; all its scopes must hold.
"""

from collections.abc import Iterable, Iterator, Mapping

from edgek.api.meta import Obj, get_path
from edgek.kinds.kind import Kind
from edgek.kinds.pod_prepare import affinity_terms
from edgek.kinds.pods import qos_class
from edgek.kinds.quota_usage import matching_resources


def quota_matches(quota: Obj, kind: Kind, obj: Obj, *, hard: Mapping[str, str]) -> bool:
    """Whether the quota limits the object: something it counts for is in ``hard``, and every
    scope holds."""
    if not matching_resources(kind, hard):
        return False
    return all(_in_scope(term, kind, obj) for term in scope_terms(quota))


def scope_terms(quota: Obj) -> Iterator[Obj]:
    """spec.scopes and spec.scopeSelector in one form."""
    for scope in get_path(quota, "spec", "scopes", default=[]):
        yield {"scopeName": scope, "operator": "Exists"}
    yield from get_path(quota, "spec", "scopeSelector", "matchExpressions", default=[])


def _in_scope(term: Obj, kind: Kind, obj: Obj) -> bool:
    match (kind.group, kind.plural):
        case ("", "pods"):
            return _pod_in_scope(term, obj)
        case ("", "persistentvolumeclaims"):
            return _claim_in_scope(term, obj)
    return False


def _pod_in_scope(term: Obj, pod: Obj) -> bool:
    spec = pod.get("spec") or {}
    match term.get("scopeName"):
        case "Terminating":
            return _has_deadline(spec)
        case "NotTerminating":
            return not _has_deadline(spec)
        case "BestEffort":
            return qos_class(pod) == "BestEffort"
        case "NotBestEffort":
            return qos_class(pod) != "BestEffort"
        case "PriorityClass":
            return _selects(term, [spec.get("priorityClassName") or ""])
        case "CrossNamespacePodAffinity":
            return _reaches_out(spec.get("affinity") or {})
    return False


def _has_deadline(spec: Obj) -> bool:
    return (spec.get("activeDeadlineSeconds") or -1) >= 0


def _selects(term: Obj, values: Iterable[str]) -> bool:
    """The term against the names an object has, as a label selector would be."""
    found, wanted = {v for v in values if v}, set(term.get("values") or ())
    match term.get("operator"):
        case "Exists":
            return bool(found)
        case "DoesNotExist":
            return not found
        case "In":
            return bool(found & wanted)
        case "NotIn":
            return not found or bool(found - wanted)
    return False


def _reaches_out(affinity: Obj) -> bool:
    terms = (
        term
        for which in ("podAffinity", "podAntiAffinity")
        for term in affinity_terms(affinity.get(which) or {})
    )
    return any(t.get("namespaces") or t.get("namespaceSelector") is not None for t in terms)


def _claim_in_scope(term: Obj, claim: Obj) -> bool:
    """Every class that the claim has, had or is on its way to counts."""
    if term.get("scopeName") != "VolumeAttributesClass":
        return False
    names = (
        get_path(claim, "spec", "volumeAttributesClassName", default=""),
        get_path(claim, "status", "currentVolumeAttributesClassName", default=""),
        get_path(
            claim, "status", "modifyVolumeStatus", "targetVolumeAttributesClassName", default=""
        ),
    )
    return _selects(term, names)
