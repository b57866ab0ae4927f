"""The agent's local socket, with the command line's end of it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.api.local import LocalServer
from agent.api.stream import Handler, Socket, answers
from agent.offline import by_run_uid
from agent.pods.store import Pods
from edgek.aio.tasks import cancel_and_wait
from edgek.api.errors import BadRequest, NotFound
from edgek.cli.cluster import Failure
from edgek.cli.node_socket import ask, stream


async def echo(params: Mapping[str, Any], socket: Socket) -> None:
    await socket.accept()
    while (data := await socket.receive()) is not None and data != b"end":
        await socket.send(data * params["times"])


async def refuse(params: Mapping[str, Any], socket: Socket) -> None:
    raise NotFound("it is not there")


async def much() -> list[str]:
    return ["x" * 1000] * 5000


HANDLERS: dict[str, Handler] = {"echo": echo, "refuse": refuse, "much": answers(much)}


@asynccontextmanager
async def serving(run_dir: Path) -> AsyncIterator[str]:
    server = LocalServer(run_dir / "agent.sock", HANDLERS)
    running = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(5):
            while not (run_dir / "agent.sock").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        yield str(run_dir)
    finally:
        await cancel_and_wait(running)


async def test_a_stream_goes_both_ways_until_its_end(tmp_path: Path) -> None:
    async with serving(tmp_path) as run_dir, stream(run_dir, "echo", times=2) as opened:
        await opened.send(b"ab")
        await opened.send(b"end")
        assert [data async for data in opened.messages()] == [b"abab"]


async def test_an_answer_may_be_long_and_a_refusal_is_the_agents_own(tmp_path: Path) -> None:
    async with serving(tmp_path) as run_dir:
        assert await ask(run_dir, "much") == await much()
        with pytest.raises(NotFound, match="it is not there"):
            await ask(run_dir, "refuse")
        with pytest.raises(BadRequest, match="does not know 'dance'"):
            await ask(run_dir, "dance")


async def test_only_root_may_open_it_and_it_goes_with_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    async with serving(tmp_path) as run_dir:
        async with asyncio.timeout(5):
            while path.stat().st_mode & 0o777 != 0o600:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert await ask(run_dir, "much")
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240
    with pytest.raises(Failure, match="no agent runs on this machine"):
        await ask(str(tmp_path), "much")


@pytest.mark.parametrize(
    "said", [b"", b"x", b"t\xff\xff\xff\xff", b"t\0\0\0\2[]", b"GET / HTTP/1.1\r\n\r\n"]
)
async def test_who_talks_nonsense_is_cut_off_and_others_are_served(
    tmp_path: Path, said: bytes
) -> None:
    async with serving(tmp_path) as run_dir:
        reader, writer = await asyncio.open_unix_connection(f"{run_dir}/agent.sock")
        writer.write(said)
        writer.write_eof()
        assert b"not found" not in await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert await ask(run_dir, "much")


async def test_it_ends_with_clients_connected(tmp_path: Path) -> None:
    async with asyncio.timeout(5), AsyncExitStack() as clients:
        async with serving(tmp_path) as run_dir:
            silent, writer = await asyncio.open_unix_connection(f"{run_dir}/agent.sock")
            opened = await clients.enter_async_context(stream(run_dir, "echo", times=1))
            await opened.send(b"x")
            messages = opened.messages()
            assert await anext(messages) == b"x"
        assert await silent.read() == b""
        assert [data async for data in messages] == []
        writer.close()


async def test_the_server_names_a_static_pod_by_its_mirror(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def note(params: Mapping[str, Any], socket: Socket) -> None:
        seen.append(params["podUID"])

    pods = Pods(lambda pod_uid: None)
    marks = {"kubernetes.io/config.hash": "h"}
    meta: dict[str, Any] = {"name": "a-n1", "namespace": "default"}
    pods.set_static([{"metadata": meta | {"uid": "h", "annotations": marks}}])
    shown = meta | {"uid": "m", "annotations": marks | {"kubernetes.io/config.mirror": "h"}}
    pods.on_change(None, {"metadata": shown})
    handler = by_run_uid({"log": note}, pods)["log"]
    for api_uid in ("m", "other", None):
        await handler({"podUID": api_uid}, None)  # type: ignore[arg-type]
    assert seen == ["h", "other", None]
