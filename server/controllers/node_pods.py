"""What becomes of the status of pods when their node falls silent or comes back.

The part of ``node_lifecycle`` that writes pods. An ordinary pod is not ready while its node is
silent, whatever it said last (as MarkPodsNotReady). A node that speaks knows better, also one
that says it is not ready: to contradict it would be a quarrel with its agent without end. An
autonomous pod is unknown while its node is silent, and when the node is heard of again a mark
stays that the pod kept its place (``autonomy.py``).
"""

from collections.abc import Sequence

from edgek.api.conditions import find_condition, with_condition
from edgek.api.errors import Conflict, NotFound
from edgek.api.meta import Obj, get_path, name
from edgek.api.time import format_time
from edgek.control.controller import Context
from edgek.control.events import Source
from edgek.kinds import POD
from edgek.kinds.pods import is_ready, node_name
from server.controllers.autonomy import NODE_REACHABLE, Autonomy, plan_cut_off, plan_returned
from server.controllers.node_health import ready_status
from server.controllers.pod_gc import BY_NODE, index_by_node

CUT_OFF = "cut-off"
"""The index of pods that are marked as cut off, by node: healthy nodes' pods cost no look."""


def index_cut_off(pod: Obj) -> Sequence[str]:
    found = find_condition(get_path(pod, "status", "conditions"), NODE_REACHABLE)
    return () if found is None or found.get("status") == "True" else (node_name(pod),)


def plan_not_ready(pod: Obj, *, now: str) -> Obj | None:
    """As MarkPodsNotReady: nobody should call it."""
    if not is_ready(pod):
        return None
    condition = {"type": "Ready", "status": "False"}
    conditions = with_condition(pod["status"]["conditions"], condition, now=now)
    return {**pod["status"], "conditions": conditions}


class PodMarks:
    """``mark`` brings the pods of one node in line with what is known of the node."""

    def __init__(self, context: Context, autonomy: Autonomy, source: Source) -> None:
        self._client = context.client
        self._clock = context.clock
        self._source = source
        self._autonomy = autonomy
        self._pods = context.informers.get(POD)
        self._pods.add_index(BY_NODE, index_by_node)
        self._pods.add_index(CUT_OFF, index_cut_off)

    async def mark(self, node: Obj) -> None:
        """Raises Conflict, after all were tried, where a pod has changed meanwhile."""
        state, conflict = ready_status(node), None
        pods = self._pods.by_index(BY_NODE if state == "Unknown" else CUT_OFF, name(node))
        for pod in pods:
            try:
                if state == "Unknown":
                    await self._silent(pod, node)
                else:
                    await self._heard(pod, node)
            except NotFound:
                continue
            except Conflict as err:
                conflict = err
        if conflict is not None:
            raise conflict

    async def _silent(self, pod: Obj, node: Obj) -> None:
        now = format_time(self._clock.now())
        if not self._autonomy.of(pod, node):
            await self._not_ready(pod, now)
            return
        status = plan_cut_off(pod, node, now=now)
        if status is not None:
            await self._write(pod, status)
            message = f"Node {name(node)} is silent; the pod is autonomous and keeps its place"
            self._source.normal(pod, "NodeUnreachable", message)

    async def _heard(self, pod: Obj, node: Obj) -> None:
        status = plan_returned(pod, node, now=format_time(self._clock.now()))
        if status is not None:
            pod = await self._write(pod, status)
            self._source.normal(pod, "NodeReturned", f"Node {name(node)} is heard of again")

    async def _not_ready(self, pod: Obj, now: str) -> None:
        status = plan_not_ready(pod, now=now)
        if status is not None:
            self._source.warning(pod, "NodeNotReady", "Node is not ready")
            await self._write(pod, status)

    async def _write(self, pod: Obj, status: Obj) -> Obj:
        return await self._client.update_status(POD, {**pod, "status": status})
