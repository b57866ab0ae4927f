"""A webhook in a pod that the server has no route to: through the tunnel of the pod's node."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from agent.api.dial import dial_handler
from edgek.api.meta import Obj
from edgek.kinds import ENDPOINT_SLICE, SERVICE
from server.aggregation.backend import Backend
from server.endpoints.proxy.reach import PodReach
from server.request.fake import FakeReader
from server.webhooks.client import CallFailed, WebhookClient
from tests.support.https_peer import Peer, https_peer, service_of, slice_of
from tests.support.tunnelled import NODE, tunnelled

NO_ROUTE = "192.0.2.7"
HOOK: Obj = {"service": {"namespace": "default", "name": "hook"}}


async def echo(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Upgrade"):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_bytes(message.data)
        return ws
    body = await request.read()
    return web.json_response({"size": len(body), "host": request.host})


def behind(port: int, *, node: str = NODE) -> FakeReader:
    slice_ = slice_of("hook", "default", port, address=NO_ROUTE)
    slice_["endpoints"][0] |= {"nodeName": node, "targetRef": {"kind": "Pod", "uid": "u1"}}
    return FakeReader((SERVICE, service_of("hook", "default")), (ENDPOINT_SLICE, slice_))


@asynccontextmanager
async def node_with_a_pod() -> AsyncIterator[tuple[Peer, PodReach]]:
    handlers = {
        "dial": dial_handler(lambda uid: {} if uid == "u1" else None, lambda uid: "127.0.0.1")
    }
    async with https_peer(echo) as peer, tunnelled(handlers) as there:
        yield peer, PodReach(there.tunnels)


def call_of(calls: WebhookClient, peer: Peer) -> Callable[[Obj], Awaitable[Obj]]:
    return lambda body: calls.call(HOOK | {"caBundle": peer.ca_bundle}, body, timeout=5)


async def test_it_is_called_under_its_own_name_over_connections_that_are_kept() -> None:
    async with node_with_a_pod() as (peer, reach):
        calls = WebhookClient(behind(peer.port), dialer=reach)
        call = call_of(calls, peer)
        first = await call({"much": "x" * 2_000_000})
        assert first == {"size": 2_000_011, "host": "hook.default.svc"}
        await call({})
        assert len(peer.connections) == 1
        await asyncio.gather(*(call({}) for _ in range(50)))
        await calls.close()


async def test_its_certificate_is_checked_as_any_other() -> None:
    async with node_with_a_pod() as (peer, reach), https_peer(echo) as other:
        calls = WebhookClient(behind(peer.port), dialer=reach)
        with pytest.raises(CallFailed, match="signed by unknown authority"):
            await call_of(calls, other)({})
        await calls.close()


async def test_says_why_the_pod_cannot_be_reached() -> None:
    async with node_with_a_pod() as (peer, reach):
        calls = WebhookClient(behind(1), dialer=reach)
        with pytest.raises(CallFailed, match=r"dial tcp 127.0.0.1:1: connect: connection refused"):
            await call_of(calls, peer)({})
        await calls.close()


async def test_without_an_agent_there_it_is_called_at_its_address() -> None:
    async with node_with_a_pod() as (peer, reach):
        reader = behind(peer.port, node="elsewhere")
        assert not reach.leads_to("elsewhere")
        calls = WebhookClient(reader, dialer=reach)
        with pytest.raises(CallFailed):
            await calls.call(HOOK | {"caBundle": peer.ca_bundle}, {}, timeout=0.3)
        await calls.close()


async def test_an_api_server_in_a_pod_is_asked_and_may_hold_a_websocket() -> None:
    async with node_with_a_pod() as (peer, reach):
        backend = Backend(behind(peer.port), lambda: None, reach)
        service: Obj = {"spec": HOOK | {"caBundle": peer.ca_bundle}}
        socket = await backend.websocket(backend.ask(service, "GET", "/ws", headers=[]), ())
        await socket.send(b"there and back")
        assert await socket.receive() == b"there and back"
        await socket.close()
        await backend.close()


def test_aiohttp_has_the_place_where_the_tunnel_is_put_in() -> None:
    for name in ("_wrap_create_connection", "_wrap_existing_connection"):
        assert callable(getattr(aiohttp.TCPConnector, name))
