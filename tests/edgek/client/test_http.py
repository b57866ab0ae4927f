"""HttpTransport against a real aiohttp server on a socket."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from edgek.api.errors import Expired, Forbidden, NotFound, ServiceUnavailable, Timeout
from edgek.client.client import Client
from edgek.client.http import Access, HttpTransport
from edgek.client.transport import Call, WatchEvent
from edgek.kinds import POD
from tests.support.https_peer import https_peer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    server = web.Server(handler)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def transport(server: str, **access: object) -> AsyncIterator[HttpTransport]:
    made = HttpTransport(Access(server=server, **access))  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()


async def read_watch(made: HttpTransport, into: list[WatchEvent]) -> None:
    async with Client(made).watch(POD) as events:
        async for event in events:
            into.append(event)  # noqa: PERF401 - keeps what came before an error


async def test_a_call_carries_body_query_and_token_and_decodes_the_answer() -> None:
    seen: dict[str, object] = {}

    async def handler(request: web.Request) -> web.Response:
        seen.update(path=request.path, query=dict(request.query), body=await request.json(),
                    auth=request.headers["Authorization"], type=request.content_type)  # fmt: skip
        return web.json_response({"metadata": {"name": "web"}})

    async with served(handler) as url, transport(url, token="s3cret") as made:
        pod = {"metadata": {"name": "web", "namespace": "default"}}
        got = await Client(made, field_manager="me").create(POD, pod)
    assert got == {"metadata": {"name": "web"}}
    assert seen == {
        "path": "/api/v1/namespaces/default/pods",
        "query": {"fieldManager": "me"},
        "body": pod,
        "auth": "Bearer s3cret",
        "type": "application/json",
    }


async def test_a_status_becomes_its_error_and_plain_text_one_by_its_code() -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/text":
            return web.Response(status=403, text="go away")
        return web.json_response(NotFound.of(POD, "web").to_status(), status=404)

    async with served(handler) as url, transport(url) as made:
        with pytest.raises(NotFound, match='pods "web" not found'):
            await made.call(Call(method="GET", path="/x"))
        with pytest.raises(Forbidden, match="go away"):
            await made.call(Call(method="GET", path="/text"))


async def test_nobody_answering_is_service_unavailable_and_a_slow_answer_is_timeout() -> None:
    answer = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        await answer.wait()
        return web.Response()

    async with served(handler) as url, transport(url) as made:
        with pytest.raises(Timeout):
            await made.call(Call(method="GET", path="/", timeout=0.05))
        answer.set()
    async with transport("https://127.0.0.1:1") as made:
        with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1:1 was refused"):
            await made.call(Call(method="GET", path="/"))


async def test_a_watch_gives_events_larger_than_any_buffer_and_raises_error_events() -> None:
    big = "x" * 300_000
    lines = [
        {"type": "ADDED", "object": {"metadata": {"name": "a"}, "data": big}},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}},
        {"type": "ERROR", "object": Expired("too old").to_status()},
    ]

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"\n".join(orjson.dumps(line) for line in lines) + b"\n")
        return response

    seen: list[WatchEvent] = []
    async with served(handler) as url, transport(url) as made:
        with pytest.raises(Expired, match="too old"):
            await read_watch(made, seen)
    assert [e.type for e in seen] == ["ADDED", "BOOKMARK"]
    assert seen[0].obj["data"] == big


async def test_a_watch_that_breaks_in_the_middle_raises_service_unavailable() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type": "ADDED", "object": {}}\n')
        assert request.transport is not None
        request.transport.abort()
        return response

    seen: list[WatchEvent] = []
    async with served(handler) as url, transport(url) as made:
        with pytest.raises(ServiceUnavailable):
            await read_watch(made, seen)
    assert [e.type for e in seen] == ["ADDED"]


async def test_a_refused_watch_raises_the_servers_error() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(Forbidden("no").to_status(), status=403)

    async with served(handler) as url, transport(url) as made:
        with pytest.raises(Forbidden):
            async with Client(made).watch(POD):
                pass


async def test_warnings_of_the_server_reach_the_user() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({}, headers={"Warning": '299 - "unknown field \\"spec.x\\""'})

    texts: list[str] = []
    async with served(handler) as url:
        made = HttpTransport(Access(server=url), on_warning=texts.append)
        await made.call(Call(method="GET", path="/"))
        await made.close()
    assert texts == ['unknown field "spec.x"']


async def test_a_rotated_token_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({})

    async with served(handler) as url, transport(url, token_file=str(file)) as made:
        await made.call(Call(method="GET", path="/"))
        (tmp_path / "new").write_text("two")
        (tmp_path / "new").rename(file)
        await made.call(Call(method="GET", path="/"))
    assert seen == ["Bearer one", "Bearer two"]


def test_secrets_do_not_show() -> None:
    access = Access(server="https://x", token="s3cret", client_key=b"k3y")
    assert "s3cret" not in repr(access)
    assert "k3y" not in repr(access)


async def test_other_credentials_end_an_open_watch_so_that_it_is_opened_again() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await gone.wait()
        return response

    gone = asyncio.Event()
    async with https_peer(endless) as peer:
        server = f"https://127.0.0.1:{peer.port}"
        async with transport(server, ca=peer.ca.certificate) as t:

            async def follow() -> None:
                call = Call(method="GET", path="/watch", timeout=5)
                async with t.stream(call) as chunks:
                    async for _ in chunks:
                        await t.replace(t.access)

            with pytest.raises(ServiceUnavailable):
                await asyncio.wait_for(follow(), 5)
            gone.set()
