"""kubectl of three generations through the real server to an agent's end of the tunnel: exec,
attach and port-forward over WebSocket (1.37) and SPDY (1.20, 1.27), with fakes for containers.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.api.port_forward import port_forward_handler
from agent.api.stream import Handler, Socket
from agent.api.tunnel import Tunnel
from agent.network.fake import FakeNetwork
from edgek.aio.clock import SystemClock
from edgek.aio.tasks import cancel_and_wait
from edgek.api.errors import Forbidden
from edgek.api.meta import Key
from edgek.cli.port_forward import read_pair
from edgek.client.http import Access, HttpTransport
from edgek.client.websocket import WebSocket
from edgek.kinds import NODE, POD, SERVICE_ACCOUNT
from edgek.pki.certificates import Profile, new_pair
from server.run import BOOTSTRAPPER
from tests.support.edgek_cli import Edgek
from tests.support.tls_server import Kubectl, TlsServer, tls_server

pytestmark = pytest.mark.timeout(120)

BIG = bytes(range(256)) * 4096 * 8


async def command(params: Mapping[str, Any], socket: Socket) -> None:
    """``cat`` echoes its input, ``size`` shows the first size told, anything else exits with 7."""
    await socket.accept()
    await socket.send(b"\x01")
    program = (params.get("command") or ["cat"])[0]
    code = 0
    if program == "broken":
        return
    if program == "cat":
        while (data := await socket.receive()) not in (None, b"\xff\x00"):
            if data is not None and data[:1] == b"\x00":
                await socket.send(b"\x01" + data[1:])
    else:
        await socket.send(b"\x01out\n")
        await socket.send(b"\x02err\n")
        code = 7
    status: dict[str, Any] = {"status": "Success"}
    if code:
        causes = [{"reason": "ExitCode", "message": str(code)}]
        status = {"status": "Failure", "reason": "NonZeroExitCode", "message": f"exit {code}",
                  "details": {"causes": causes}}  # fmt: skip
    await socket.send(b"\x03" + json.dumps(status).encode())


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """The port of a server that gives back what it got when its client has said all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TlsServer]:
    async with tls_server(tmp_path, loops=False) as server:
        await make_pod(server)
        transport = HttpTransport(node_access(server))
        forward = port_forward_handler(FakeNetwork(), lambda _: {"spec": {}})
        handlers: dict[str, Handler] = {"exec": command, "attach": command, "portforward": forward}
        tunnel = asyncio.create_task(Tunnel(transport, "node1", handlers).run())
        try:
            async with asyncio.timeout(10):
                while not server.running.tunnels.connected("node1"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            yield server
        finally:
            await cancel_and_wait(tunnel)
            await transport.close()


@pytest.fixture(params=["", "kubectl-1.27", "kubectl-1.20"])
def kubectl(request: pytest.FixtureRequest, server: TlsServer) -> Kubectl:
    return server.client(request.param) if request.param else server.kubectl


def node_access(server: TlsServer) -> Access:
    return access(server, "system:node:node1", "system:nodes")


def access(server: TlsServer, name: str, group: str) -> Access:
    profile = Profile(common_name=name, organizations=(group,), client=True)
    pair = new_pair(server.identity.client_ca, profile, now=SystemClock().now())
    return Access(
        server=f"https://127.0.0.1:{server.config.port}",
        ca=server.identity.ca_pem,
        client_cert=pair.certificate,
        client_key=pair.key,
    )


async def make_pod(server: TlsServer) -> None:
    client = server.running.api.client(BOOTSTRAPPER)
    await client.create(NODE, {"metadata": {"name": "node1"}})
    account = {"metadata": {"name": "default", "namespace": "default"}}
    await client.create(SERVICE_ACCOUNT, account)
    spec = {"nodeName": "node1", "containers": [{"name": "main", "image": "web:1", "stdin": True}]}
    meta = {"name": "web", "namespace": "default"}
    await client.create(POD, {"metadata": meta, "spec": spec})
    running = {"running": {"startedAt": "2026-01-02T03:04:05Z"}}
    status = {"name": "main", "image": "web:1", "imageID": "x", "ready": True, "restartCount": 0,
              "containerID": f"podman://{'0' * 64}", "state": running}  # fmt: skip
    body = {"status": {"phase": "Running", "containerStatuses": [status]}}
    await client.patch(POD, Key("default", "web"), body, subresource="status")


async def test_exec_gives_both_outputs_and_the_exit_code(kubectl: Kubectl) -> None:
    said = await kubectl("exec", "web", "--", "seven", ok=False)
    assert "out\n" in said
    assert "err\n" in said
    assert "exit code 7" in said


async def test_a_session_that_breaks_off_is_no_success(kubectl: Kubectl) -> None:
    said = await kubectl("exec", "web", "--", "broken", ok=False)
    assert "the connection to the node broke off" in said


async def test_input_reaches_the_command_and_ends(kubectl: Kubectl) -> None:
    text = "".join(f"line {i}\n" for i in range(50_000))
    assert await kubectl("exec", "-i", "web", "--", "cat", stdin=text) == text


async def test_attach_is_the_same_without_a_command(kubectl: Kubectl) -> None:
    assert "hello\n" in await kubectl("attach", "-i", "web", stdin="hello\n")


@asynccontextmanager
async def forwarding(
    kubectl: Kubectl, port: int
) -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
    """The local port, and what kubectl says on standard error."""
    process = await asyncio.create_subprocess_exec(
        str(kubectl.program), "--kubeconfig", str(kubectl.kubeconfig),
        "port-forward", "pod/web", f":{port}",
        env={"HOME": str(kubectl.home)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(10):
            line = (await process.stdout.readline()).decode()
        found = re.search(r"127\.0\.0\.1:(\d+) -> ", line)
        assert found, line + (await process.stderr.read()).decode()
        yield int(found[1]), process.stderr
    finally:
        with contextlib.suppress(ProcessLookupError):  # newer ones end with the first failure
            process.kill()
        await process.wait()


async def exchange(port: int, data: bytes, *, half_close: bool = True) -> bytes:
    """Sends all of it, then says so; what comes back meanwhile and after."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.create_task(reader.read() if half_close else reader.readexactly(len(data)))
    try:
        writer.write(data)
        if half_close:
            writer.write_eof()
        async with asyncio.timeout(60):
            return await reading
    finally:
        await cancel_and_wait(reading)
        writer.close()


async def test_a_port_is_forwarded_whole_and_half_closed(kubectl: Kubectl) -> None:
    async with echoing() as port, forwarding(kubectl, port) as (local, _):
        answers = await asyncio.gather(*(exchange(local, BIG) for _ in range(3)))
        assert all(answer == BIG for answer in answers)


async def test_nobody_listening_is_said(kubectl: Kubectl) -> None:
    async with forwarding(kubectl, 1) as (local, errors):
        assert await exchange(local, b"x") == b""
        async with asyncio.timeout(10):
            said = (await errors.readline()).decode()
        assert "error forwarding port 1 to pod web, uid " in said
        assert "dial tcp4 127.0.0.1:1: connect: connection refused" in said


async def binary(socket: WebSocket) -> bytes:
    message = await socket.receive()
    assert isinstance(message, bytes)
    return message


async def test_a_watch_over_a_websocket_is_a_message_an_event(server: TlsServer) -> None:
    client = server.running.api.client(BOOTSTRAPPER)
    transport = HttpTransport(node_access(server))
    query = [("watch", "true"), ("fieldSelector", "metadata.name=node1")]
    try:
        async with (
            asyncio.timeout(10),
            transport.websocket("/api/v1/nodes", query=query) as socket,
        ):
            first = json.loads(await socket.receive() or "")
            assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "node1")
            labels = {"metadata": {"labels": {"seen": "yes"}}}
            await client.patch(NODE, Key("", "node1"), labels)
            second = json.loads(await socket.receive() or "")
            assert second["type"] == "MODIFIED"
            assert second["object"]["metadata"]["labels"]["seen"] == "yes"
    finally:
        await transport.close()


async def test_ports_are_forwarded_over_channels_too(server: TlsServer) -> None:
    transport = HttpTransport(access(server, "admin", "system:masters"))
    path = "/api/v1/namespaces/default/pods/web/portforward"
    try:
        async with (
            echoing() as port,
            asyncio.timeout(10),
            transport.websocket(
                path, query=[("ports", f"{port},1")], protocols=("v4.channel.k8s.io",)
            ) as socket,
        ):
            heads = [await binary(socket) for _ in range(4)]
            assert [head[0] for head in heads] == [0, 1, 2, 3]
            assert heads[0][1:] == heads[1][1:] == port.to_bytes(2, "little")
            refused = await binary(socket)
            assert refused.startswith(b"\x03error forwarding port 1 to pod web, uid ")
            await socket.send(b"\x00hello")
            assert await binary(socket) == b"\x00hello"
    finally:
        await transport.close()


async def test_a_node_may_not_forward_ports(server: TlsServer) -> None:
    transport = HttpTransport(node_access(server))
    try:
        with pytest.raises(Forbidden):
            async with transport.websocket(
                "/api/v1/namespaces/default/pods/web/portforward", query=[("ports", "80")]
            ):
                pass
    finally:
        await transport.close()


async def test_our_own_command_forwards_too(server: TlsServer, tmp_path: Path) -> None:
    edgek = Edgek(kubeconfig=server.kubectl.kubeconfig, home=tmp_path)
    async with echoing() as port, edgek.running("port-forward", "web", f":{port}") as process:
        assert process.stdout is not None
        async with asyncio.timeout(15):
            line = (await process.stdout.readline()).decode()
        found = re.search(r"127\.0\.0\.1:(\d+) -> ", line)
        assert found, line
        assert await exchange(int(found[1]), b"x", half_close=False) == b"x"
    assert await edgek.fails("port-forward", "web", "none") == "pod web has no port named none"


PORTS = {"spec": {"ports": [{"port": 80, "name": "http", "targetPort": "web"}, {"port": 81}]}}
NAMED = {
    "metadata": {"name": "web"},
    "spec": {"containers": [{"name": "a", "ports": [{"name": "web", "containerPort": 8080}]}]},
}


@pytest.mark.parametrize(
    ("text", "service", "pair"),
    [
        ("80", False, (80, 80)),
        ("8000:80", False, (8000, 80)),
        (":80", False, (0, 80)),
        ("web", False, (8080, 8080)),
        ("9:web", False, (9, 8080)),
        ("80", True, (80, 8080)),
        ("9:http", True, (9, 8080)),
        ("81", True, (81, 81)),
    ],
)
def test_ports_are_named_as_kubectl_names_them(
    text: str, service: bool, pair: tuple[int, int]
) -> None:
    assert read_pair(text, NAMED, PORTS if service else None) == pair
