"""Servers that answer with their name and the client's address, and their clients, in any netns.

A socket belongs to the namespace it was made in, so only its making needs a thread in there.
"""

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tests.support.netlab import enter_file

T = TypeVar("T")


def inside(netns: "Path | str", work: Callable[[], T]) -> T:
    """Runs ``work`` in a thread of that network namespace."""
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            enter_file(netns)
            result.append(work())
        except BaseException as err:
            failure.append(err)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def _bound(kind: int, ip: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((ip, port))
    if kind == socket.SOCK_STREAM:
        made.listen(64)
    return made


class Echo:
    """TCP and UDP on one port; the answer is "<name> <client ip>"."""

    def __init__(self, netns: "Path | str", name: str, port: int, ip: str = "0.0.0.0") -> None:
        self._name = name
        kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
        self._sockets = [inside(netns, lambda k=kind: _bound(k, ip, port)) for kind in kinds]
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for each in (*self._sockets, self._wake):
                selector.register(each, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._wake:
                        return
                    with contextlib.suppress(OSError):
                        self._answer(key.fileobj)

    def _answer(self, listener: "socket.socket") -> None:
        if listener.type == socket.SOCK_STREAM:
            client, address = listener.accept()
            with client:
                client.sendall(f"{self._name} {address[0]}".encode())
        else:
            _, address = listener.recvfrom(100)
            listener.sendto(f"{self._name} {address[0]}".encode(), address)

    def close(self) -> None:
        self._waker.send(b"x")
        self._thread.join()
        for each in (*self._sockets, self._wake, self._waker):
            each.close()


@contextlib.contextmanager
def echoes(*servers: tuple["Path | str", str, int]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for netns, name, port in servers:
            stack.callback(Echo(netns, name, port).close)
        yield


def ask_tcp(netns: "Path | str", ip: str, port: int, *, timeout: float = 3) -> tuple[str, str]:
    """(server's name, the client's address as the server saw it)."""
    with inside(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as made:
        made.settimeout(timeout)
        made.connect((ip, port))
        name, client = made.recv(100).decode().split()
        return name, client


def ask_udp(netns: "Path | str", ip: str, port: int, *, timeout: float = 3) -> tuple[str, str]:
    with inside(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as made:
        made.settimeout(timeout)
        made.connect((ip, port))  # refused shows as an error of this socket
        made.send(b"?")
        name, client = made.recv(100).decode().split()
        return name, client
