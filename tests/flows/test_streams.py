"""Logs and sessions, from a client's request through server and tunnel to the agent and back:
real connections, the fake engine.
"""

# ruff: noqa: ASYNC110

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.api.log import log_handler
from agent.api.session import attach_handler, exec_handler
from agent.api.tunnel import Tunnel
from agent.runtime.fake import FakeRuntime, Script
from agent.runtime.runtime import ContainerSpec, ExecResult, Namespaces
from edgek.aio.clock import SystemClock
from edgek.aio.tasks import cancel_and_wait
from edgek.api.errors import InternalError
from edgek.client.http import Access, HttpTransport
from edgek.client.websocket import WebSocket
from server.endpoints.subresources import exec as exec_endpoint
from server.endpoints.subresources import log as log_endpoint
from server.endpoints.subresources.backend import Chunks
from server.request.model import Request, Response
from server.tunnel import PREFIX, Tunnels
from tests.support.streams import serving

MOST = 16
STAMP = "2026-01-02T03:04:05.678901234+00:00 stdout F"


class Cluster:
    def __init__(self, directory: Path) -> None:
        self.tunnels = Tunnels()
        self.runtime = FakeRuntime(images=("web:1",))
        self.log = directory / "0.log"
        self.log.write_text(f"{STAMP} one\n{STAMP} two\n")
        self.container_id = ""
        self.pod_uid = "uid-1"
        self.state: dict[str, Any] = {"running": {}}
        self.url = ""

    async def start_container(self) -> None:
        self.container_id = await self.runtime.create(
            ContainerSpec(
                name="a", image="web:1", namespaces=Namespaces(net="host", ipc="host", uts="host"),
                cgroup_parent="/x", log_path=str(self.log),
                labels={"io.edgek.pod-uid": "uid-1"},
            )
        )  # fmt: skip
        await self.runtime.start(self.container_id)

    @property
    def pod(self) -> dict[str, Any]:
        status = {"name": "web", "containerID": f"podman://{self.container_id}",
                  "state": self.state}  # fmt: skip
        return {
            "metadata": {"name": "pod-a", "namespace": "default", "uid": self.pod_uid},
            "spec": {"nodeName": "node1", "containers": [{"name": "web"}]},
            "status": {"containerStatuses": [status]},
        }

    async def handle(self, request: Request) -> Response:
        if request.path.startswith(PREFIX):
            return await self.tunnels.handle(request)
        verbs = {"log": log_endpoint.handle, "exec": exec_endpoint.handle,
                 "attach": exec_endpoint.handle_attach}  # fmt: skip
        return await verbs[request.path.strip("/")](request, self.pod, self.tunnels)

    async def connected(self) -> None:
        async with asyncio.timeout(5):
            while not self.tunnels.connected("node1"):
                await asyncio.sleep(0.002)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path)
    await cluster.start_container()
    async with serving(cluster.handle) as url:
        cluster.url = url
        transport = HttpTransport(Access(server=url))
        handlers = {
            "log": log_handler(cluster.runtime, SystemClock()),
            "exec": exec_handler(cluster.runtime),
            "attach": attach_handler(cluster.runtime),
        }
        tunnel = asyncio.create_task(Tunnel(transport, "node1", handlers, most=MOST).run())
        try:
            await cluster.connected()
            yield cluster
        finally:
            await cancel_and_wait(tunnel)
            await transport.close()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


async def test_a_log_reaches_the_client(cluster: Cluster, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{cluster.url}/log", params={"tailLines": "1"}) as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        assert await response.read() == b"two\n"


async def test_following_ends_with_the_container(
    cluster: Cluster, client: aiohttp.ClientSession
) -> None:
    async with client.get(f"{cluster.url}/log", params={"follow": "true"}) as response:
        assert await response.content.readexactly(8) == b"one\ntwo\n"
        with cluster.log.open("a") as file:
            file.write(f"{STAMP} three\n")
        assert await response.content.readexactly(6) == b"three\n"
        cluster.runtime.end(cluster.container_id, exit_code=0)
        assert await response.content.read() == b""


async def test_a_client_that_goes_ends_the_agents_stream(
    cluster: Cluster, client: aiohttp.ClientSession
) -> None:
    response = await client.get(f"{cluster.url}/log", params={"follow": "true"})
    assert await response.content.readexactly(8) == b"one\ntwo\n"
    reading = [t for t in asyncio.all_tasks() if t.get_name().startswith("tunnel/log-")]
    assert len(reading) == 1
    response.close()
    await asyncio.wait_for(asyncio.wait(reading), 5)
    assert reading[0].exception() is None


@pytest.mark.parametrize(
    ("state", "query", "code", "message"),
    [
        ({"waiting": {"reason": "ContainerCreating"}}, {}, 400,
         'container "web" in pod "pod-a" is waiting to start: ContainerCreating'),
        ({"waiting": {"reason": "ErrImagePull"}}, {}, 400,
         'container "web" in pod "pod-a" is waiting to start: image can\'t be pulled'),
        ({"running": {}}, {"previous": "true"}, 400,
         'previous terminated container "web" in pod "pod-a" not found'),
        ({"running": {}}, {"container": "no"}, 400, "container no is not valid for pod pod-a"),
        ({"running": {}}, {"tailLines": "-1"}, 422,
         'PodLogOptions "pod-a" is invalid: tailLines: Invalid value: -1: must be greater than or '
         "equal to 0"),
        ({"running": {}}, {"tailLines": "x"}, 400,
         'strconv.ParseInt: parsing "x": invalid syntax'),
    ],
)  # fmt: skip
async def test_a_log_that_cannot_be_read_says_why(
    cluster: Cluster, client: aiohttp.ClientSession, state: dict[str, Any],
    query: dict[str, str], code: int, message: str,
) -> None:  # fmt: skip
    cluster.state = state
    async with client.get(f"{cluster.url}/log", params=query) as response:
        assert (response.status, (await response.json())["message"]) == (code, message)


async def test_what_the_agent_refuses_is_the_clients_answer(
    cluster: Cluster, client: aiohttp.ClientSession
) -> None:
    cluster.container_id = "0" * 64
    async with client.get(f"{cluster.url}/log") as response:
        assert response.status == 404
        assert (await response.json())["message"] == 'container "000000000000" not found'


@pytest.mark.parametrize("path", ["/log", "/exec?command=sh&stdout=true", "/attach?stdout=true"])
async def test_a_status_that_names_anothers_container_leads_nowhere(
    cluster: Cluster, client: aiohttp.ClientSession, path: str
) -> None:
    cluster.pod_uid = "uid-2"
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    async with client.get(cluster.url + path, headers=headers) as response:
        assert response.status == 404


async def test_a_node_that_is_not_connected_is_a_backend_that_cannot_be_dialled(
    cluster: Cluster, client: aiohttp.ClientSession
) -> None:
    with pytest.raises(Exception, match='error dialing backend: node "node9" is not connected'):
        await cluster.tunnels.open("node9", "log", {})


async def test_a_node_cannot_take_anothers_tunnel(
    cluster: Cluster, client: aiohttp.ClientSession
) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await client.ws_connect(
            f"{cluster.url}{PREFIX}node1", headers={"x-user": "system:node:node2"}
        )
    assert caught.value.status == 403


async def run(client: aiohttp.ClientSession, cluster: Cluster, protocol: str) -> list[Any]:
    url = f"{cluster.url}/exec?command=ls&command=-l&stdout=true&stderr=true"
    async with client.ws_connect(url, protocols=[protocol] if protocol else ()) as socket:
        assert (socket.protocol or "") == protocol
        return [m.data async for m in socket]


@pytest.fixture
def failing_ls(cluster: Cluster) -> None:
    async def ls(command: tuple[str, ...]) -> ExecResult:
        assert command == ("ls", "-l")
        return ExecResult(exit_code=2, output=b"nothing")

    cluster.runtime.scripts["web:1"] = Script(exec=ls)


@pytest.mark.usefixtures("failing_ls")
@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
async def test_exec_gives_output_and_exit_code(
    cluster: Cluster, client: aiohttp.ClientSession, protocol: str
) -> None:
    hello, output, status = await run(client, cluster, protocol)
    assert (hello, output) == (b"\x01", b"\x01nothing")
    assert status[:1] == b"\x03"
    cause = json.loads(status[1:])["details"]["causes"][0]
    assert cause == {"reason": "ExitCode", "message": "2"}


@pytest.mark.usefixtures("failing_ls")
async def test_older_protocols_are_spoken_too(
    cluster: Cluster, client: aiohttp.ClientSession
) -> None:
    failure = "command terminated with non-zero exit code: exit status 2"
    texts = await run(client, cluster, "base64.channel.k8s.io")
    assert [base64.b64decode(t[1:]).decode() for t in texts] == ["", "nothing", failure]
    assert [t[0] for t in texts] == ["1", "1", "3"]
    assert await run(client, cluster, "") == [b"\x01", b"\x01nothing", b"\x03" + failure.encode()]


async def test_the_tunnel_comes_back_after_the_server_was_away(
    cluster: Cluster, client: aiohttp.ClientSession
) -> None:
    await cluster.tunnels._controls["node1"].close()
    async with asyncio.timeout(5):
        while cluster.tunnels.connected("node1"):
            await asyncio.sleep(0.002)
    await cluster.connected()
    async with client.get(f"{cluster.url}/log") as response:
        assert await response.read() == b"one\ntwo\n"


HANDSHAKE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "1"}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("HEAD", "/log?follow=true", {}),
        ("GET", "/log?follow=true", HANDSHAKE),
    ],
)
async def test_streams_that_nobody_takes_up_leave_room_for_others(
    cluster: Cluster, client: aiohttp.ClientSession, method: str, path: str, headers: dict[str, str]
) -> None:
    for _ in range(MOST + 1):
        async with client.request(method, cluster.url + path, headers=headers) as answer:
            await answer.read()
    async with asyncio.timeout(5):
        while True:
            async with client.get(f"{cluster.url}/log") as response:
                if response.status == 200:
                    return
            await asyncio.sleep(0.01)


async def test_an_upgrade_that_the_connection_does_not_name_is_none(
    cluster: Cluster, client: aiohttp.ClientSession
) -> None:
    async with client.get(f"{cluster.url}/log", headers={"Upgrade": "websocket"}) as response:
        assert await response.read() == b"one\ntwo\n"


async def test_no_kind_of_stream_keeps_the_others_out(
    cluster: Cluster, client: aiohttp.ClientSession
) -> None:
    following = [
        await client.get(f"{cluster.url}/log", params={"follow": "true"}) for _ in range(MOST)
    ]
    try:
        async with client.get(f"{cluster.url}/log") as response:
            assert response.status == 500
            said = (await response.json())["message"]
            assert "this node has too many streams of kind log open already" in said
        assert (await run(client, cluster, "v5.channel.k8s.io"))[-1][:1] == b"\x03"
    finally:
        for response in following:
            response.close()


async def log_of_a_node(cluster: Cluster, end: Callable[[WebSocket], Awaitable[None]]) -> bytes:
    """What a client gets of a node that ends its stream so, after one message."""
    transport = HttpTransport(Access(server=cluster.url))
    try:
        async with transport.websocket(f"{PREFIX}node2") as control:
            opening = asyncio.create_task(cluster.tunnels.open("node2", "log", {}))
            call = json.loads(await control.receive() or "")
            with contextlib.suppress(ZeroDivisionError):
                async with transport.websocket(f"{PREFIX}node2/{call['id']}") as socket:
                    await socket.send('{"status": 200}')
                    await socket.send(b"half of it")
                    reading = asyncio.create_task(whole(Chunks(await opening)))
                    await asyncio.sleep(0)
                    await end(socket)
            return await reading
    finally:
        await transport.close()


async def whole(chunks: Chunks) -> bytes:
    return b"".join([piece async for piece in chunks])


async def _is_killed(socket: WebSocket) -> None:
    socket._connection.abort()


async def _fails(socket: WebSocket) -> None:
    raise ZeroDivisionError


async def _ends(socket: WebSocket) -> None:
    return


@pytest.mark.parametrize("end", [_is_killed, _fails])
async def test_half_a_log_is_not_taken_for_all_of_it(
    cluster: Cluster, end: Callable[[WebSocket], Awaitable[None]]
) -> None:
    with pytest.raises(ConnectionResetError):
        await log_of_a_node(cluster, end)


async def test_a_log_that_ends_in_good_order_is_whole(cluster: Cluster) -> None:
    assert await log_of_a_node(cluster, _ends) == b"half of it"


async def test_what_was_asked_of_an_agent_that_dies_is_refused_at_once(cluster: Cluster) -> None:
    transport = HttpTransport(Access(server=cluster.url))
    try:
        async with transport.websocket(f"{PREFIX}node2") as control:
            opening = asyncio.create_task(cluster.tunnels.open("node2", "log", {}))
            assert await control.receive()
            control._connection.abort()
            async with asyncio.timeout(2):
                with pytest.raises(InternalError, match='"node2": the agent broke off'):
                    await opening
    finally:
        await transport.close()
