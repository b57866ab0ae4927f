"""CSR cleaner: requests for certificates go when nobody needs them any more.

Those issued, denied or failed an hour after that, those nobody decided on after a day. As
pkg/controller/certificates/cleaner, with one timer for each request instead of a look at all.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from edgek.api.conditions import find_condition, is_true
from edgek.api.errors import Conflict, NotFound
from edgek.api.meta import Key, Obj, get_path, uid
from edgek.api.time import parse_time
from edgek.control.controller import DONE, Context, ForKind, Result, Watch
from edgek.kinds import CERTIFICATE_SIGNING_REQUEST as CSR
from server.controllers.csr_approving import conditions_of
from server.controllers.deadline import wait_until

DECIDED = timedelta(hours=1)
PENDING = timedelta(hours=24)


def plan_end(csr: Obj) -> datetime | None:
    """When the request may go; None while its certificate is still to be made."""
    conditions = conditions_of(csr)
    if not conditions:
        made = get_path(csr, "metadata", "creationTimestamp")
        return parse_time(made) + PENDING if made else None
    issued = bool(get_path(csr, "status", "certificate"))
    over = [
        _since(condition)
        for kind in ("Approved", "Denied", "Failed")
        if is_true(conditions, kind) and (issued or kind != "Approved")
        for condition in [find_condition(conditions, kind) or {}]
    ]
    known = [moment for moment in over if moment is not None]
    return min(known) + DECIDED if known else None


def _since(condition: Obj) -> datetime | None:
    found = condition.get("lastUpdateTime") or condition.get("lastTransitionTime")
    return parse_time(found) if found else None


class CsrCleaner:
    name = "certificatesigningrequest-cleaner-controller"
    kind = CSR

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._requests = context.informers.get(CSR)
        self.watches: Sequence[Watch] = (ForKind(CSR),)

    async def reconcile(self, key: Key) -> Result:
        csr = self._requests.get(key)
        end = None if csr is None else plan_end(csr)
        if csr is None or end is None:
            return DONE
        if wait := wait_until(end, now=self._clock.now()):
            return Result(requeue_after=wait)
        with suppress(NotFound, Conflict):
            await self._client.delete(CSR, key, preconditions={"uid": uid(csr)})
        return DONE


def build(context: Context) -> CsrCleaner:
    return CsrCleaner(context)
