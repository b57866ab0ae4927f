"""Resizing a pod in place: what it asks for, what it has been given, what is to change. Pure.

As pkg/kubelet/allocation: the node decides what a pod is given (its allocation), and everything
else here goes by that and not by the spec. ``resizing`` carries it out.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from agent.pods.state import RESOURCES
from agent.runtime.runtime import Container, Resources
from edgek.api.meta import Obj, get_path
from edgek.api.quantity import parse_quantity
from edgek.kinds.pods import Amounts, containers, init_containers, pod_requests

PARTS = ("limits", "requests")
KINDS = ("cpu", "memory")
PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """``containers``: name -> limits and requests; ``pod``: those of the pod as a whole."""

    containers: Mapping[str, Obj]
    pod: Obj | None = None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """``reason`` is Deferred or Infeasible."""

    reason: str
    message: str


def bare(resources: Mapping[str, Any] | None) -> Obj:
    """Limits and requests alone."""
    return {part: resources[part] for part in PARTS if resources and resources.get(part)}


def desired(pod: Obj) -> Allocation:
    """What the spec asks for."""
    every = (*init_containers(pod), *containers(pod))
    whole = get_path(pod, "spec", "resources")
    return Allocation(
        containers={c["name"]: bare(c.get("resources")) for c in every},
        pod=bare(whole) if whole else None,
    )


def with_allocation(pod: Obj, given: Allocation) -> Obj:
    """The pod as if it asked for what it was given."""
    if desired(pod) == given:
        return pod
    spec = dict(pod["spec"])
    for field in ("containers", "initContainers"):
        if field in spec:
            spec[field] = [_given(c, given.containers.get(c["name"])) for c in spec[field]]
    if given.pod is not None:
        spec["resources"] = {**(spec.get("resources") or {}), **given.pod}
    return {**pod, "spec": spec}


def _given(container: Obj, resources: Obj | None) -> Obj:
    if resources is None:
        return container
    others = {k: v for k, v in (container.get("resources") or {}).items() if k not in PARTS}
    return {**container, "resources": {**others, **resources}}


def refusal(pod: Obj, others: Iterable[Obj], allocatable: Mapping[str, Any]) -> Refusal | None:
    """Why the node cannot give the pod what it asks for. As canResizePod: Infeasible where it
    never can, Deferred while other pods have it."""
    wanted = pod_requests(pod)
    used: Amounts = {}
    for other in others:
        for kind, amount in pod_requests(other).items():
            used[kind] = used.get(kind, Fraction(0)) + amount
    for kind in ("memory", "cpu"):
        asked, have = wanted.get(kind, Fraction(0)), parse_quantity(allocatable.get(kind, 0))
        if asked > have:
            text = f"{kind}, requested: {_whole(asked, kind)}, capacity: {_whole(have, kind)}"
            return Refusal(reason="Infeasible", message=f"Node didn't have enough capacity: {text}")
    for kind in KINDS:
        asked, have = wanted.get(kind, Fraction(0)), parse_quantity(allocatable.get(kind, 0))
        taken = used.get(kind, Fraction(0))
        if asked and taken + asked > have:
            text = (
                f"{kind}, requested: {_whole(asked, kind)}, used: {_whole(taken, kind)}, "
                f"capacity: {_whole(have, kind)}"
            )
            return Refusal(reason="Deferred", message=f"Node didn't have enough resource: {text}")
    return None


def _whole(amount: Fraction, kind: str) -> str:
    return str(-(-amount * (1000 if kind == "cpu" else 1) // 1))


def changed_kinds(has: Mapping[str, Any], given: Mapping[str, Any]) -> set[str]:
    """Which of cpu and memory differ between what a container has and what it was given."""
    return {
        kind for kind in KINDS for part in PARTS
        if parse_quantity(get_path(has, part, kind, default=0))
        != parse_quantity(get_path(given, part, kind, default=0))
    }  # fmt: skip


def wants_restart(container: Obj, kinds: set[str]) -> bool:
    """A memory request alone changes nothing that a running container would notice, and counts
    all the same: its policy speaks of the resource."""
    policies = container.get("resizePolicy") or ()
    asked = {p["resourceName"] for p in policies if p.get("restartPolicy") == "RestartContainer"}
    return bool(asked & kinds)


def made_with(container: Container) -> Obj:
    """The resources that a container was made with, told by its label."""
    text = container.labels.get(RESOURCES)
    return bare(json.loads(text)) if text else {}


def wider(one: Resources, other: Resources) -> Resources:
    """Limits that hold neither back: a pod's own are never below those of its containers."""

    def most(a: int, b: int) -> int:
        return max(a, b) if a and b else 0

    return replace(
        one,
        cpu_shares=max(one.cpu_shares, other.cpu_shares),
        cpu_quota_us=most(one.cpu_quota_us, other.cpu_quota_us),
        memory_limit_bytes=most(one.memory_limit_bytes, other.memory_limit_bytes),
    )


def message(prefix: str, pod: Obj, *, generation: int, error: str = "") -> str:
    """The events' text; as pkg/kubelet/events podResizeMessage."""
    told: Obj = {}
    for field, found in (("initContainers", init_containers(pod)), ("containers", containers(pod))):
        if found:
            told[field] = [
                {"name": c["name"], "resources": bare(c.get("resources"))} for c in found
            ]
    told["generation"] = generation
    if error:
        told["error"] = error
    return f"{prefix}: {json.dumps(told, separators=(',', ':'))}"
