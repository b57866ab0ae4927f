"""``edgek exec``: a command in a container, with this terminal as its own if wanted.

Speaks v5.channel.k8s.io: each message is a byte for the channel and its data; a Status on the
error channel says how the command ended, and its exit code becomes ours. ``converse`` does that
over whatever carries messages: a WebSocket here, the agent's local socket in ``edgek node exec``.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import click

from edgek.api.errors import from_status
from edgek.cli.cluster import Cluster, Failure, cluster_command, note
from edgek.cli.pods import default_container, find_pod
from edgek.kinds import POD

if TYPE_CHECKING:
    from edgek.client.websocket import WebSocket

PROTOCOL = "v5.channel.k8s.io"
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
HEARTBEAT = 30.0
_CHUNK = 32 * 1024


@click.command("exec")
@click.argument("words", nargs=-1, metavar="POD | KIND/NAME -- COMMAND [ARGS...]")
@click.option("-c", "--container", default="", metavar="NAME", help="In this container.")
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("-q", "--quiet", is_flag=True, help="Only what the command prints.")
@cluster_command
async def command(cluster: Cluster, /, words: tuple[str, ...], **options: Any) -> None:
    """Run a command in a container: `exec -it web-0 -- sh`."""
    if len(words) < 2:
        raise Failure("name a pod and a command: edgek exec POD -- COMMAND")
    pod = await find_pod(cluster, words[:1])
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        raise Failure(f"pod {pod['metadata']['name']} has ended; nothing can run in it")
    tty = options["tty"]
    if tty and not os.isatty(0) and not options["quiet"]:
        note("Unable to use a TTY - input is not a terminal or the right kind of file")
    query = [
        *(("command", word) for word in words[1:]),
        ("container", default_container(pod, options["container"])),
        ("stdout", "true"),
        ("stdin", str(options["stdin"]).lower()),
        ("tty", str(tty).lower()),
        ("stderr", str(not tty).lower()),  # a terminal has one output
    ]
    path = POD.path(cluster.namespace, pod["metadata"]["name"], "exec")
    status = await run_in(cluster, path, query, stdin=options["stdin"], tty=tty)
    if code := exit_code(status):
        raise SystemExit(code)


async def run_in(
    cluster: Cluster, path: str, query: Sequence[tuple[str, str]], *, stdin: bool, tty: bool
) -> dict[str, Any]:
    """The Status at the end."""
    async with cluster.transport.websocket(
        path, query=query, protocols=(PROTOCOL,), heartbeat=HEARTBEAT
    ) as socket:
        return await converse(_WebSocket(socket), stdin=stdin, tty=tty)


class Messages(Protocol):
    """What carries a session's messages."""

    async def send(self, data: bytes) -> None: ...

    def messages(self) -> AsyncIterator[bytes]: ...


class _WebSocket:
    def __init__(self, socket: "WebSocket") -> None:
        self._socket = socket

    async def send(self, data: bytes) -> None:
        await self._socket.send(data)

    async def messages(self) -> AsyncIterator[bytes]:
        async for message in self._socket:
            yield message if isinstance(message, bytes) else message.encode()


async def converse(socket: Messages, *, stdin: bool, tty: bool) -> dict[str, Any]:
    """Until the command has ended; the Status that says how."""
    with _raw_terminal(tty and os.isatty(0)), _resizes(socket, tty and os.isatty(1)):
        if stdin:
            _pass_stdin(socket)
        return await _pass_output(socket)


async def _pass_output(socket: Messages) -> dict[str, Any]:
    outputs = {STDOUT: sys.stdout.buffer, STDERR: sys.stderr.buffer}
    async for data in socket.messages():
        if not data:
            continue
        if data[0] == ERROR:
            status: dict[str, Any] = json.loads(data[1:])
            return status
        if output := outputs.get(data[0]):
            output.write(data[1:])
            output.flush()
    raise Failure("the connection ended before the command did")


def exit_code(status: dict[str, Any]) -> int:
    """0 for success. Raises ApiError where the command could not run."""
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise from_status(status)


def _pass_stdin(socket: Messages) -> None:
    """A thread, as a file cannot be waited for by a loop; a daemon, as nothing ends a read."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        with suppress(Exception):  # the loop or the socket has ended, so has our work
            while data := os.read(0, _CHUNK):
                send(bytes([STDIN]) + data)
            send(bytes([CLOSE, STDIN]))

    def send(data: bytes) -> None:
        asyncio.run_coroutine_threadsafe(socket.send(data), loop).result()

    threading.Thread(target=read, name="stdin", daemon=True).start()


@contextmanager
def _raw_terminal(wanted: bool) -> Iterator[None]:
    """Every key goes to the other side, Ctrl-C as well."""
    if not wanted:
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(0)
    try:
        tty.setraw(0, termios.TCSADRAIN)  # what was typed ahead is not thrown away
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextmanager
def _resizes(socket: Messages, wanted: bool) -> Iterator[None]:
    """Tells the terminal's size now and when it changes."""
    if not wanted:
        yield
        return
    loop = asyncio.get_running_loop()
    sending: set[asyncio.Task[None]] = set()  # or they may be collected half way

    def tell() -> None:
        size = os.get_terminal_size(1)
        body = json.dumps({"Width": size.columns, "Height": size.lines}).encode()
        task = loop.create_task(socket.send(bytes([RESIZE]) + body))
        sending.add(task)
        task.add_done_callback(sending.discard)

    loop.add_signal_handler(signal.SIGWINCH, tell)
    try:
        tell()
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
