"""Autonomy: for pods that are marked so, silence of their node is no evidence that they died.

Pure, and edgek's own; upstream knows nothing alike. ``Autonomy`` says who is marked: the pod's own
annotation, else its node's label, else the server's default. ``plan_cut_off`` and
``plan_returned`` are what such a pod's status says while its node is silent, and after. Who acts
on it: ``node_lifecycle`` (status), ``taint_eviction`` (no eviction), ``deletion_order`` (who
stayed through an outage outlasts a replacement). docs/edge.md tells users.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edgek.api import taints as t
from edgek.api.conditions import find_condition, with_condition
from edgek.api.meta import Obj, annotations, get_path, is_deleting, labels, name
from edgek.kinds.pods import is_ready, phase

AUTONOMOUS = "edgek.io/autonomous"
"""An annotation of pods and a label of nodes; "true" or "false", anything else says nothing."""
NODE_REACHABLE = "edgek.io/NodeReachable"
"""The pod condition of an autonomous pod that has been through an outage of its node."""

_WORDS = {"true": True, "false": False}


@dataclass(frozen=True)
class Autonomy:
    """``default`` is for pods of which neither they nor their node say anything."""

    default: bool = False

    def of(self, pod: Obj, node: Obj | None) -> bool:
        own = _WORDS.get(annotations(pod).get(AUTONOMOUS, ""))
        if own is not None:
            return own
        nodes = _WORDS.get(labels(node).get(AUTONOMOUS, "")) if node is not None else None
        return self.default if nodes is None else nodes

    def evicting(self, taints: Sequence[Obj], pod: Obj, node: Obj | None) -> list[Obj]:
        """The taints that may cost the pod its place: silence is none for an autonomous one.
        What the node says of itself and what people say of it (out-of-service) still are."""
        silence = [x for x in taints if x.get("key") == t.UNREACHABLE]
        if not silence or not self.of(pod, node):
            return list(taints)
        return [x for x in taints if x.get("key") != t.UNREACHABLE]


def marks_changed(old: Obj, new: Obj) -> bool:
    """Whether two forms of a pod, or of a node, are marked differently."""
    return (annotations(old).get(AUTONOMOUS), labels(old).get(AUTONOMOUS)) != (
        annotations(new).get(AUTONOMOUS),
        labels(new).get(AUTONOMOUS),
    )


def has_been_cut_off(pod: Obj) -> bool:
    """Now or earlier: the pod has kept its place through an outage of its node."""
    return _reachable(pod) is not None


def may_be_ready(pod: Obj) -> bool:
    """It was ready when its node fell silent, and nothing is known of it since."""
    found = find_condition(get_path(pod, "status", "conditions"), "Ready")
    return phase(pod) == "Unknown" and found is not None and found.get("status") == "Unknown"


def plan_cut_off(pod: Obj, node: Obj, *, now: str) -> Obj | None:
    """The status of an autonomous pod whose node is silent; None where it says so already.

    Said once an outage: a node that is silent to us and yet writes statuses is right about them.
    """
    found = _reachable(pod)
    if phase(pod) != "Running" or is_deleting(pod):
        return None
    if found is not None and found.get("status") == "False":
        return None
    cut = {
        "type": NODE_REACHABLE,
        "status": "False",
        "reason": "NodeUnreachable",
        "message": f"Node {name(node)} is silent; the pod is autonomous and thought to run on",
    }
    conditions = get_path(pod, "status", "conditions", default=[])
    if is_ready(pod):
        unknown = {"type": "Ready", "status": "Unknown", "reason": "NodeUnreachable"}
        conditions = with_condition(conditions, unknown, now=now)
    conditions = with_condition(conditions, cut, now=now)
    return {**pod["status"], "phase": "Unknown", "conditions": conditions}


def plan_returned(pod: Obj, node: Obj, *, now: str) -> Obj | None:
    """The status of a pod whose node is heard of again; None where there is nothing to say.

    Phase and readiness are the agent's to tell, and it does as soon as it sees ours.
    """
    found = _reachable(pod)
    if found is None or found.get("status") == "True":
        return None
    since = found.get("lastTransitionTime", now)
    back = {
        "type": NODE_REACHABLE,
        "status": "True",
        "reason": "NodeReturned",
        "message": f"Node {name(node)} was silent from {since} to {now}; the pod kept its place",
    }
    conditions = with_condition(pod["status"]["conditions"], back, now=now)
    return {**pod["status"], "conditions": conditions}


def _reachable(pod: Obj) -> Obj | None:
    return find_condition(get_path(pod, "status", "conditions"), NODE_REACHABLE)
