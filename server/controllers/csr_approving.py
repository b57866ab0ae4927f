"""CSR approver: certificates of nodes are approved, or denied in words their agent shows.

``server.authn.csr_policy`` judges; this writes down whose a node name is, then the verdict. What
that policy leaves to people stays pending.
"""

from collections.abc import Sequence

from edgek.api.conditions import is_true
from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, get_path, resource_version
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Reads, Result, Watch
from edgek.kinds import CERTIFICATE_SIGNING_REQUEST, NODE, SECRET
from server.authn.csr_policy import Approval, Denial, judge, record_key, requested_node


def build(context: Context) -> "CsrApprover":
    return CsrApprover(context)


def conditions_of(csr: Obj) -> list[Obj]:
    found: list[Obj] = get_path(csr, "status", "conditions", default=[])
    return found


def is_decided(csr: Obj) -> bool:
    return any(is_true(conditions_of(csr), kind) for kind in ("Approved", "Denied"))


def with_verdict(csr: Obj, verdict: Approval | Denial, *, now: str) -> Obj:
    approved = isinstance(verdict, Approval)
    condition = {
        "type": "Approved" if approved else "Denied",
        "status": "True",
        "reason": "AutoApproved" if isinstance(verdict, Approval) else verdict.reason,
        "message": verdict.message,
        "lastUpdateTime": now,
        "lastTransitionTime": now,
    }
    status = csr.get("status") or {}
    return {**csr, "status": {**status, "conditions": [*conditions_of(csr), condition]}}


class CsrApprover:
    """NB: the record is written before the approval: of two machines that ask for one name at
    once the second meets a Conflict or AlreadyExists, looks again, and is denied."""

    name = "csrapproving"
    kind = CERTIFICATE_SIGNING_REQUEST

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._requests = context.informers.get(CERTIFICATE_SIGNING_REQUEST)
        self._nodes = context.informers.get(NODE)
        self.watches: Sequence[Watch] = (ForKind(CERTIFICATE_SIGNING_REQUEST), Reads(NODE))

    async def reconcile(self, key: Key) -> Result:
        csr = self._requests.get(key)
        if csr is None or is_decided(csr):
            return DONE
        node, now = requested_node(csr), self._clock.now()
        record = await self._record(node) if node else None
        exists = self._nodes.get(Key("", node)) is not None
        verdict = judge(csr, record=record, node_exists=exists, now=now)
        if verdict is None:
            return DONE
        if isinstance(verdict, Approval) and verdict.record is not None:
            await self._write(verdict.record)
        decided = with_verdict(csr, verdict, now=format_time(now))
        await self._client.update(CERTIFICATE_SIGNING_REQUEST, decided, subresource="approval")
        return DONE

    async def _record(self, node: str) -> Obj | None:
        """Asked for, not watched: joining is rare, and a cache of Secrets costs memory."""
        try:
            return await self._client.get(SECRET, record_key(node))
        except NotFound:
            return None

    async def _write(self, record: Obj) -> None:
        if resource_version(record):
            await self._client.update(SECRET, record)
        else:
            await self._client.create(SECRET, record)
