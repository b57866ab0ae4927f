"""A container's and a pod's cgroup settings from what they ask for. Pure.

As qos/policy.go and cm/helpers_linux.go.
"""

from fractions import Fraction

from agent.runtime.runtime import Resources
from edgek.api.meta import Obj, get_path
from edgek.api.quantity import milli, parse_quantity, value
from edgek.kinds.pods import containers, pod_limits, pod_requests, qos_class

PERIOD_US = 100_000
MIN_SHARES, MAX_SHARES = 2, 262_144
MIN_QUOTA_US = 1000


def _shares(milli_cpu: int) -> int:
    return min(max(milli_cpu * 1024 // 1000, MIN_SHARES), MAX_SHARES)


def _quota(milli_cpu: int) -> int:
    return max(milli_cpu * PERIOD_US // 1000, MIN_QUOTA_US) if milli_cpu else 0


def container_resources(pod: Obj, container: Obj, *, node_memory: Fraction) -> Resources:
    limits = get_path(container, "resources", "limits", default={})
    requests = limits | get_path(container, "resources", "requests", default={})
    return Resources(
        cpu_shares=_shares(milli(requests.get("cpu", 0))),
        cpu_quota_us=_quota(milli(limits.get("cpu", 0))),
        cpu_period_us=PERIOD_US,
        memory_limit_bytes=value(limits.get("memory", 0)),
        oom_score_adj=oom_score(pod, container, node_memory=node_memory),
    )


def pod_resources(pod: Obj) -> Resources:
    """As ResourceConfigForPod: limits only where every container has one."""
    requests, limits = pod_requests(pod), pod_limits(pod)

    def bounded(resource: str) -> bool:
        return all(get_path(c, "resources", "limits", resource) for c in containers(pod))

    cpu = requests.get("cpu", Fraction(0))
    return Resources(
        cpu_shares=_shares(milli_of(cpu)),
        cpu_quota_us=_quota(milli_of(limits.get("cpu", Fraction(0)))) if bounded("cpu") else 0,
        cpu_period_us=PERIOD_US,
        memory_limit_bytes=int(limits.get("memory", 0)) if bounded("memory") else 0,
    )


def milli_of(amount: Fraction) -> int:
    return -(-amount * 1000 // 1)


def oom_score(pod: Obj, container: Obj, *, node_memory: Fraction) -> int:
    """As qos.GetContainerOOMScoreAdjust."""
    qos = qos_class(pod)
    if get_path(pod, "spec", "priority", default=0) >= 2_000_000_000 or qos == "Guaranteed":
        return -997
    if qos == "BestEffort":
        return 1000
    asked = parse_quantity(get_path(container, "resources", "requests", "memory", default=0))
    score = 1000 - int(1000 * asked / node_memory) if node_memory else 999
    return min(max(score, 3), 999)
