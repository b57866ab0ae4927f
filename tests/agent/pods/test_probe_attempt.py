"""One attempt of a probe against real peers of this machine."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp.web
import pytest

from agent.pods.http_get import MAX_BODY, HttpError, http_get, make_request
from agent.pods.probe_attempt import Attempted, Result, Target, attempt
from agent.runtime.fake import FakeRuntime
from edgek.api.meta import Obj
from tests.support.grpc_server import Refusal, grpc_server
from tests.support.https_peer import https_peer
from tests.support.pods import make_pod

HEALTH = "/grpc.health.v1.Health/Check"
Answer = Callable[[str], bytes]


def target(port: int = 0) -> Target:
    container = {"name": "main", "ports": [{"name": "web", "containerPort": port or 80}]}
    return Target(pod=make_pod(), container=container, container_id="c1", pod_ip="127.0.0.1")


async def probe(action: Obj, *, port: int = 0, seconds: float = 5) -> Attempted:
    return await attempt(FakeRuntime(), action, target(port), seconds=seconds)


@asynccontextmanager
async def web(answer: Answer) -> AsyncIterator[int]:
    """A server that says what ``answer`` makes of a request's head, then closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(head.decode()))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def saying(status: str, body: str = "", *headers: str) -> Answer:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", body]
    return lambda head: "\r\n".join(lines).encode()


async def free_port() -> int:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_the_request_is_the_kubelets() -> None:
    seen: list[str] = []

    def answer(head: str) -> bytes:
        seen.append(head)
        return saying("200 OK", "fine")(head)

    async with web(answer) as port:
        plain = await probe({"httpGet": {"port": "web", "path": "/healthz?full=1"}}, port=port)
        assert plain.result is Result.SUCCESS
        headers = [
            {"name": "Host", "value": "example.test"}, {"name": "X-One", "value": "1"},
            {"name": "X-One", "value": "2"}, {"name": "User-Agent", "value": "me"},
            {"name": "Accept", "value": ""},
        ]  # fmt: skip
        await probe({"httpGet": {"port": port, "path": "ok", "httpHeaders": headers}})
    assert seen[0].split("\r\n") == [
        "GET /healthz?full=1 HTTP/1.1", f"Host: 127.0.0.1:{port}", "User-Agent: kube-probe/1.37",
        "Accept: */*", "Connection: close", "", "",
    ]  # fmt: skip
    assert seen[1].split("\r\n") == [
        "GET /ok HTTP/1.1", "Host: example.test", "X-One: 1", "X-One: 2", "User-Agent: me",
        "Connection: close", "", "",
    ]  # fmt: skip


async def test_a_status_decides() -> None:
    for status, good in (("200 OK", True), ("204 No Content", True), ("404 Not Found", False)):
        async with web(saying(status)) as port:
            got = await probe({"httpGet": {"port": port, "path": "/"}})
            assert (got.result is Result.SUCCESS) == good
    assert got.said == "HTTP probe failed with statuscode: 404"


async def test_redirects_are_followed_on_the_same_host_and_told_of_otherwise() -> None:
    def here(head: str) -> bytes:
        if head.startswith("GET /next"):
            return saying("503 Busy")(head)
        return saying("302 Found", "", "Location: next?a=b")(head)

    async with web(here) as port:
        got = await probe({"httpGet": {"port": port, "path": "/"}})
        assert got.said == "HTTP probe failed with statuscode: 503"
    async with web(saying("301 Moved", "gone", "Location: http://elsewhere.test/x")) as port:
        got = await probe({"httpGet": {"port": port, "path": "/"}})
        assert got.result is Result.WARNING
        assert got.said == "Probe terminated redirects, Response body: gone"
    async with web(saying("307 Again", "", "Location: /")) as port:
        got = await probe({"httpGet": {"port": port, "path": "/"}})
        assert got.result is Result.FAILURE
        assert got.said.endswith("stopped after 10 redirects")


async def test_https_is_spoken_and_no_certificate_checked() -> None:
    async def serve(request: Any) -> aiohttp.web.Response:
        return aiohttp.web.Response(status=200 if request.path == "/ok" else 500)

    async with https_peer(serve) as peer:
        action = {"port": peer.port, "scheme": "HTTPS"}
        assert (await probe({"httpGet": {**action, "path": "/ok"}})).result is Result.SUCCESS
        got = await probe({"httpGet": {**action, "path": "/no"}})
        assert got.said == "HTTP probe failed with statuscode: 500"

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        got = await probe({"httpGet": {"port": port, "path": "/", "scheme": "HTTPS"}})
        assert got.said.startswith(f'Get "https://127.0.0.1:{port}/": tls: ')


async def test_no_more_than_the_beginning_of_a_body_is_read() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_BODY * 20)
    async with web(lambda head: endless) as port:
        request = make_request({"port": port}, {}, pod_ip="127.0.0.1")
        answer = await http_get(request)
    assert len(answer.body) == MAX_BODY


async def test_interim_answers_are_passed_over_and_a_body_may_end_with_its_connection() -> None:
    text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 500 No\r\n\r\nwell"
    async with web(lambda head: text) as port:
        answer = await http_get(make_request({"port": port}, {}, pod_ip="127.0.0.1"))
    assert (answer.status, answer.body) == (500, "well")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "EOF"),
        (b"SSH-2.0-OpenSSH\r\n", 'malformed HTTP response "SSH-2.0-OpenSSH"'),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20000, "response headers exceeded"),
    ],
)
async def test_what_is_no_http_is_said_in_an_event(said: bytes, words: str) -> None:
    async with web(lambda head: said) as port:
        with pytest.raises(HttpError, match=f'^Get "http://127.0.0.1:{port}/x": .*') as caught:
            await http_get(make_request({"port": port, "path": "/x"}, {}, pod_ip="127.0.0.1"))
    assert words in str(caught.value)


async def test_nobody_listening_is_said_as_go_says_it() -> None:
    port = await free_port()
    refused = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert (await probe({"tcpSocket": {"port": port}})).said == refused
    got = await probe({"httpGet": {"port": port, "path": "/"}})
    assert got.said == f'Get "http://127.0.0.1:{port}/": {refused}'
    got = await probe({"grpc": {"port": port}})
    assert got.said.startswith(f'error: failed to connect service at "127.0.0.1:{port}": ')


async def test_a_server_that_is_slow_has_failed() -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        got = await probe({"httpGet": {"port": port, "path": "/"}}, seconds=0.1)
        assert "context deadline exceeded (Client.Timeout exceeded" in got.said
        got = await probe({"grpc": {"port": port}}, seconds=0.1)
        assert got.said == "timeout: health rpc did not complete within 0s"
        assert (await probe({"tcpSocket": {"port": port}})).result is Result.SUCCESS


async def test_a_port_nobody_knows_is_an_error_not_a_failure() -> None:
    for kind in ("httpGet", "tcpSocket"):
        got = await probe({kind: {"port": "metrics", "path": "/"}})
        assert (got.result, got.said) == (Result.ERROR, "couldn't find port: metrics")


async def test_the_health_service_decides() -> None:
    asked: list[bytes] = []

    def check(request: bytes) -> bytes:
        asked.append(request)
        return b"" if request == b"\x0a\x04cold" else b"\x08\x02" if request else b"\x08\x01"

    with grpc_server({HEALTH: check}) as port:
        assert (await probe({"grpc": {"port": port}})).result is Result.SUCCESS
        got = await probe({"grpc": {"port": port, "service": "db"}})
        assert got.said == 'service unhealthy (responded with "NOT_SERVING")'
        got = await probe({"grpc": {"port": port, "service": "cold"}})
        assert got.said == 'service unhealthy (responded with "UNKNOWN")'
    assert asked == [b"", b"\x0a\x02db", b"\x0a\x04cold"]


async def test_what_is_wrong_with_a_grpc_server_is_said_as_upstream_says_it() -> None:
    def refuse(request: bytes) -> bytes:
        raise Refusal("NOT_FOUND", "unknown service")

    with grpc_server({}) as port:
        got = await probe({"grpc": {"port": port}})
        what = "this server does not implement the grpc health protocol (grpc.health.v1.Health)"
        assert got.said.startswith(f"error: {what}: ")
    with grpc_server({HEALTH: refuse}) as port:
        got = await probe({"grpc": {"port": port}})
        why = "rpc error: code = NotFound desc = unknown service"
        assert got.said == f"error: health rpc probe failed: {why}"
