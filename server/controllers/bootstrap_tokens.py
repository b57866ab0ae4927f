"""Bootstrap tokens: those that have expired are deleted.

They are Secrets of type bootstrap.kubernetes.io/token in kube-system; one that does not say when
it expires stays, one that says it in no way that can be read goes. As
pkg/controller/bootstrap/tokencleaner.go. Each has one timer.
"""

import base64
import binascii
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from edgek.api.errors import Conflict, NotFound
from edgek.api.meta import Key, Obj, is_deleting, uid
from edgek.api.time import parse_time
from edgek.control.controller import DONE, Context, ForKind, Result, Watch
from edgek.kinds import SECRET
from server.controllers.deadline import wait_until

TYPE = "bootstrap.kubernetes.io/token"
NAMESPACE = "kube-system"
_ONLY = f"type={TYPE}"
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


def plan_expiry(secret: Obj) -> datetime | None:
    """As GetExpiration; None for never."""
    data = (secret.get("data") or {}).get("expiration") or ""
    if not data:
        return None
    try:
        return parse_time(base64.b64decode(data, validate=True).decode())
    except (binascii.Error, ValueError):
        return LONG_AGO


class BootstrapTokens:
    name = "token-cleaner-controller"
    kind = SECRET

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._secrets = context.informers.get(SECRET, field_selector=_ONLY)
        self.watches: Sequence[Watch] = (ForKind(SECRET, field_selector=_ONLY),)

    async def reconcile(self, key: Key) -> Result:
        secret = self._secrets.get(key)
        if secret is None or key.namespace != NAMESPACE or is_deleting(secret):
            return DONE
        expiry = plan_expiry(secret)
        if expiry is None:
            return DONE
        if wait := wait_until(expiry, now=self._clock.now()):
            return Result(requeue_after=wait)
        with suppress(NotFound, Conflict):
            await self._client.delete(SECRET, key, preconditions={"uid": uid(secret)})
        return DONE


def build(context: Context) -> BootstrapTokens:
    return BootstrapTokens(context)
