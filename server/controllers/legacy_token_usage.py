"""Use of token Secrets: each has a label with the day on which its token was last seen.

As the patch that pkg/serviceaccount/legacy.go makes. The authenticator must not wait for a write,
so it notes what it sees and this writes it down.
"""

import logging

from edgek.api.errors import ApiError
from edgek.api.meta import Key, labels
from edgek.control.controller import Context
from edgek.kinds import SECRET
from server.authn.legacy import UsedTokens

LAST_USED = "kubernetes.io/legacy-token-last-used"
log = logging.getLogger(__name__)


def build(context: Context, *, used: UsedTokens) -> "LegacyTokenUsage":
    return LegacyTokenUsage(context, used)


class LegacyTokenUsage:
    """A Secret that cannot be written now is written on the next day that it is used."""

    name = "legacy-service-account-token-usage"

    def __init__(self, context: Context, used: UsedTokens) -> None:
        self._client = context.client
        self._used = used

    async def run(self) -> None:
        while True:
            for key, day in (await self._used.take()).items():
                await self._write(key, day)

    async def _write(self, key: Key, day: str) -> None:
        try:
            if labels(await self._client.get(SECRET, key)).get(LAST_USED) != day:
                await self._client.patch(SECRET, key, {"metadata": {"labels": {LAST_USED: day}}})
        except ApiError as err:
            log.warning("cannot note the use of a token Secret secret=%s error=%s", key, err)
