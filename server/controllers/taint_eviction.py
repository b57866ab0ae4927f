"""Taint eviction: pods leave nodes whose NoExecute taints they do not tolerate (any longer).

As pkg/controller/tainteviction. ``tolerationSeconds`` count from when this controller first saw
the pod under those taints, on the monotonic clock; one delay per such pod, and none else. The
taint of a silent node means nothing to autonomous pods (``autonomy.py``).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from edgek.api.conditions import with_condition
from edgek.api.errors import Conflict, NotFound
from edgek.api.meta import Key, Obj, get_path, is_deleting, key_of, name, uid
from edgek.api.taints import NO_EXECUTE, Taint, Toleration, tolerates
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import NODE, POD
from edgek.kinds.pods import is_terminal, node_name
from server.controllers.autonomy import Autonomy, marks_changed
from server.controllers.pod_gc import BY_NODE, index_by_node

FOREVER = float("inf")


def build(context: Context, *, autonomous: bool = False) -> "TaintEviction":
    return TaintEviction(context, Autonomy(autonomous))


def no_execute(node: Obj | None) -> list[Obj]:
    taints = get_path(node, "spec", "taints", default=())
    return [taint for taint in taints if taint.get("effect") == NO_EXECUTE]


def plan_patience(taints: Sequence[Taint], tolerations: Sequence[Toleration]) -> float:
    """Seconds the pod may stay: 0 where a taint is not tolerated at all, else the shortest of
    the ``tolerationSeconds`` in use, FOREVER where there are none (getMinTolerationTime)."""
    used = [[x for x in tolerations if tolerates(x, taint)] for taint in taints]
    if not all(used):
        return 0.0
    seconds = [x.get("tolerationSeconds") for found in used for x in found]
    return min((max(float(s), 0.0) for s in seconds if s is not None), default=FOREVER)


@dataclass(frozen=True)
class _Waiting:
    uid: str
    since: float


class TaintEviction:
    """Deletes pods; never touches nodes."""

    name = "taint-eviction-controller"
    kind = POD

    def __init__(self, context: Context, autonomy: Autonomy) -> None:
        self._autonomy = autonomy
        self._client = context.client
        self._clock = context.clock
        self._events = context.events.source("taint-eviction-controller")
        self._nodes = context.informers.get(NODE)
        self._pods = context.informers.get(POD)
        self._pods.add_index(BY_NODE, index_by_node)
        self._waiting: dict[Key, _Waiting] = {}
        self.watches: Sequence[Watch] = (
            ForKind(POD, when=_pod_matters),
            Mapped(NODE, self._pods_on, when=_node_matters),
        )

    def _pods_on(self, node: Obj) -> list[Key]:
        return [key_of(pod) for pod in self._pods.by_index(BY_NODE, name(node))]

    async def reconcile(self, key: Key) -> Result:
        pod = self._pods.get(key)
        node = None if pod is None else self._nodes.get(Key("", node_name(pod)))
        taints = [] if pod is None else self._autonomy.evicting(no_execute(node), pod, node)
        if pod is None or is_deleting(pod) or is_terminal(pod) or not taints:
            self._cancel(key, pod)
            return DONE
        patience = plan_patience(taints, pod["spec"].get("tolerations") or ())
        if patience == FOREVER:
            self._cancel(key, pod)
            return DONE
        now = self._clock.monotonic()
        waiting = self._waiting.get(key)
        if waiting is None or waiting.uid != uid(pod):
            waiting = self._waiting[key] = _Waiting(uid(pod), now)
        left = waiting.since + patience - now
        if left > 0.001:
            return Result(requeue_after=left)
        await self._evict(key, pod)
        self._waiting.pop(key, None)
        return DONE

    def _cancel(self, key: Key, pod: Obj | None) -> None:
        if self._waiting.pop(key, None) is not None and pod is not None and not is_deleting(pod):
            self._events.normal(pod, "TaintManagerEviction", f"Cancelling deletion of Pod {key}")

    async def _evict(self, key: Key, pod: Obj) -> None:
        self._events.normal(pod, "TaintManagerEviction", f"Marking for deletion Pod {key}")
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
        }
        status = pod.get("status") or {}
        now = format_time(self._clock.now())
        conditions = with_condition(status.get("conditions"), condition, now=now)
        with suppress(NotFound, Conflict):
            await self._client.update_status(
                POD, {**pod, "status": status | {"conditions": conditions}}
            )
        with suppress(NotFound, Conflict):
            await self._client.delete(POD, key, preconditions={"uid": uid(pod)})


def _node_matters(old: Obj | None, new: Obj | None) -> bool:
    if no_execute(old) != no_execute(new):
        return True
    return old is not None and new is not None and marks_changed(old, new)


def _pod_matters(old: Obj | None, new: Obj | None) -> bool:
    if old is None or new is None or marks_changed(old, new):
        return True
    return (node_name(old), old["spec"].get("tolerations"), is_deleting(old), is_terminal(old)) != (
        node_name(new), new["spec"].get("tolerations"), is_deleting(new), is_terminal(new)
    )  # fmt: skip
