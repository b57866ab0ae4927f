"""Whom a critical pod takes the room of, where the node is full. Pure.

As pkg/kubelet/preemption: static and system-critical pods are not refused for want of room, the
least important pods go instead. Nobody has to where the pod would be refused all the same.
"""

from collections.abc import Iterable

from agent.pods.admission import admit, is_critical, shortages
from agent.pods.memory import Host
from agent.pods.state import Failure
from edgek.api.meta import Obj, get_path
from edgek.kinds.pods import qos_class

PREEMPTED = Failure(
    reason="Preempting", message="Preempted in order to admit critical pod", disruption=True
)
QOS_ORDER = ("BestEffort", "Burstable", "Guaranteed")


def plan_preemption(pod: Obj, others: Iterable[Obj], host: Host) -> list[Obj]:
    """The pods to end, of the least important class first and as few as possible."""
    others = list(others)
    if not is_critical(pod) or not shortages(pod, others, host.allocatable):
        return []
    left, victims = others, list[Obj]()
    candidates = [o for o in others if _may_preempt(pod, o)]
    for chosen in sorted(candidates, key=lambda o: QOS_ORDER.index(qos_class(o))):
        if not shortages(pod, left, host.allocatable):
            break
        left = [o for o in left if o is not chosen]
        victims.append(chosen)
    if admit(pod, left, host) is not None:
        return []
    return _needed(pod, others, victims, host)


def _needed(pod: Obj, others: list[Obj], victims: list[Obj], host: Host) -> list[Obj]:
    """Without those that can stay after all, the most important of them first."""
    for victim in reversed(victims):
        fewer = [v for v in victims if v is not victim]
        left = [o for o in others if all(o is not v for v in fewer)]
        if not shortages(pod, left, host.allocatable):
            victims = fewer
    return victims


def _may_preempt(pod: Obj, other: Obj) -> bool:
    return not is_critical(other) or _priority(pod) > _priority(other)


def _priority(pod: Obj) -> int:
    return int(get_path(pod, "spec", "priority", default=0))
