"""Readers of pods and pod templates that controllers, scheduler and agent share.

All pure and over wire-shaped dicts; a pod may be a real one or a template's ``spec`` wrapped as
``{"spec": ...}`` where only the spec is read. Nothing here writes a status: that is the agent's.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from edgek.api.conditions import find_condition, is_true
from edgek.api.meta import Key, Obj, get_path, hash_of, key_of
from edgek.api.quantity import add_resources, parse_quantity
from edgek.api.time import parse_time

Amounts = dict[str, Fraction]
QOS_RESOURCES = ("cpu", "memory")
TERMINAL_PHASES = ("Succeeded", "Failed")


def containers(pod: Mapping[str, Any]) -> list[Obj]:
    found: list[Obj] = get_path(pod, "spec", "containers", default=[])
    return found


def init_containers(pod: Mapping[str, Any]) -> list[Obj]:
    found: list[Obj] = get_path(pod, "spec", "initContainers", default=[])
    return found


def ephemeral_containers(pod: Mapping[str, Any]) -> list[Obj]:
    """Those that were added to look into a running pod."""
    found: list[Obj] = get_path(pod, "spec", "ephemeralContainers", default=[])
    return found


def all_containers(pod: Mapping[str, Any]) -> list[Obj]:
    """Every kind of them; names are unique over all."""
    return [*init_containers(pod), *containers(pod), *ephemeral_containers(pod)]


def is_sidecar(container: Mapping[str, Any]) -> bool:
    """An init container that keeps running beside the others."""
    return container.get("restartPolicy") == "Always"


def phase(pod: Mapping[str, Any]) -> str:
    return str(get_path(pod, "status", "phase", default=""))


def is_terminal(pod: Mapping[str, Any]) -> bool:
    """Succeeded or Failed: it never runs again."""
    return phase(pod) in TERMINAL_PHASES


def is_active(pod: Mapping[str, Any]) -> bool:
    """Neither over nor being deleted: what a controller counts as a replica."""
    return not is_terminal(pod) and not pod["metadata"].get("deletionTimestamp")


def deletion_deadline(pod: Mapping[str, Any]) -> datetime | None:
    """When the grace of a pod that is being deleted ends."""
    meta = pod["metadata"]
    since, grace = meta.get("deletionTimestamp"), meta.get("deletionGracePeriodSeconds")
    return parse_time(since) + timedelta(seconds=grace) if since and grace is not None else None


def node_name(pod: Mapping[str, Any]) -> str:
    """The node the pod is bound to, or ""."""
    return str(get_path(pod, "spec", "nodeName", default=""))


def pod_ips(pod: Mapping[str, Any]) -> list[str]:
    """Every address of the pod, the primary first."""
    found = [e["ip"] for e in get_path(pod, "status", "podIPs", default=[]) if e.get("ip")]
    first = get_path(pod, "status", "podIP", default="")
    return found or ([first] if first else [])


def pod_ip(pod: Mapping[str, Any]) -> str:
    """The primary address, or ""."""
    return next(iter(pod_ips(pod)), "")


def is_ready(pod: Mapping[str, Any]) -> bool:
    return is_true(get_path(pod, "status", "conditions"), "Ready")


def is_available(pod: Mapping[str, Any], min_ready_seconds: int, now: datetime) -> bool:
    """Ready for at least ``min_ready_seconds`` (As podutil.IsPodAvailable)."""
    return is_ready(pod) and available_after(pod, min_ready_seconds, now) == timedelta(0)


def available_after(
    pod: Mapping[str, Any], min_ready_seconds: int, now: datetime
) -> timedelta | None:
    """How long until a ready pod counts as available; None while it is not ready."""
    ready = find_condition(get_path(pod, "status", "conditions"), "Ready")
    if ready is None or ready.get("status") != "True":
        return None
    if not min_ready_seconds:
        return timedelta(0)
    since = ready.get("lastTransitionTime")
    wait = timedelta(seconds=min_ready_seconds)
    return wait if not since else max(timedelta(0), parse_time(since) + wait - now)


def claims_of(pod: Mapping[str, Any]) -> list[Key]:
    """The claims a pod names, and those that are made for its ephemeral volumes."""
    key, found = key_of(pod), []
    for volume in get_path(pod, "spec", "volumes", default=[]):
        if claim := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
            found.append(Key(key.namespace, claim))
        elif volume.get("ephemeral") is not None:
            found.append(Key(key.namespace, f"{key.name}-{volume.get('name')}"))
    return found


def port_number(pod: Mapping[str, Any], target: int | str, protocol: str = "TCP") -> int | None:
    """The container port that a Service's or probe's ``targetPort`` means.

    As podutil.FindPort: numbers are taken as they are, a name is looked for in the containers
    and then in the sidecars; None where no container has it.
    """
    if isinstance(target, int):
        return target
    sidecars = [c for c in init_containers(pod) if is_sidecar(c)]
    for container in (*containers(pod), *sidecars):
        for port in container.get("ports") or ():
            if port.get("name") == target and (port.get("protocol") or "TCP") == protocol:
                return int(port["containerPort"])
    return None


# -- resources -------------------------------------------------------------------------------


def _amounts(container: Mapping[str, Any], which: str) -> Amounts:
    return add_resources(get_path(container, "resources", which))


def _sum(*amounts: Mapping[str, Fraction]) -> Amounts:
    out: Amounts = {}
    for each in amounts:
        for resource, amount in each.items():
            out[resource] = out.get(resource, Fraction(0)) + amount
    return out


def _most(*amounts: Mapping[str, Fraction]) -> Amounts:
    out: Amounts = {}
    for each in amounts:
        for resource, amount in each.items():
            out[resource] = max(out.get(resource, amount), amount)
    return out


def _effective(pod: Mapping[str, Any], which: str) -> Amounts:
    """As component-helpers resource.AggregateContainerRequests.

    Init containers run one after another, so each needs its own amount on top of the sidecars
    started before it; afterwards the containers run together with all sidecars.
    """
    running: Amounts = _sum(*(_amounts(c, which) for c in containers(pod)))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in init_containers(pod):
        own = _amounts(container, which)
        if is_sidecar(container):
            running, sidecars = _sum(running, own), _sum(sidecars, own)
            peak = _most(peak, sidecars)
        else:
            peak = _most(peak, _sum(own, sidecars))
    # spec.resources, where given, speaks for the whole pod.
    return _most(running, peak) | _amounts(get_path(pod, "spec", default={}), which)


def pod_requests(pod: Mapping[str, Any]) -> Amounts:
    """What the scheduler reserves for the pod, by resource name, in exact base units."""
    return _sum(_effective(pod, "requests"), add_resources(get_path(pod, "spec", "overhead")))


def pod_limits(pod: Mapping[str, Any]) -> Amounts:
    """The pod's limits; overhead is added only to resources that have one."""
    limits = _effective(pod, "limits")
    overhead = add_resources(get_path(pod, "spec", "overhead"))
    return _sum(limits, {r: a for r, a in overhead.items() if limits.get(r)})


def _positive(resources: Mapping[str, Any] | None) -> Amounts:
    found = {r: parse_quantity(a) for r, a in (resources or {}).items() if r in QOS_RESOURCES}
    return {r: a for r, a in found.items() if a > 0}


def qos_class(pod: Mapping[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort (As qos.ComputePodQOS); only cpu and memory count."""
    whole = get_path(pod, "spec", "resources", default={})
    parts: Iterable[Any] = [whole] if whole else _all_resources(pod)
    requests: Amounts = {}
    limits: Amounts = {}
    guaranteed = True
    for part in parts:
        requests = _sum(requests, _positive(part.get("requests")))
        own = _positive(part.get("limits"))
        limits = _sum(limits, own)
        guaranteed = guaranteed and len(own) == len(QOS_RESOURCES)
    if not requests and not limits:
        return "BestEffort"
    if guaranteed and requests == limits:
        return "Guaranteed"
    return "Burstable"


def _all_resources(pod: Mapping[str, Any]) -> Iterator[Obj]:
    for container in (*containers(pod), *init_containers(pod)):
        yield container.get("resources") or {}


# -- templates -------------------------------------------------------------------------------


def pod_template_hash(template: Mapping[str, Any], collision_count: int | None = None) -> str:
    """A stable name part for a pod template; ``collision_count`` gives another one."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return hash_of(text if collision_count is None else f"{text}#{collision_count}")


def scaled_value(value: int | str, total: int, *, round_up: bool) -> int:
    """An int-or-percent resolved against ``total``. Raises ValueError where it is neither."""
    if isinstance(value, int):
        return value
    if not value.endswith("%") or not value[:-1].isdecimal():
        raise ValueError("invalid value for IntOrString: invalid type: string is not a percentage")
    parts = int(value[:-1]) * total
    return -(-parts // 100) if round_up else parts // 100
