"""Broken and hostile requests over real HTTP and TLS: each gets a Status that says what is wrong,
and the server serves on."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgek.client.http import Access, tls_context
from edgek.client.kubeconfig import load_kubeconfig
from edgek.kinds import CONFIG_MAP
from tests.support.raw import watchers_of
from tests.support.tls_server import TlsServer, tls_server

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
JSON = {"Content-Type": "application/json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
PROTOBUF = {"Content-Type": "application/vnd.kubernetes.protobuf"}
YAML = {"Content-Type": "application/yaml"}


@dataclass(frozen=True)
class Answer:
    code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def status(self) -> dict[str, Any]:
        """The body, which must be a Status of this code with a reason and a message."""
        status: dict[str, Any] = json.loads(self.body)
        assert (status["kind"], status["apiVersion"]) == ("Status", "v1")
        assert (status["status"], status["code"]) == ("Failure", self.code)
        assert status["reason"]
        assert status["message"]
        return status


@dataclass(frozen=True)
class Wire:
    """The admin's own bytes on a TLS connection; one request each."""

    port: int
    access: Access

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = tls_context(self.access)
        context.check_hostname = False
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context)

    async def send(self, raw: bytes, *, seconds: float = 10) -> Answer:
        reader, writer = await self.open()
        try:
            async with asyncio.timeout(seconds):
                writer.write(raw)
                return await read_answer(reader)
        finally:
            writer.transport.abort()

    async def ask(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] = JSON
    ) -> Answer:
        head = {"Host": "x", "Content-Length": str(len(body)), **headers}
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in head.items())]
        return await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().strip().split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    size = headers.get("content-length")
    body = await (reader.readexactly(int(size)) if size is not None else reader.read())
    return Answer(int(first.split()[1]), headers, body)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TlsServer]:
    async with tls_server(tmp_path, loops=False) as started:
        yield started


@pytest.fixture
def wire(server: TlsServer) -> Wire:
    access = load_kubeconfig(server.config.write_kubeconfig).access
    return Wire(server.config.port, access)


async def is_fine(wire: Wire) -> bool:
    return (await wire.ask("GET", CONFIG_MAPS)).code == 200


# --- bodies --------------------------------------------------------------------------------------

DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
YAML_BOMB = b"a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (n + 1, n + 1, b",".join([b"*a%d" % n] * 9)) for n in range(8)
)


@pytest.mark.parametrize(
    ("body", "headers", "code", "words"),
    [
        pytest.param(b"", JSON, 400, "no body", id="empty"),
        pytest.param(b"{", JSON, 400, "json parse error", id="half"),
        pytest.param(b"\xff\xfe", JSON, 400, "json parse error", id="no UTF-8"),
        pytest.param(b'{"kind":"\\ud800"}', JSON, 400, "json parse error", id="half a surrogate"),
        pytest.param(b"null", JSON, 400, "", id="null"),
        pytest.param(b"[1]", JSON, 400, "", id="list"),
        pytest.param(DEEP, JSON, 400, "json parse error", id="deep"),
        pytest.param(b"[" * 1_000_000, JSON, 400, "json parse error", id="deeper"),
        pytest.param(b'{"metadata":5}', JSON, 400, "metadata", id="metadata is a number"),
        pytest.param(b'{"metadata":{"name":5}}', JSON, 400, "name", id="name is a number"),
        pytest.param(b'{"data":[]}', JSON, 400, "data", id="data is a list"),
        pytest.param(b'{"data":{"a":1}}', JSON, 400, "data", id="data of a number"),
        pytest.param(b'{"kind":"Pod"}', JSON, 400, "Pod", id="another kind"),
        pytest.param(b'{"apiVersion":"v9"}', JSON, 400, "v9", id="another version"),
        pytest.param(b"{}", JSON, 422, "name or generateName is required", id="no name"),
        pytest.param(
            b'{"metadata":{"name":"A b"}}', JSON, 422, "RFC 1123 subdomain", id="bad name"
        ),
        pytest.param(
            b'{"metadata":{"name":"a","namespace":"other"}}', JSON, 400,
            "does not match the namespace", id="another namespace",
        ),
        pytest.param(b"{}", {"Content-Type": "text/plain"}, 415, "media types", id="plain text"),
        pytest.param(b"k8s\x00\xff\xff\xff", PROTOBUF, 400, "", id="protobuf garbage"),
        pytest.param(b"no magic", PROTOBUF, 400, "", id="protobuf without its magic"),
        pytest.param(b"a: [", YAML, 400, "", id="bad YAML"),
        pytest.param(b"a: &x [*x]", YAML, 400, "", id="a YAML loop"),
        pytest.param(
            YAML_BOMB,YAML, 400, "", id="a YAML bomb",
        ),
        pytest.param(b"!!python/object/apply:os.getpid []", YAML, 400, "", id="YAML that acts"),
    ],
)  # fmt: skip
async def test_a_body_that_is_no_object_of_the_kind_says_why(
    wire: Wire, body: bytes, headers: Mapping[str, str], code: int, words: str
) -> None:
    answer = await wire.ask("POST", CONFIG_MAPS, body, headers)
    assert (answer.code, words in answer.status["message"]) == (code, True), answer.body[:500]
    assert await is_fine(wire)


async def test_duplicate_and_unknown_fields_warn_and_strictly_fail(wire: Wire) -> None:
    body = b'{"metadata":{"name":"a"},"data":{"x":"1"},"data":{"x":"2"},"date":{}}'
    strict = await wire.ask("POST", CONFIG_MAPS + "?fieldValidation=Strict", body)
    assert strict.code == 400
    assert 'duplicate field "data"' in strict.status["message"]
    assert 'unknown field "date"' in strict.status["message"]
    warned = await wire.ask("POST", CONFIG_MAPS, body)
    assert (warned.code, json.loads(warned.body)["data"]) == (201, {"x": "2"})
    assert warned.headers["warning"].startswith('299 - "')


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_50_mb_is_refused_unread(wire: Wire, chunked: bool) -> None:
    reader, writer = await wire.open()
    size = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {50 * 2**20}"
    head = f"POST {CONFIG_MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{size}"
    writer.write(head.encode() + b"\r\n\r\n")
    sending = asyncio.create_task(send_much(writer, chunked=chunked))
    try:
        async with asyncio.timeout(20):
            answer = await read_answer(reader)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.transport.abort()
    assert (answer.code, answer.status["reason"]) == (413, "RequestEntityTooLarge")
    assert await is_fine(wire)


async def send_much(writer: asyncio.StreamWriter, *, chunked: bool) -> None:
    part = b" " * 2**16
    for _ in range(50 * 16):
        writer.write(b"10000\r\n" + part + b"\r\n" if chunked else part)
        await writer.drain()


async def test_a_client_that_never_ends_its_body_is_given_up(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.http.connection.PARTIAL_SECONDS", 0.2)
    head = f"POST {CONFIG_MAPS} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{"
    answer = await wire.send(head.encode())
    assert answer.code in (400, 408)
    assert "did not arrive" in answer.status["message"]
    assert await is_fine(wire)


# --- patches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"{", MERGE, 400),
        (b"[]", MERGE, 400),
        (b"5", MERGE, 400),
        (b'{"metadata":{"name":"other"}}', MERGE, 400),
        (b'{"kind":"Pod"}', MERGE, 400),
        (b'{"data":5}', MERGE, 422),
        (b"[]", STRATEGIC, 400),
        (b'{"data":{"$patch":"unknown"}}', STRATEGIC, 400),
        (b'{"metadata":{"finalizers":[{"a":1}]}}', STRATEGIC, 400),
        (b"{}", JSON_PATCH, 400),
        (b'[{"op":"no","path":"/a"}]', JSON_PATCH, 400),
        (b'[{"op":"remove","path":"/no/such"}]', JSON_PATCH, 422),
        (b'[{"op":"test","path":"/data/a","value":"z"}]', JSON_PATCH, 422),
        (b'[{"op":"replace","path":"","value":5}]', JSON_PATCH, 422),
        (b"{}", JSON, 415),
        (b"{}", {}, 415),
        (b"{}", {"Content-Type": "application/apply-patch+yaml"}, 422),
    ],
)
async def test_a_patch_that_does_not_fit_changes_nothing(
    wire: Wire, body: bytes, headers: Mapping[str, str], code: int
) -> None:
    made = await wire.ask("POST", CONFIG_MAPS, b'{"metadata":{"name":"a"},"data":{"a":"b"}}')
    assert made.code == 201
    answer = await wire.ask("PATCH", CONFIG_MAPS + "/a", body, headers)
    assert (answer.code, answer.status["code"]) == (code, code), answer.body
    assert (await wire.ask("GET", CONFIG_MAPS + "/a")).body == made.body


# --- queries -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("labelSelector=a%20in%20(b", 400, "unable to parse requirement"),
        ("labelSelector=-a%3Db", 400, ""),
        ("fieldSelector=a", 400, "invalid selector"),
        ("fieldSelector=data.a%3Db", 400, "field label not supported: data.a"),
        ("continue=garbage", 400, "continue key is not valid"),
        ("continue=W10", 400, "continue key is not valid"),
        ("resourceVersion=abc", 400, "Invalid value"),
        ("resourceVersion=-1", 400, "Invalid value"),
        ("resourceVersion=99999999999999999999", 400, "Invalid value"),
        ("resourceVersionMatch=Exact", 422, "resourceVersionMatch"),
        ("resourceVersion=1&resourceVersionMatch=No", 422, "supported values"),
        ("limit=-1", 400, "limit"),
        ("limit=x", 400, "limit"),
        ("watch=1&timeoutSeconds=x", 400, "timeoutSeconds"),
        ("watch=1&sendInitialEvents=true", 422, "sendInitialEvents"),
        ("watch=1&resourceVersion=x", 400, "Invalid value"),
        ("&".join(f"a{n}=1" for n in range(1000)), 400, ""),
    ],
)
async def test_a_query_that_cannot_be_is_told(
    wire: Wire, query: str, code: int, words: str
) -> None:
    answer = await wire.ask("GET", f"{CONFIG_MAPS}?{query}")
    assert (answer.code, words in answer.status["message"]) == (code, True), answer.body


# --- paths, verbs and the protocol ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/", None),
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v9/pods", 404),
        ("GET", "/apis/no.group/v1/things", 404),
        ("GET", "/apis/apps/v1/namespaces/default/deployments/x/nothing", 404),
        ("GET", CONFIG_MAPS + "/a/b/c/d", 404),
        ("GET", CONFIG_MAPS + "/..", 404),
        ("GET", CONFIG_MAPS + "/%2e%2e", 404),
        ("GET", CONFIG_MAPS + "/%00", 404),
        ("GET", CONFIG_MAPS + "/%ff", 400),
        ("GET", CONFIG_MAPS + "/%zz", None),
        ("GET", CONFIG_MAPS + "/" + "a" * 5000, 404),
        ("GET", CONFIG_MAPS + "/A%20b", 404),
        ("DELETE", CONFIG_MAPS + "/none", 404),
        ("PUT", CONFIG_MAPS, 405),
        ("PATCH", CONFIG_MAPS, 405),
        ("POST", CONFIG_MAPS + "/a", 405),
        ("OPTIONS", CONFIG_MAPS, 405),
        ("TRACE", CONFIG_MAPS, 405),
        ("FROB", CONFIG_MAPS, 400),
        ("POST", "/api/v1/configmaps", 405),
        ("GET", "/api/v1/configmaps/a", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", "/api/v1/namespaces/default/namespaces/kube-system", 404),
        ("GET", "/api/v1/namespaces/default/pods/none/log", 404),
        ("GET", "/api/v1/namespaces/default/pods/none/exec?command=ls", 404),
        ("POST", "/api/v1/namespaces/default/pods/none/binding", 400),
        ("PUT", "/api/v1/namespaces/none/finalize", 400),
    ],
)
async def test_a_path_or_verb_that_is_not_served_says_so(
    wire: Wire, method: str, target: str, code: int | None
) -> None:
    answer = await wire.ask(method, target)
    if answer.code >= 400:
        assert answer.status["message"]
    assert answer.code == code if code else answer.code < 500, answer.body
    assert await is_fine(wire)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"GARBAGE\r\n\r\n", id="no request line"),
        pytest.param(b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", id="HTTP of the future"),
        pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", id="header without a colon"),
        pytest.param(b"GET / HTTP/1.1\r\nA: " + b"x" * 2**20 + b"\r\n\r\n", id="huge header"),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: x\r\n" % n for n in range(50_000)) + b"\r\n",
            id="many headers",
        ),
        pytest.param(b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\n\r\n", id="huge path"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", id="no length"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
            b"\r\n0\r\n\r\n",
            id="two lengths",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            id="bad chunk",
        ),
    ],
)  # fmt: skip
async def test_what_is_no_http_is_a_bad_request(wire: Wire, raw: bytes) -> None:
    answer = await wire.send(raw)
    assert 400 <= answer.code < 500
    assert answer.status["reason"]
    assert await is_fine(wire)


async def test_http_1_0_is_served_and_the_connection_closed(wire: Wire) -> None:
    reader, writer = await wire.open()
    writer.write(f"GET {CONFIG_MAPS} HTTP/1.0\r\n\r\n".encode())
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.0 200 OK\r\n")
    writer.close()


WEBSOCKET = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


async def test_an_upgrade_where_none_belongs_is_an_ordinary_request(wire: Wire) -> None:
    for headers in (WEBSOCKET, {"Connection": "Upgrade", "Upgrade": "h2c"}):
        answer = await wire.ask("GET", CONFIG_MAPS, headers=headers)
        assert answer.code == 200
        assert json.loads(answer.body)["kind"] == "ConfigMapList"


async def test_a_head_has_no_body_and_does_not_hang(wire: Wire) -> None:
    for target in (CONFIG_MAPS, CONFIG_MAPS + "?watch=1", CONFIG_MAPS + "/none"):
        reader, writer = await wire.open()
        writer.write(f"HEAD {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert answer.partition(b"\r\n\r\n")[2] == b""
        writer.close()


@pytest.mark.parametrize(
    ("method", "more"), [("GET", {}), ("HEAD", {}), ("GET", WEBSOCKET)], ids=["get", "head", "ws"]
)
async def test_clients_that_go_leave_no_watcher_behind(
    server: TlsServer, wire: Wire, method: str, more: dict[str, str]
) -> None:
    prefix = CONFIG_MAP.storage_prefix
    reader, writer = await wire.open()
    headers = {"Host": "x", "Connection": "close", **more}
    lines = [f"{method} {CONFIG_MAPS}?watch=1 HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(5):
        await reader.readuntil(b"\r\n\r\n")
        assert method == "HEAD" or watchers_of(server.running.api, prefix) == 1
        writer.transport.abort()
        while watchers_of(server.running.api, prefix):  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_a_credential_that_is_wrong_is_401_and_none_is_403(wire: Wire) -> None:
    nobody = Wire(wire.port, Access(server=wire.access.server, ca=wire.access.ca))
    assert (await nobody.ask("GET", CONFIG_MAPS)).status["reason"] == "Forbidden"
    for value in ("Bearer x", "Bearer a.b.c", "Bearer K10" + "0" * 64 + "::server:x", "Basic eA=="):
        answer = await nobody.ask("GET", CONFIG_MAPS, headers={"Authorization": value})
        assert answer.status["reason"] == "Unauthorized", value


async def test_garbage_instead_of_tls_leaves_the_server_well(wire: Wire) -> None:
    for garbage in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x00" * 100):
        _, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        writer.write(garbage)
        await writer.drain()
        writer.close()
    assert await is_fine(wire)
