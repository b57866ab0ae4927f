"""Carries a preemption out: its victims are told why, and deleted.

As framework/preemption prepareCandidate. What was decided stands by the nomination in the
snapshot; all that fails here is tried again with the next decision on the pod.
"""

from edgek.aio.clock import Clock
from edgek.api.conditions import find_condition, with_condition
from edgek.api.errors import Conflict, NotFound
from edgek.api.meta import Obj, generation, get_path, is_deleting, key_of
from edgek.api.time import format_time
from edgek.client.client import Client
from edgek.control.events import Source
from edgek.kinds import POD
from server.scheduler.binding import patch_status
from server.scheduler.pod_info import PodInfo
from server.scheduler.preemption import REASON, Preemption
from server.scheduler.snapshot import Snapshot


def plan_disruption(victim: Obj, scheduler: str, *, now: str) -> Obj:
    """The condition that tells why a pod had to go; as PodDisruptionConditions."""
    condition: Obj = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": REASON,
        "message": f"{scheduler}: preempting to accommodate a higher priority pod",
        "lastProbeTime": None,
    }
    if generation(victim):
        condition["observedGeneration"] = generation(victim)
    conditions = with_condition(get_path(victim, "status", "conditions"), condition, now=now)
    return find_condition(conditions, "DisruptionTarget") or condition


async def preempt(
    client: Client, clock: Clock, events: Source, pod: PodInfo, plan: Preemption
) -> None:
    """Raises ApiError where a victim could not be removed; those who are gone already are
    what was wanted."""
    scheduler = pod.spec.get("schedulerName") or events.component
    for victim in plan.victims:
        try:
            await _remove(client, victim.pod, scheduler, now=format_time(clock.now()))
        except (NotFound, Conflict):
            continue
        text = f"Preempted by pod {pod.uid} on node {plan.node}"
        events.normal(victim.pod, "Preempted", text)


async def _remove(client: Client, victim: Obj, scheduler: str, *, now: str) -> None:
    if is_deleting(victim):
        return
    condition = plan_disruption(victim, scheduler, now=now)
    await patch_status(client, victim, {"conditions": [condition]})
    await client.delete(POD, key_of(victim), preconditions={"uid": victim["metadata"]["uid"]})


def outdone(pod: PodInfo, node_name: str, snapshot: Snapshot) -> list[PodInfo]:
    """The less important pods that were promised this node: it is promised to another now."""
    return [
        other
        for other, where in snapshot.nominated.values()
        if where == node_name and other.priority < pod.priority
    ]
