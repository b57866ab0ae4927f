"""What one object counts for in ResourceQuotas: which resources, and how much of each.

Pure. Admission charges by it (server/admission/resource_quota.py) and the quota controller sums
up by it, so both always agree. As pkg/quota/v1/evaluator/core and apiserver's
generic object count.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from edgek.api.meta import Obj, annotations, get_path
from edgek.api.quantity import format_like, parse_quantity
from edgek.kinds.kind import Kind
from edgek.kinds.pods import (
    containers,
    deletion_deadline,
    init_containers,
    is_terminal,
    pod_limits,
    pod_requests,
)
from edgek.kinds.resource_names import LIMITS, REQUESTS, is_extended, is_native
from edgek.kinds.resource_validation import HUGE_PAGES, STANDARD

Usage = dict[str, str]
"""Amounts as text, by resource name."""

OF_CLASS = ".storageclass.storage.k8s.io/"
CLAIM_RESOURCES = ("requests.storage", "persistentvolumeclaims")
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_BARE_COUNTS = ("configmaps", "secrets", "replicationcontrollers", "resourcequotas")
"""Core kinds that a quota may also count by their bare name."""
_UNCOUNTED = (("", "events"), ("events.k8s.io", "events"))
_POD_NAMES = {
    "pods", *(prefix + name for prefix in ("", REQUESTS, LIMITS) for name in STANDARD)
}  # fmt: skip


def count_name(kind: Kind) -> str:
    """``count/deployments.apps``, ``count/pods``."""
    return f"count/{kind.plural}.{kind.group}" if kind.group else f"count/{kind.plural}"


def is_counted(kind: Kind) -> bool:
    """Whether quotas may limit the kind at all."""
    return kind.namespaced and not kind.virtual and (kind.group, kind.plural) not in _UNCOUNTED


def matching_resources(kind: Kind, names: Iterable[str]) -> list[str]:
    """Those of a quota's names that objects of the kind count for."""
    fits = _MATCHES.get((kind.group, kind.plural), _is_bare_count)
    count = count_name(kind)
    return sorted(name for name in names if name == count or fits(kind, name))


def _is_bare_count(kind: Kind, name: str) -> bool:
    return name == kind.plural and not kind.group and name in _BARE_COUNTS


def _is_of_pods(kind: Kind, name: str) -> bool:
    if name in _POD_NAMES or name.removeprefix(REQUESTS).startswith(HUGE_PAGES):
        return True
    return name.startswith(REQUESTS) and not is_native(name) and OF_CLASS not in name


def _is_of_services(kind: Kind, name: str) -> bool:
    return name in ("services", "services.loadbalancers", "services.nodeports")


def _is_of_claims(kind: Kind, name: str) -> bool:
    return name in CLAIM_RESOURCES or name.endswith(tuple(OF_CLASS + r for r in CLAIM_RESOURCES))


_MATCHES: Mapping[tuple[str, str], Callable[[Kind, str], bool]] = {
    ("", "pods"): _is_of_pods,
    ("", "services"): _is_of_services,
    ("", "persistentvolumeclaims"): _is_of_claims,
}


def usage(kind: Kind, obj: Obj, *, now: datetime) -> Usage:
    """All that the object counts for, whether or not some quota limits it."""
    out: Usage = {count_name(kind): "1"}
    match (kind.group, kind.plural):
        case ("", "pods"):
            if _is_charged(obj, now):
                out |= compute_usage(pod_amounts(obj, "requests"), pod_amounts(obj, "limits"))
        case ("", "services"):
            out |= _service_usage(obj)
        case ("", "persistentvolumeclaims"):
            out |= _claim_usage(obj)
        case ("", plural) if plural in _BARE_COUNTS:
            out[plural] = "1"
    return out


# -- pods ------------------------------------------------------------------------------------


def _is_charged(pod: Obj, now: datetime) -> bool:
    """As QuotaV1Pod: neither over, nor stuck in a deletion whose grace is over."""
    deadline = deletion_deadline(pod)
    return not is_terminal(pod) and (deadline is None or now <= deadline)


def compute_usage(requests: Mapping[str, str], limits: Mapping[str, str]) -> Usage:
    """What requests and limits count for, of a pod or of one container."""
    out: Usage = {"pods": "1"}
    for name, amount in requests.items():
        if name in STANDARD or name.startswith(HUGE_PAGES):
            out[name] = out[REQUESTS + name] = amount
        elif is_extended(name):
            out[REQUESTS + name] = amount
    for name in STANDARD:
        if name in limits:
            out[LIMITS + name] = limits[name]
    return out


def pod_amounts(pod: Obj, which: str) -> Usage:
    """The pod's ``requests`` or ``limits`` in all, written as its containers write them."""
    sums = pod_requests(pod) if which == "requests" else pod_limits(pod)
    return {name: format_like(amount, _written(pod, which, name)) for name, amount in sums.items()}


def _written(pod: Obj, which: str, name: str) -> str:
    spec = pod.get("spec") or {}
    given = (get_path(c, "resources", which, name) for c in _parts(pod))
    overhead = get_path(spec, "overhead", name)
    return next((str(text) for text in (*given, overhead) if text and parse_quantity(text)), "0")


def _parts(pod: Obj) -> list[Obj]:
    return [pod.get("spec") or {}, *containers(pod), *init_containers(pod)]


def missing_amounts(required: Iterable[str], pod: Obj) -> str:
    """What a quota's resources want every container to say, in upstream's words; "" if nothing.

    As podEvaluator.Constraints: of cpu and memory only, which upstream calls a mistake it keeps;
    and not of pods that speak for themselves as a whole.
    """
    if any(get_path(pod, "spec", "resources", field) for field in ("requests", "limits")):
        return ""
    names = sorted(n for n in required if n.rpartition(".")[2] in ("cpu", "memory"))
    names = [n for n in names if n in _POD_NAMES]
    lacking: dict[str, list[str]] = {}
    for container in (*containers(pod), *init_containers(pod)):
        resources = container.get("resources") or {}
        said = compute_usage(resources.get("requests") or {}, resources.get("limits") or {})
        for name in names:
            if name not in said:
                lacking.setdefault(name, []).append(container.get("name") or "")
    parts = [f"{name} for: {','.join(sorted(of))}" for name, of in lacking.items()]
    return f"must specify {'; '.join(sorted(parts))}" if parts else ""


# -- services and claims ---------------------------------------------------------------------


def _service_usage(service: Obj) -> Usage:
    spec: Obj = service.get("spec") or {}
    ports, kind = spec.get("ports") or [], spec.get("type")
    suppressed = kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False
    if suppressed:
        node_ports = sum(1 for port in ports if port.get("nodePort"))
    else:
        node_ports = len(ports) if kind in ("NodePort", "LoadBalancer") else 0
    return {
        "services": "1",
        "services.nodeports": str(node_ports),
        "services.loadbalancers": str(int(kind == "LoadBalancer")),
    }


def claim_class(claim: Obj) -> str:
    """As GetPersistentVolumeClaimClass: the old annotation goes first."""
    old = annotations(claim).get(CLASS_ANNOTATION)
    found: Any = old if old is not None else get_path(claim, "spec", "storageClassName")
    return found or ""


def _claim_usage(claim: Obj) -> Usage:
    """Storage is charged also while a claim is grown to it, or shrinks back from a try."""
    out = {"persistentvolumeclaims": "1"}
    asked = get_path(claim, "spec", "resources", "requests", "storage")
    given = get_path(claim, "status", "allocatedResources", "storage")
    if asked is not None:
        most = max((asked, given or "0"), key=parse_quantity)
        out["requests.storage"] = str(most)
    if of := claim_class(claim):
        out |= {f"{of}{OF_CLASS}{name}": out[name] for name in CLAIM_RESOURCES if name in out}
    return out
