"""Network namespaces for tests: an outside with a switch, and nodes that hang on it.

A node is one network namespace and one thread that lives in it: what is called with
``node.call`` runs there, and so do the threads it starts. The machine's own namespace gets no
link, address or rule. Leaving the ``with`` removes everything.
"""

import asyncio
import contextlib
import ctypes
import os
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
NETWORK = "10.98.0"


def sh(*argv: str, timeout: float = 20) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


class Space:
    """A named network namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        sh("ip", "netns", "add", name)
        sh("ip", "-n", name, "link", "set", "lo", "up")

    def run(self, *argv: str, timeout: float = 20) -> str:
        return sh("ip", "netns", "exec", self.name, *argv, timeout=timeout)

    def popen(self, *argv: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *argv], text=True, stdout=subprocess.PIPE
        )

    def close(self) -> None:
        sh("ip", "netns", "del", self.name)


class Node(Space):
    def __init__(self, name: str, number: int) -> None:
        super().__init__(name)
        self.ip = f"{NETWORK}.{10 + number}"
        self.pod_cidr = f"10.42.{number}.0/24"
        self._thread = ThreadPoolExecutor(1, name, initializer=enter, initargs=(name,))

    def call(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Runs ``work`` inside and gives back its result."""
        return self._thread.submit(work, *args, **kwargs).result(30)

    def arun(self, coro: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in an event loop inside."""
        return self.call(asyncio.run, coro)

    def close(self) -> None:
        self._thread.shutdown()
        super().close()


def enter(name: str) -> None:
    """Moves the calling thread, and what it starts, into a named namespace."""
    enter_file(Path("/run/netns") / name)


def enter_file(path: "Path | str") -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000):
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(fd)


class Lab:
    def __init__(self, nodes: int) -> None:
        tag = f"ekt{os.getpid()}"
        self._spaces: list[Space] = []
        try:
            self.outside = self._keep(Space(f"{tag}-out"))
            self.outside.run("ip", "link", "add", "switch", "type", "bridge")
            self.outside.run("ip", "addr", "add", f"{NETWORK}.1/24", "dev", "switch")
            self.outside.run("ip", "link", "set", "switch", "up")
            self.nodes = [self._node(tag, number + 1) for number in range(nodes)]
        except BaseException:
            self.close()
            raise

    def _keep(self, space: Any) -> Any:
        self._spaces.append(space)
        return space

    def _node(self, tag: str, number: int) -> Node:
        node: Node = self._keep(Node(f"{tag}-n{number}", number))
        port = f"n{number}"
        sh(
            *("ip", "-n", self.outside.name, "link", "add", port, "type", "veth"),
            *("peer", "name", "eth0", "netns", node.name),
        )
        self.outside.run("ip", "link", "set", port, "master", "switch", "up")
        node.run("ip", "addr", "add", f"{node.ip}/24", "dev", "eth0")
        node.run("ip", "link", "set", "eth0", "up")
        # Tests reuse addresses faster than the kernel's quota of "refused" messages refills.
        node.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit")
        node.run("ip", "route", "add", "default", "via", f"{NETWORK}.1")
        return node

    def close(self) -> None:
        for space in reversed(self._spaces):
            with contextlib.suppress(RuntimeError):
                space.close()


@contextlib.contextmanager
def lab(nodes: int = 1) -> Iterator[Lab]:
    made = Lab(nodes)
    try:
        yield made
    finally:
        made.close()
