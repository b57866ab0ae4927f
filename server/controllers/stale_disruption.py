"""Stale DisruptionTarget: a pod that was to be disrupted, and two minutes later is not, is told.

Sets the condition to False. What the agent said of its own pods is left alone, as is a pod that
is over. As pkg/controller/disruption/disruption.go syncStalePodDisruption.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from edgek.api.conditions import find_condition, with_condition
from edgek.api.meta import Key, Obj, generation, get_path, is_deleting
from edgek.api.time import format_time, parse_time
from edgek.control.controller import DONE, Context, ForKind, Result, Watch
from edgek.kinds import POD
from edgek.kinds.pods import is_terminal

TARGET = "DisruptionTarget"
TIMEOUT = timedelta(minutes=2)
BY_KUBELET = "TerminationByKubelet"


def stale_after(pod: Obj, now: datetime) -> timedelta | None:
    """How long until the pod's condition is stale, nothing where it is; None without one."""
    condition = find_condition(get_path(pod, "status", "conditions"), TARGET)
    if condition is None or condition.get("status") != "True":
        return None
    if is_deleting(pod) or is_terminal(pod) or condition.get("reason") == BY_KUBELET:
        return None
    since = condition.get("lastTransitionTime")
    return max(timedelta(0), parse_time(since) + TIMEOUT - now) if since else timedelta(0)


def without_target(pod: Obj, now: datetime) -> Obj:
    """The pod with the condition set to False."""
    status = pod["status"]
    condition: Obj = {"type": TARGET, "status": "False", "lastProbeTime": None}
    if status.get("observedGeneration"):
        condition["observedGeneration"] = generation(pod)
    conditions = with_condition(status["conditions"], condition, now=format_time(now))
    return {**pod, "status": {**status, "conditions": conditions}}


def _targeted(old: Obj | None, new: Obj | None) -> bool:
    conditions = None if new is None else get_path(new, "status", "conditions")
    return find_condition(conditions, TARGET) is not None


class StaleDisruptionController:
    name = "stale-pod-disruption-controller"
    kind = POD

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._pods = context.informers.get(POD)
        self.watches: Sequence[Watch] = (ForKind(POD, when=_targeted),)

    async def reconcile(self, key: Key) -> Result:
        pod, now = self._pods.get(key), self._clock.now()
        left = None if pod is None else stale_after(pod, now)
        if pod is None or left is None:
            return DONE
        if left:
            return Result(requeue_after=left.total_seconds())
        await self._client.update_status(POD, without_target(pod, now))
        return DONE


def build(context: Context) -> StaleDisruptionController:
    return StaleDisruptionController(context)
