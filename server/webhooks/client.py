"""WebhookClient: an object out, an object back, as every kind of webhook is called.

Admission and conversion webhooks share their clientConfig. What fails is told as CallFailed,
whose text is the part behind "failed calling webhook ...": its callers know whose call it was.
"""

import asyncio
import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from edgek.api.errors import ApiError
from edgek.api.meta import Obj
from server.request.reader import Reader
from server.webhooks.failures import DEADLINE, json_text, status_text
from server.webhooks.routed import RoutedDoor
from server.webhooks.where import Unroutable, service_host

if TYPE_CHECKING:
    from server.webhooks.door import Answer
    from server.webhooks.pods import PodDialer

CONNECTIONS = 64
TO_ONE = 16
"""Of them to one webhook: one that hangs must not keep the others from being asked."""
MAX_ANSWER = 3 * 1024 * 1024
"""As much as a request's body may have: an answer is about one object. Where it is about many
(conversion of a list), four times what was asked."""
_HEADERS = (("Content-Type", "application/json"), ("Accept", "application/json, */*"))


class CallFailed(Exception):
    """The webhook gave no usable answer; the text says why, as upstream does."""


class Unusable(CallFailed):
    """There is no way to call by this clientConfig."""


@dataclass(frozen=True, kw_only=True)
class ClientCertificate:
    """What we show to webhooks that ask who calls; PEM."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "ClientCertificate(...)"


class WebhookClient:
    """Costs nothing until the first call."""

    def __init__(
        self,
        reader: Reader,
        *,
        own: ClientCertificate | None = None,
        dialer: "PodDialer | None" = None,
    ) -> None:
        self._own = own
        self._door = RoutedDoor(reader, connections=CONNECTIONS, to_one=TO_ONE, dialer=dialer)

    async def close(self) -> None:
        await self._door.close()

    async def call(self, client_config: Obj, request_body: Any, *, timeout: float) -> Obj:
        """POSTs ``request_body`` as JSON and gives the decoded answer. Raises CallFailed."""
        url = f"{url_of(client_config)}?timeout={timeout:g}s"
        try:
            async with asyncio.timeout(timeout):
                status, body = await self._exchange(client_config, url, orjson.dumps(request_body))
        except TimeoutError as err:
            raise CallFailed(f'Post "{url}": {DEADLINE}') from err
        if not 200 <= status <= 206:
            raise CallFailed(status_text(status, body))
        return _decoded(body)

    async def _exchange(self, client_config: Obj, url: str, data: bytes) -> tuple[int, bytes]:
        from server.webhooks.door import Ask, TooLarge, Unreachable

        trust = self._trust(client_config)
        ask = Ask(method="POST", url=url, trust=trust, headers=_HEADERS, body=data, again=True)
        answer: Answer | None = None
        try:
            answer = await self._door.open().open(ask)
            return answer.status, await answer.read(max(MAX_ANSWER, 4 * len(data)))
        except (Unreachable, Unroutable) as err:
            raise CallFailed(f'Post "{url}": {err}') from err
        except TooLarge as err:
            raise CallFailed(str(err)) from err
        except ApiError as err:
            raise Unusable(f"could not get REST client: {err.message}") from err
        finally:
            if answer is not None:
                answer.close()

    def _trust(self, client_config: Obj) -> Any:
        from server.webhooks.door import Trust

        try:
            ca = ca_of(client_config)
        except binascii.Error as err:
            raise Unusable("could not get REST client: caBundle is not base64") from err
        own = self._own
        if own is None:
            return Trust(ca=ca)
        return Trust(ca=ca, certificate=own.certificate, key=own.key)


def ca_of(spec: Obj) -> bytes:
    """The PEM in ``caBundle``, which may hold line breaks (as Go's decoder lets it). Raises
    binascii.Error."""
    text = (spec.get("caBundle") or "").translate({10: None, 13: None})
    return base64.b64decode(text, validate=True)


def url_of(client_config: Obj) -> str:
    """Where a clientConfig points. Raises CallFailed."""
    service = client_config.get("service")
    if service:
        host = service_host(service.get("namespace") or "", service.get("name") or "")
        path = (service.get("path") or "/").lstrip("/")
        return f"https://{host}:{service.get('port') or 443}/{path}"
    url = client_config.get("url")
    if not url:
        raise Unusable("webhook configuration must have either service or URL")
    base = str(url).partition("?")[0].partition("#")[0]
    return base if base.count("/") > 2 else f"{base}/"


def _decoded(body: bytes) -> Obj:
    try:
        decoded = orjson.loads(body)
    except ValueError as err:
        raise CallFailed(json_text(body)) from err
    if not isinstance(decoded, dict):
        raise CallFailed(json_text(body))
    return decoded
