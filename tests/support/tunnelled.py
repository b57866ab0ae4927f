"""An API server with a node behind it: real HTTP, a real tunnel, and whatever the node serves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from agent.api.stream import Handler
from agent.api.tunnel import Tunnel
from edgek.aio.clock import FakeClock
from edgek.aio.tasks import cancel_and_wait
from edgek.client.client import Client
from edgek.client.http import Access, HttpTransport
from server.app import Api, ApiConfig, Parts, build_api
from server.endpoints.usage import usage_verbs
from server.parts import subresources
from server.request.model import Request, Response
from server.storage.sqlite import SqliteEngine
from server.tunnel import PREFIX, Tunnels
from tests.support.api import ADMIN, admin, parts
from tests.support.streams import serving

NODE = "node1"


@dataclass(frozen=True, kw_only=True)
class Tunnelled:
    api: Api
    client: Client
    url: str
    tunnels: Tunnels


@asynccontextmanager
async def tunnelled(
    handlers: Mapping[str, Handler], *, change: Callable[[Parts], Parts] = lambda p: p
) -> AsyncIterator[Tunnelled]:
    """``handlers`` by kind of stream, as the agent has them."""
    tunnels, clock = Tunnels(), FakeClock()
    made = parts(SqliteEngine(":memory:"), clock=clock, user=ADMIN)
    reviews = made.virtual
    made = replace(
        made,
        subresources=lambda reader: subresources(tunnels, None, reader),  # type: ignore[arg-type]
        virtual=lambda reader, authorizer, authenticator: {
            **reviews(reader, authorizer, authenticator),
            **usage_verbs(tunnels, reader),
        },
    )
    api = build_api(ApiConfig(service_cidr="10.43.0.0/16", node_ports="30000-32767"), change(made))

    async def handle(request: Request) -> Response:
        way = tunnels.handle if request.path.startswith(PREFIX) else api.handle
        return await way(request)

    async with serving(handle) as url:
        transport = HttpTransport(Access(server=url))
        tunnel = asyncio.create_task(Tunnel(transport, NODE, handlers).run())
        try:
            async with asyncio.timeout(5):
                while not tunnels.connected(NODE):  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
            yield Tunnelled(api=api, client=admin(api), url=url, tunnels=tunnels)
        finally:
            await cancel_and_wait(tunnel)
            await transport.close()
            await api.close()
