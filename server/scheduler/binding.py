"""What the scheduler tells the API server of a pod: its binding, or why it has no node yet."""

from edgek.aio.clock import Clock
from edgek.api.conditions import find_condition, with_condition
from edgek.api.meta import Obj, generation, key_of, uid
from edgek.api.time import format_time
from edgek.client.client import Client
from edgek.kinds import POD


def plan_binding(pod: Obj, node_name: str) -> Obj:
    """NB: the uid keeps us from binding another pod that took the name meanwhile."""
    key = key_of(pod)
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid(pod)},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node_name},
    }


def plan_condition(pod: Obj, message: str, *, now: str) -> Obj | None:
    """The condition PodScheduled=False; None where the pod has it already."""
    conditions = (pod.get("status") or {}).get("conditions")
    condition: Obj = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastProbeTime": None,
    }
    if generation(pod):
        condition["observedGeneration"] = generation(pod)
    old = find_condition(conditions, "PodScheduled") or {}
    if all(old.get(name) == value for name, value in condition.items()):
        return None
    return find_condition(with_condition(conditions, condition, now=now), "PodScheduled")


def plan_status(pod: Obj, message: str, nominated: str | None, *, now: str) -> Obj:
    """What has to change of the pod's status; empty where it says all this already.

    ``nominated`` is the node that others make room on, "" for none any more, None for no news.
    """
    out: Obj = {}
    if (condition := plan_condition(pod, message, now=now)) is not None:
        out["conditions"] = [condition]
    if nominated is not None:
        was = (pod.get("status") or {}).get("nominatedNodeName") or ""
        if was != nominated:
            out["nominatedNodeName"] = nominated or None
    return out


async def bind(client: Client, pod: Obj, node_name: str) -> None:
    name = key_of(pod).name
    await client.create(POD, plan_binding(pod, node_name), subresource="binding", name=name)


async def report(
    client: Client, clock: Clock, pod: Obj, message: str, *, nominated: str | None = None
) -> None:
    """Writes what differs, and leaves alone the conditions of others."""
    status = plan_status(pod, message, nominated, now=format_time(clock.now()))
    if status:
        await patch_status(client, pod, status)


async def patch_status(client: Client, pod: Obj, status: Obj) -> None:
    """NB: the uid keeps us from writing to another pod that took the name meanwhile."""
    body = {"metadata": {"uid": uid(pod)}, "status": status}
    await client.patch(POD, key_of(pod), body, patch_type="strategic", subresource="status")
