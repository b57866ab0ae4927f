"""Backend: the extension servers, reached through the one door outwards.

We show them our front-proxy certificate, and say in headers who asks (request-header
authentication). As client-go transport/round_trippers.go SetAuthProxyHeaders.
"""

import binascii
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from edgek.api.errors import ApiError, ServiceUnavailable
from edgek.api.meta import Obj
from edgek.pki.certificates import KeyPair
from server.request.model import User
from server.request.reader import Reader
from server.webhooks.client import ca_of
from server.webhooks.routed import RoutedDoor
from server.webhooks.where import Unroutable, service_host

if TYPE_CHECKING:
    from server.webhooks.door import Answer, Ask, Socket
    from server.webhooks.pods import PodDialer

CONNECTIONS = 512
"""Watches hold one each."""
_TOKEN = "!#$&'*+-.^_`|~"

Own = Callable[[], KeyPair | None]


class Backend:
    """``own`` gives our certificate; asked each time, because it is renewed."""

    def __init__(self, reader: Reader, own: Own, dialer: "PodDialer | None" = None) -> None:
        self._own = own
        self._door = RoutedDoor(reader, connections=CONNECTIONS, dialer=dialer)

    async def close(self) -> None:
        await self._door.close()

    def ask(
        self,
        service: Obj,
        method: str,
        target: str,
        *,
        headers: Sequence[tuple[str, str]],
        body: bytes | None = None,
    ) -> "Ask":
        """``target`` is path and query as in the URL."""
        from server.webhooks.door import Ask

        url = f"{base_url(service)}{target}"
        return Ask(method=method, url=url, trust=self._trust(service), headers=headers, body=body)

    async def open(self, ask: "Ask") -> "Answer":
        """Raises ServiceUnavailable where nobody answers."""
        from server.webhooks.door import Unreachable

        try:
            return await self._door.open().open(ask)
        except (Unreachable, Unroutable) as err:
            raise unavailable(str(err)) from err

    async def websocket(self, ask: "Ask", protocols: tuple[str, ...]) -> "Socket":
        """Raises HandshakeRefused, ServiceUnavailable."""
        from server.webhooks.door import HandshakeRefused, Unreachable

        try:
            return await self._door.open().websocket(ask, protocols)
        except HandshakeRefused:
            raise
        except (Unreachable, Unroutable) as err:
            raise unavailable(str(err)) from err

    def _trust(self, service: Obj) -> Any:
        from server.webhooks.door import Trust

        spec, own = service["spec"], self._own()
        try:
            ca = ca_of(spec)
        except binascii.Error as err:
            raise unavailable("caBundle is not base64") from err
        return Trust(
            ca=ca,
            insecure=bool(spec.get("insecureSkipTLSVerify")),
            certificate=own.certificate if own else b"",
            key=own.key if own else b"",
        )


def unavailable(why: str) -> ApiError:
    return ServiceUnavailable(f"error trying to reach service: {why}")


def base_url(service: Obj) -> str:
    ref = service["spec"]["service"]
    host = service_host(ref.get("namespace") or "", ref.get("name") or "")
    return f"https://{host}:{ref.get('port') or 443}"


def user_headers(user: User) -> list[tuple[str, str]]:
    headers = [("X-Remote-User", user.name)]
    if user.uid:
        headers.append(("X-Remote-Uid", user.uid))
    headers += [("X-Remote-Group", group) for group in user.groups]
    for key, values in user.extra.items():
        name = f"X-Remote-Extra-{quote(key, safe=_TOKEN)}"
        headers += [(name, value) for value in values]
    return headers
