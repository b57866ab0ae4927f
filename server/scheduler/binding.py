"""What the scheduler tells the API server: bindings, and why a pod has no node yet."""

from edgek.aio.clock import Clock
from edgek.api.conditions import find_condition, with_condition
from edgek.api.meta import Obj, generation, key_of, uid
from edgek.api.time import format_time
from edgek.client.client import Client
from edgek.kinds import POD
from server.scheduler.ranking import Unschedulable


def plan_binding(pod: Obj, node_name: str) -> Obj:
    """NB: the uid keeps us from binding another pod that took the name meanwhile."""
    key = key_of(pod)
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid(pod)},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node_name},
    }


def plan_condition(pod: Obj, why: Unschedulable, *, now: str) -> Obj | None:
    """The condition PodScheduled=False; None where the pod has it already."""
    conditions = (pod.get("status") or {}).get("conditions")
    condition: Obj = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": why.message,
        "lastProbeTime": None,
    }
    if generation(pod):
        condition["observedGeneration"] = generation(pod)
    old = find_condition(conditions, "PodScheduled") or {}
    if all(old.get(name) == value for name, value in condition.items()):
        return None
    return find_condition(with_condition(conditions, condition, now=now), "PodScheduled")


async def bind(client: Client, pod: Obj, node_name: str) -> None:
    name = key_of(pod).name
    await client.create(POD, plan_binding(pod, node_name), subresource="binding", name=name)


async def report(client: Client, clock: Clock, pod: Obj, why: Unschedulable) -> None:
    """Writes the condition if it differs, and leaves alone those of others."""
    condition = plan_condition(pod, why, now=format_time(clock.now()))
    if condition is None:
        return
    body = {"metadata": {"uid": uid(pod)}, "status": {"conditions": [condition]}}
    await client.patch(POD, key_of(pod), body, patch_type="strategic", subresource="status")
