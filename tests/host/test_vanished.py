"""Clients that vanish without a word while the server sends to them: their cable is pulled out."""

import asyncio
import os
import queue
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from server.http.server import HttpServer
from server.request.model import Request, Response
from tests.support.netlab import Node, enter, lab

pytestmark = [pytest.mark.host, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


async def serve(port: "queue.Queue[int]", *, ended: threading.Event, stop: threading.Event) -> None:
    """Answers with what has no end, and tells when nobody is there for it any more."""

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            ended.set()

    async def handle(request: Request) -> Response:
        return Response(stream=endless())

    server = HttpServer(handle, look_seconds=0.2, gone_seconds=1.0)
    port.put(await server.listen("0.0.0.0", 0, None))
    await asyncio.to_thread(stop.wait)
    await server.close()


@contextmanager
def serving(node: Node, ended: threading.Event) -> Iterator[int]:
    port: queue.Queue[int] = queue.Queue()
    stop = threading.Event()

    def run() -> None:
        enter(node.name)
        asyncio.run(serve(port, ended=ended, stop=stop))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield port.get(timeout=10)
    finally:
        stop.set()
        thread.join(10)


def connect(space: str, address: tuple[str, int]) -> socket.socket:
    made: list[socket.socket] = []

    def run() -> None:
        enter(space)
        made.append(socket.create_connection(address, timeout=10))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    return made[0]


def test_a_client_that_pauses_stays_and_one_that_vanishes_is_let_go() -> None:
    ended = threading.Event()
    with (
        lab(nodes=1) as made,
        serving(made.nodes[0], ended) as port,
        connect(made.outside.name, (made.nodes[0].ip, port)) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert not ended.wait(3)  # longer than what makes one gone
        made.outside.run("ip", "link", "set", "n1", "down")
        began = time.monotonic()
        assert ended.wait(20)
        assert time.monotonic() - began > 0.5
