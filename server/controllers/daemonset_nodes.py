"""On which nodes a DaemonSet's pods belong, and the pod for one node.

Pure. A daemon tolerates what ails its node, and is bound to it by affinity to the node's name, so
that the scheduler places it (and accounts for it) like any other pod. As pkg/controller/daemon/
daemon_controller.go NodeShouldRunDaemonPod and util/daemonset_util.go.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from edgek.api.meta import Obj, annotations, get_path, labels, name
from edgek.api.node_selector import named_nodes, parse_required
from edgek.api.taints import (
    DISK_PRESSURE,
    MEMORY_PRESSURE,
    NETWORK_UNAVAILABLE,
    NO_EXECUTE,
    NO_SCHEDULE,
    NOT_READY,
    PID_PRESSURE,
    UNREACHABLE,
    UNSCHEDULABLE,
    untolerated,
)
from edgek.kinds.pods import node_name
from server.controllers.controller_revision import HASH
from server.controllers.pod_control import pod_from_template

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
GENERATION_LABEL = "pod-template-generation"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_TOLERATED = (
    (NOT_READY, NO_EXECUTE),
    (UNREACHABLE, NO_EXECUTE),
    (DISK_PRESSURE, NO_SCHEDULE),
    (MEMORY_PRESSURE, NO_SCHEDULE),
    (PID_PRESSURE, NO_SCHEDULE),
    (UNSCHEDULABLE, NO_SCHEDULE),
)


class Fit(NamedTuple):
    """Whether a pod is to be made on a node, and whether one that is there may stay."""

    run: bool
    stay: bool


def daemon_tolerations(spec: Obj) -> list[Obj]:
    """The template's tolerations and those every daemon has; equal ones are not doubled."""
    wanted = [*_TOLERATED]
    if spec.get("hostNetwork"):
        wanted.append((NETWORK_UNAVAILABLE, NO_SCHEDULE))
    out: list[Obj] = list(spec.get("tolerations") or ())
    for key, effect in wanted:
        toleration = {"key": key, "operator": "Exists", "effect": effect}
        if toleration not in out:
            out.append(toleration)
    return out


def node_fit(daemon_set: Obj) -> Callable[[Obj], Fit]:
    """Parses the template once; the answer is then cheap for each node."""
    spec: Obj = get_path(daemon_set, "spec", "template", "spec", default={})
    only, matches = spec.get("nodeName"), parse_required(spec)
    tolerations = daemon_tolerations(spec)

    def fit(node: Obj) -> Fit:
        if only and only != name(node):
            return Fit(run=False, stay=False)
        if matches is not None and not matches(name(node), labels(node)):
            return Fit(run=False, stay=False)
        taints = get_path(node, "spec", "taints", default=[])
        if untolerated(taints, tolerations) is None:
            return Fit(run=True, stay=True)
        return Fit(run=False, stay=untolerated(taints, tolerations, (NO_EXECUTE,)) is None)

    return fit


def fit_changed(old: Obj | None, new: Obj | None) -> bool:
    """Whether a node's change can matter here; its heartbeats and status do not."""
    if old is None or new is None:
        return True
    taints = [get_path(node, "spec", "taints", default=[]) for node in (old, new)]
    return labels(old) != labels(new) or taints[0] != taints[1]


def target_node(pod: Obj) -> str:
    """The node the pod is on, or was made for; "" where it can not be told."""
    if bound := node_name(pod):
        return bound
    named = named_nodes(pod.get("spec") or {}) or frozenset()
    return next(iter(named)) if len(named) == 1 else ""


def daemon_pod(daemon_set: Obj, node: str, revision_hash: str) -> Obj:
    """The pod to create for one node."""
    pod = pod_from_template(daemon_set["spec"]["template"], daemon_set)
    own = {HASH: revision_hash}
    if generation := template_generation(daemon_set):
        own[GENERATION_LABEL] = generation
    pod["metadata"]["labels"] = {**labels(pod), **own}
    spec = pod["spec"]
    spec["tolerations"] = daemon_tolerations(spec)
    spec["affinity"] = _bound_to(spec.get("affinity") or {}, node)
    return pod


def template_generation(daemon_set: Obj) -> str:
    return annotations(daemon_set).get(TEMPLATE_GENERATION, "")


def _bound_to(affinity: Obj, node: str) -> Obj:
    """The affinity with the node's name in place of what nodes were required to be: the
    controller has looked at that, and terms are alternatives, so both can not stand."""
    field: dict[str, Any] = {"key": "metadata.name", "operator": "In", "values": [node]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {
        **affinity,
        "nodeAffinity": {**(affinity.get("nodeAffinity") or {}), _REQUIRED: required},
    }


def is_updated(pod: Obj, daemon_set: Obj, revision_hash: str) -> bool:
    """Whether the pod was made from the present template."""
    if labels(pod).get(HASH) == revision_hash:
        return True
    generation = template_generation(daemon_set)
    return bool(generation) and labels(pod).get(GENERATION_LABEL) == generation
