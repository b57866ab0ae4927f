"""A container's and a pod's cgroup settings from what they ask for. Pure.

As qos/policy.go and cm/helpers_linux.go.
"""

from collections.abc import Iterable
from fractions import Fraction

from agent.runtime.runtime import Resources
from edgek.api.meta import Obj, get_path
from edgek.api.quantity import milli, parse_quantity, value
from edgek.kinds.pods import (
    QOS_RESOURCES,
    containers,
    init_containers,
    is_sidecar,
    pod_limits,
    pod_requests,
    qos_class,
)

PERIOD_US = 100_000
HUGE_PAGES = "hugepages-"
MIN_SHARES, MAX_SHARES = 2, 262_144
MIN_QUOTA_US = 1000


def _shares(milli_cpu: int) -> int:
    return min(max(milli_cpu * 1024 // 1000, MIN_SHARES), MAX_SHARES)


def _quota(milli_cpu: int) -> int:
    return max(milli_cpu * PERIOD_US // 1000, MIN_QUOTA_US) if milli_cpu else 0


def container_resources(pod: Obj, container: Obj, *, node_memory: Fraction) -> Resources:
    """Where the container has no limit of its own, the pod's as a whole is its limit too."""
    whole = get_path(pod, "spec", "resources", "limits", default={})
    own = get_path(container, "resources", "limits", default={})
    limits = {k: v for k, v in whole.items() if k in QOS_RESOURCES} | own
    requests = own | get_path(container, "resources", "requests", default={})
    return Resources(
        cpu_shares=_shares(milli(requests.get("cpu", 0))),
        cpu_quota_us=_quota(milli(limits.get("cpu", 0))),
        cpu_period_us=PERIOD_US,
        memory_limit_bytes=value(limits.get("memory", 0)),
        oom_score_adj=oom_score(pod, container, node_memory=node_memory),
        huge_pages={
            value(resource.removeprefix(HUGE_PAGES)): value(amount)
            for resource, amount in limits.items()
            if resource.startswith(HUGE_PAGES)
        },
    )


def pod_resources(pod: Obj, *, pids_limit: int = 0) -> Resources:
    """As ResourceConfigForPod: limits only where the pod or every container has one."""
    requests, limits = pod_requests(pod), pod_limits(pod)
    every = (*containers(pod), *init_containers(pod))

    def bounded(resource: str) -> bool:
        if get_path(pod, "spec", "resources", "limits", resource):
            return True
        return all(get_path(c, "resources", "limits", resource) for c in every)

    cpu = requests.get("cpu", Fraction(0))
    return Resources(
        cpu_shares=_shares(milli_of(cpu)),
        cpu_quota_us=_quota(milli_of(limits.get("cpu", Fraction(0)))) if bounded("cpu") else 0,
        cpu_period_us=PERIOD_US,
        memory_limit_bytes=int(limits.get("memory", 0)) if bounded("memory") else 0,
        pids_limit=pids_limit,
    )


def class_shares(pods: Iterable[Obj]) -> dict[str, int]:
    """QoS class -> the weight of all its pods together. As qos_container_manager_linux.go: what
    best-effort pods get is what the others leave. Guaranteed pods have a level of their own here
    and so need its weight said; upstream has them beside the classes."""
    asked = {"Guaranteed": 0, "Burstable": 0}
    for pod in pods:
        qos = qos_class(pod)
        if qos in asked:
            asked[qos] += milli_of(pod_requests(pod).get("cpu", Fraction(0)))
    return {"BestEffort": MIN_SHARES, **{qos: _shares(cpu) for qos, cpu in asked.items()}}


def milli_of(amount: Fraction) -> int:
    return -(-amount * 1000 // 1)


def oom_score(pod: Obj, container: Obj, *, node_memory: Fraction) -> int:
    """As qos.GetContainerOOMScoreAdjust; a sidecar dies no sooner than those it serves."""
    qos = qos_class(pod)
    if get_path(pod, "spec", "priority", default=0) >= 2_000_000_000 or qos == "Guaranteed":
        return -997
    if qos == "BestEffort":
        return 1000
    own = _burstable_score(pod, container, node_memory=node_memory)
    if is_sidecar(container) and container in init_containers(pod):
        mains = [_burstable_score(pod, c, node_memory=node_memory) for c in containers(pod)]
        return min(own, *mains)
    return own


def _burstable_score(pod: Obj, container: Obj, *, node_memory: Fraction) -> int:
    asked = _memory_request(container) + _share_of_pod(pod)
    score = 1000 - int(1000 * asked / node_memory) if node_memory else 999
    return min(max(score, 3), 999)


def _share_of_pod(pod: Obj) -> Fraction:
    """What the pod asks for as a whole beyond its containers, divided among them."""
    whole = get_path(pod, "spec", "resources", "requests", "memory")
    if not whole:
        return Fraction(0)
    every = [*containers(pod), *(c for c in init_containers(pod) if is_sidecar(c))]
    left = parse_quantity(whole) - sum(_memory_request(c) for c in every)
    return max(left, Fraction(0)) / len(every)


def _memory_request(container: Obj) -> Fraction:
    return parse_quantity(get_path(container, "resources", "requests", "memory", default=0))
