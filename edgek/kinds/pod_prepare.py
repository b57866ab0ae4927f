"""What users may not set on a pod (upstream: pkg/registry/core/pod/strategy.go)."""

from edgek.api.meta import Obj
from edgek.kinds.pod_status import keep_observed_generations
from edgek.kinds.pods import qos_class
from edgek.kinds.strategy import carry, carry_metadata

GATED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}


def prepare_pod(pod: Obj, old: Obj | None) -> None:
    """A new pod is Pending, whatever it says; an updated one keeps its status."""
    if old is not None:
        carry(pod, old, "status")
        return
    pod["status"] = {"phase": "Pending", "qosClass": qos_class(pod)}
    if pod["spec"].get("schedulingGates"):
        pod["status"]["conditions"] = [{**GATED, "lastProbeTime": None}]
    _fold_label_keys(pod)


def prepare_pod_status(pod: Obj, old: Obj | None) -> None:
    """Nodes write status. Owners and the deletion are not theirs, and QoS never changes."""
    if old is None:
        return
    carry(pod, old, "spec")
    carry_metadata(
        pod, old, "ownerReferences", "deletionTimestamp", "deletionGracePeriodSeconds",
        "generation",
    )  # fmt: skip
    keep_observed_generations(pod.setdefault("status", {}), old.get("status") or {})


def _fold_label_keys(pod: Obj) -> None:
    """matchLabelKeys become selector terms with this pod's own values, once, on create."""
    labels = pod["metadata"].get("labels") or {}
    for constraint in pod["spec"].get("topologySpreadConstraints") or ():
        _fold(constraint, labels, "matchLabelKeys", "In")
    affinity = pod["spec"].get("affinity") or {}
    for which in ("podAffinity", "podAntiAffinity"):
        for term in affinity_terms(affinity.get(which) or {}):
            _fold(term, labels, "matchLabelKeys", "In")
            _fold(term, labels, "mismatchLabelKeys", "NotIn")


def affinity_terms(affinity: Obj) -> list[Obj]:
    """Required and preferred ones of a podAffinity or podAntiAffinity."""
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or []
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []
    return [*required, *(p.get("podAffinityTerm") or {} for p in preferred)]


def _fold(term: Obj, labels: dict[str, str], keys_field: str, operator: str) -> None:
    selector = term.get("labelSelector")
    keys = [k for k in term.get(keys_field) or () if k in labels]
    if selector is None or not keys:
        return
    more = [{"key": k, "operator": operator, "values": [labels[k]]} for k in keys]
    selector["matchExpressions"] = [*(selector.get("matchExpressions") or []), *more]
