"""``edgek logs`` and ``edgek exec`` through the real server to an agent's end of the tunnel."""

# ruff: noqa: ASYNC110

import asyncio
import fcntl
import json
import os
import pty
import struct
import termios
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.api.stream import Socket
from agent.api.tunnel import Tunnel
from edgek.aio.clock import SystemClock
from edgek.aio.tasks import cancel_and_wait
from edgek.api.meta import Key
from edgek.client.http import Access, HttpTransport
from edgek.kinds import NODE, POD, SERVICE_ACCOUNT
from edgek.pki.certificates import Profile, new_pair
from server.run import BOOTSTRAPPER
from tests.support.edgek_cli import PROGRAM, Edgek
from tests.support.tls_server import TlsServer, tls_server

pytestmark = pytest.mark.timeout(120)


class Agent:
    """An agent's handlers: a log of its own words, and a few commands."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.release = asyncio.Event()

    async def log(self, params: Mapping[str, Any], socket: Socket) -> None:
        self.asked.append(params)
        await socket.accept()
        await socket.send(f"log of {params['containerID'][:5]}\n".encode())
        if params.get("follow"):
            await self.release.wait()
            await socket.send(b"more\n")

    async def exec(self, params: Mapping[str, Any], socket: Socket) -> None:
        self.asked.append(params)
        await socket.accept()
        program = params["command"][0]
        if program == "cat":
            await self._cat(socket)
        elif program == "size":
            await self._size(socket)
        else:
            await socket.send(b"\x01out\n")
            await socket.send(b"\x02err\n")
        await socket.send(b"\x03" + json.dumps(STATUSES[program]).encode())
        while await socket.receive() is not None:
            pass

    async def _cat(self, socket: Socket) -> None:
        while (data := await socket.receive()) is not None:
            if data == b"\xff\x00":
                return
            await socket.send(b"\x01" + data[1:])

    async def _size(self, socket: Socket) -> None:
        """Twice the terminal's size, and one key between."""
        for _ in range(3):
            data = await socket.receive()
            assert data is not None
            await socket.send(b"\x01[" + data + b"]")


SUCCESS = {"status": "Success"}
STATUSES: dict[str, dict[str, Any]] = {
    "cat": SUCCESS,
    "size": SUCCESS,
    "true": SUCCESS,
    "seven": {
        "status": "Failure", "reason": "NonZeroExitCode", "message": "exit 7",
        "details": {"causes": [{"reason": "ExitCode", "message": "7"}]},
    },
    "missing": {"status": "Failure", "reason": "InternalError", "code": 500,
                "message": "no such program"},
}  # fmt: skip


@pytest.fixture
async def agent() -> Agent:
    return Agent()


@pytest.fixture
async def edgek(tmp_path: Path, agent: Agent) -> AsyncIterator[Edgek]:
    async with tls_server(tmp_path, loops=False) as server:
        await make_pods(server)
        transport = HttpTransport(node_access(server))
        handlers = {"log": agent.log, "exec": agent.exec}
        tunnel = asyncio.create_task(Tunnel(transport, "node1", handlers).run())
        try:
            async with asyncio.timeout(10):
                while not server.running.tunnels.connected("node1"):
                    await asyncio.sleep(0.01)
            yield Edgek(kubeconfig=server.kubectl.kubeconfig, home=tmp_path)
        finally:
            await cancel_and_wait(tunnel)
            await transport.close()


def node_access(server: TlsServer) -> Access:
    profile = Profile(common_name="system:node:node1", organizations=("system:nodes",), client=True)
    pair = new_pair(server.identity.client_ca, profile, now=SystemClock().now())
    return Access(
        server=f"https://127.0.0.1:{server.config.port}",
        ca=server.identity.ca_pem,
        client_cert=pair.certificate,
        client_key=pair.key,
    )


async def make_pods(server: TlsServer) -> None:
    client = server.running.api.client(BOOTSTRAPPER)
    for name in ("node1", "node9"):
        await client.create(NODE, {"metadata": {"name": name}})
    account = {"metadata": {"name": "default", "namespace": "default"}}
    await client.create(SERVICE_ACCOUNT, account)
    for name, node, containers in (
        ("one", "node1", ("main",)), ("two", "node1", ("main", "side")), ("far", "node9", ("main",))
    ):  # fmt: skip
        spec = {"nodeName": node, "containers": [{"name": c, "image": c} for c in containers]}
        meta = {"name": name, "namespace": "default", "labels": {"on": node}}
        await client.create(POD, {"metadata": meta, "spec": spec})
        running = {"running": {"startedAt": "2026-01-02T03:04:05Z"}}
        statuses = [
            {"name": c, "image": c, "imageID": c, "ready": True, "restartCount": 0,
             "containerID": f"podman://{c:x<5}{'0' * 59}", "state": running}
            for c in containers
        ]  # fmt: skip
        body = {"status": {"phase": "Running", "containerStatuses": statuses}}
        await client.patch(POD, Key("default", name), body, subresource="status")


async def test_logs_of_a_pod_and_its_containers(edgek: Edgek, agent: Agent) -> None:
    assert await edgek("logs", "one") == "log of mainx\n"
    done = await edgek.run("logs", "two", "--tail=3", "--since=90s", "--timestamps")
    assert done.out == "log of mainx\n"
    assert "Defaulted container 'main' out of: main, side" in done.err
    asked = agent.asked[-1]
    assert (asked["tailLines"], asked["sinceSeconds"], asked["timestamps"]) == (3, 90, True)
    assert await edgek("logs", "two", "-c", "side") == "log of sidex\n"
    assert await edgek("logs", "two", "--all-containers", "--prefix") == (
        "[pod/two/main] log of mainx\n[pod/two/side] log of sidex\n"
    )
    assert (await edgek("logs", "-l", "on=node1")).count("log of mainx\n") == 2
    said = await edgek.fails("logs", "two", "-c", "none")
    assert said == "pod two has no container 'none'; it has main, side"


async def test_a_followed_log_goes_on_until_it_ends(edgek: Edgek, agent: Agent) -> None:
    async with edgek.running("logs", "-f", "-l", "on=node1", "--prefix") as process:
        assert process.stdout is not None
        first = {await process.stdout.readline() for _ in range(2)}
        assert first == {b"[pod/one/main] log of mainx\n", b"[pod/two/main] log of mainx\n"}
        agent.release.set()
        rest, _ = await asyncio.wait_for(process.communicate(), 20)
        assert sorted(rest.splitlines()) == [b"[pod/one/main] more", b"[pod/two/main] more"]
        assert process.returncode == 0


async def test_exec_gives_output_errors_and_exit_code(edgek: Edgek, agent: Agent) -> None:
    done = await edgek.run("exec", "one", "--", "true", "-x", "a b")
    assert (done.code, done.out, done.err) == (0, "out\n", "err\n")
    assert agent.asked[-1]["command"] == ["true", "-x", "a b"]
    done = await edgek.run("exec", "pod/two", "-c", "side", "--", "seven")
    assert (done.code, done.out) == (7, "out\n")
    assert await edgek.fails("exec", "one", "--", "missing") == "no such program"


async def test_exec_passes_standard_input_to_its_end(edgek: Edgek) -> None:
    text = "".join(f"line {n}\n" for n in range(20_000))
    assert await edgek("exec", "-i", "one", "--", "cat", stdin=text) == text


async def test_what_refuses_a_session_is_told(edgek: Edgek) -> None:
    """The server says it before the upgrade, and aiohttp alone would drop its words."""
    said = await edgek.fails("exec", "far", "--", "true")
    assert said == 'error dialing backend: node "node9" is not connected'


async def test_a_terminal_is_raw_and_tells_its_size(edgek: Edgek) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    before = termios.tcgetattr(theirs)
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "exec", "-it", "one", "--", "size",
        env=edgek.env, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    try:
        seen = await read_until(ours, b'[\x04{"Width": 100, "Height": 40}]')
        os.write(ours, b"\x03")  # Ctrl-C is a key like any other
        seen = await read_until(ours, b"[\x00\x03]")
        assert b"^C" not in seen
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 90, 0, 0))
        process.send_signal(28)  # SIGWINCH: this terminal controls no process group
        await read_until(ours, b'[\x04{"Width": 90, "Height": 50}]')
        assert await asyncio.wait_for(process.wait(), 20) == 0
        assert termios.tcgetattr(theirs) == before
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)
        os.close(theirs)


async def read_until(fd: int, words: bytes) -> bytes:
    seen = b""
    async with asyncio.timeout(20):
        while words not in seen:
            ready = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_reader(fd, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(fd)
            seen += os.read(fd, 4096)
    return seen
