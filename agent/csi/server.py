"""What a CSI volume needs of the API server: its attachment, tokens for the driver, its growth."""

import asyncio
import base64
import json
from datetime import UTC, datetime

from agent.csi.places import Record
from agent.csi.request import PREFIX, Volume, attachment_name
from agent.pods.tokens import Tokens
from agent.pods.volumes.plugin import VolumeError, Wanted
from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, get_path, is_deleting, key_of
from edgek.api.quantity import value
from edgek.api.time import format_time
from edgek.client.client import Client
from edgek.kinds import PERSISTENT_VOLUME_CLAIM, VOLUME_ATTACHMENT

ATTACH_SECONDS = 60.0
FIRST_LOOK, LAST_LOOK = 0.2, 5.0


class ServerSide:
    def __init__(self, client: Client, tokens: Tokens) -> None:
        self._client, self._tokens = client, tokens

    async def attachment(self, record: Record, node: str) -> dict[str, str]:
        """The attachment's metadata, once the volume is attached. A node may only get an
        attachment by its name, so this looks again and again. Raises VolumeError, ApiError."""
        key, delay = Key("", attachment_name(record, node)), FIRST_LOOK
        try:
            async with asyncio.timeout(ATTACH_SECONDS):
                while True:
                    found = await self._attached(key)
                    if found is not None:
                        return found
                    await asyncio.sleep(delay)
                    delay = min(delay * 1.5, LAST_LOOK)
        except TimeoutError:
            raise VolumeError(
                f"timed out waiting for external-attacher of {record.driver} CSI driver to attach "
                f"volume {record.handle}"
            ) from None

    async def _attached(self, key: Key) -> dict[str, str] | None:
        try:
            attachment = await self._client.get(VOLUME_ATTACHMENT, key)
        except NotFound:
            return None
        if is_deleting(attachment):
            return None
        if get_path(attachment, "status", "attached"):
            return dict(get_path(attachment, "status", "attachmentMetadata", default={}))
        if problem := get_path(attachment, "status", "attachError", "message"):
            raise VolumeError(str(problem))
        return None

    async def tokens(self, volume: Volume, pod: Obj) -> dict[str, str]:
        """As podServiceAccountTokenAttrs: by audience, what a TokenRequest's status says."""
        requests = volume.driver.get("tokenRequests") or ()
        if not requests:
            return {}
        found = {}
        for request in requests:
            token = (await self._tokens.get(pod, request, old=None)).decode()
            found[request.get("audience") or ""] = {
                "token": token,
                "expirationTimestamp": _expires(token),
            }
        return {f"{PREFIX}serviceAccount.tokens": json.dumps(found)}

    def forget(self, pod_uid: str) -> None:
        self._tokens.forget(pod_uid)

    def growth(self, wanted: Wanted) -> int | None:
        """How large the volume is to be, where its claim was told of less."""
        if wanted.claim is None or wanted.volume is None:
            return None
        has = get_path(wanted.claim, "status", "capacity", "storage")
        wants = get_path(wanted.volume, "spec", "capacity", "storage")
        if not has or not wants or value(wants) <= value(has):
            return None
        return int(value(wants))

    async def grown(self, wanted: Wanted) -> None:
        """Tells the claim. Raises ApiError."""
        claim, volume = wanted.claim, wanted.volume
        assert claim is not None
        assert volume is not None
        pending = ("Resizing", "FileSystemResizePending")
        kept = [
            c
            for c in get_path(claim, "status", "conditions", default=[])
            if c.get("type") not in pending
        ]
        status: Obj = {"capacity": {"storage": volume["spec"]["capacity"]["storage"]}}
        status |= {"conditions": kept or None, "allocatedResourceStatuses": None}
        await self._client.patch(
            PERSISTENT_VOLUME_CLAIM, key_of(claim), {"status": status}, subresource="status"
        )


def _expires(token: str) -> str:
    """Of a JWT that the server made for us; nothing to check."""
    body = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return format_time(datetime.fromtimestamp(claims["exp"], UTC))
