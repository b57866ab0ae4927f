"""Aggregator: the parts of aggregation that belong together, made once for a server.

``check`` is what server/controllers/api_service_availability.py asks an extension server with; the
resources that it tells then are kept for discovery.
"""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import orjson

from edgek.api.errors import ApiError, BadRequest
from edgek.api.meta import Obj, name
from edgek.schema import builtin_types
from edgek.schema.check import Checker
from server.aggregation.backend import Backend, Own, base_url, user_headers
from server.aggregation.proxy import Proxy, aggregation
from server.aggregation.services import ApiServices, GroupVersion, group_version_of, is_available
from server.request.model import Filter, Request, Response, User
from server.request.principals import MASTERS
from server.request.reader import Reader

if TYPE_CHECKING:
    from server.webhooks.door import Answer
    from server.webhooks.pods import PodDialer

CHECK_SECONDS = 5.0
MAX_DOCUMENT = 16 * 1024 * 1024
AGGREGATOR = User(name="system:kube-aggregator", groups=(MASTERS,))
_RESOURCE_LIST = "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList"
_JSON = ("Accept", "application/json")


class Fetched(NamedTuple):
    status: int
    etag: str
    document: Obj | None


def no_certificate() -> None:
    """Of a server without a front-proxy certificate (tests)."""


class Aggregator:
    def __init__(
        self, reader: Reader, own: Own = no_certificate, dialer: "PodDialer | None" = None
    ) -> None:
        self.services = ApiServices(reader)
        self._backend = Backend(reader, own, dialer)
        self._proxy = Proxy(self._backend)
        self._resources: dict[str, tuple[str, Obj]] = {}
        """What each APIService's server has told, by name, with the Service it told it from."""

    def filter(self) -> Filter:
        return aggregation(self.services, self._proxy)

    async def close(self) -> None:
        await self._backend.close()

    async def check(self, service: Obj) -> str:
        """What is wrong, in the words of upstream's condition; "" for nothing. As
        kube-aggregator available_controller.go."""
        group, version = group_version_of(service)
        path = f"/apis/{group}/{version}"
        url = f"{base_url(service)}{path}"
        said = f"failing or missing response from {url}"
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                answer = await self.fetch(service, path)
        except TimeoutError:
            return f'{said}: Get "{url}": context deadline exceeded'
        except ApiError as err:
            why = err.message.removeprefix("error trying to reach service: ")
            return f'{said}: Get "{url}": {why}'
        if not 200 <= answer.status < 300:
            return f"{said}: bad status from {url}: {answer.status}"
        if (resources := resource_list(answer.document)) is not None:
            self._resources[name(service)] = (base_url(service), resources)
        return ""

    async def fetch(self, service: Obj, path: str, *, etag: str = "") -> Fetched:
        """A JSON document of an extension server, asked for in our own name; ``etag`` is of the
        one that is known. Raises ServiceUnavailable."""
        headers = [_JSON, *user_headers(AGGREGATOR)]
        if etag:
            headers.append(("If-None-Match", etag))
        answer = await self._backend.open(self._backend.ask(service, "GET", path, headers=headers))
        try:
            document = _decoded(await _read(answer))
            return Fetched(answer.status, answer.headers.get("ETag", ""), document)
        finally:
            answer.close()

    async def passed_on(self, request: Request, service: Obj) -> Response:
        """A request that is about the server and no user's, such as for its documents, in our
        own name."""
        return await self._proxy.forward(replace(request, user=AGGREGATOR), service)

    async def resources(self) -> dict[GroupVersion, Obj | None]:
        """The APIResourceList of every remote group-version; None where it is not available and
        has not told. Asked for once, then known until its APIService changes its Service."""
        found: dict[GroupVersion, Obj | None] = {}
        remote = self.services.remote()
        names = {name(service) for service in remote.values()}
        self._resources = {k: v for k, v in self._resources.items() if k in names}
        for key, service in remote.items():
            known = self._resources.get(name(service))
            if (known is None or known[0] != base_url(service)) and is_available(service):
                await self.check(service)
                known = self._resources.get(name(service))
            found[key] = known[1] if known is not None else None
        return found


def resource_list(document: Obj | None) -> Obj | None:
    """An APIResourceList as it should be; None for what is none. One server that says nonsense
    must not cost the others their place in discovery."""
    try:
        schema = builtin_types().named(_RESOURCE_LIST)
        checked = Checker().check(document, schema, version="v1", kind="APIResourceList")
    except BadRequest:
        return None
    return checked.obj


async def _read(answer: "Answer") -> bytes:
    from server.aggregation.backend import unavailable
    from server.webhooks.door import TooLarge, Unreachable

    try:
        return await answer.read(MAX_DOCUMENT)
    except (TooLarge, Unreachable) as err:
        raise unavailable(str(err)) from err


def _decoded(body: bytes) -> Obj | None:
    try:
        found = orjson.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
