"""Service ranges: a ServiceCIDR is ready if cluster IPs are given out of it, and says if not.

As the Ready condition of pkg/controller/servicecidrs. Cluster IPs come from --service-cidr alone:
other ranges may be stored, and are told to be of no use. Nothing is protected from deletion.
"""

from collections.abc import Sequence

from edgek.api.conditions import with_condition
from edgek.api.meta import Key, Obj, get_path
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Result, Watch
from edgek.kinds import SERVICE_CIDR


def plan_status(cidr: Obj, *, ours: Sequence[str], now: str) -> Obj | None:
    """None where it says so already."""
    condition = {"type": "Ready", "status": "True", "reason": ""}
    condition["message"] = "Kubernetes Service CIDR is ready"
    if not set(get_path(cidr, "spec", "cidrs", default=())) <= set(ours):
        condition |= {"status": "False", "reason": "NotInUse"}
        condition["message"] = (
            f"Cluster IPs are given out of {', '.join(ours)} (--service-cidr) only"
        )
    status = cidr.get("status") or {}
    conditions = with_condition(status.get("conditions"), condition, now=now)
    same = conditions == (status.get("conditions") or [])
    return None if same else {**status, "conditions": conditions}


class ServiceCidrs:
    name = "service-cidr-controller"
    kind = SERVICE_CIDR

    def __init__(self, context: Context, ours: Sequence[str]) -> None:
        self._client = context.client
        self._clock = context.clock
        self._ours = ours
        self._cidrs = context.informers.get(SERVICE_CIDR)
        self.watches: Sequence[Watch] = (ForKind(SERVICE_CIDR),)

    async def reconcile(self, key: Key) -> Result:
        cidr = self._cidrs.get(key)
        if cidr is None:
            return DONE
        status = plan_status(cidr, ours=self._ours, now=format_time(self._clock.now()))
        if status is not None:
            await self._client.update_status(SERVICE_CIDR, {**cidr, "status": status})
        return DONE


def build(context: Context, *, ours: Sequence[str]) -> ServiceCidrs:
    return ServiceCidrs(context, ours)
