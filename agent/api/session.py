"""Streams of kind exec and attach: v5.channel.k8s.io messages <-> a container's session.

A message is one byte naming the channel, then data. The error channel's one message is a Status:
Success, or Failure with the exit code as a cause. As k8s.io/kubelet remotecommand (v4 and v5).
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any

from agent.api.log import find_container
from agent.api.stream import Handler, Socket
from agent.runtime.runtime import Runtime, RuntimeFailure, Stream
from edgek.aio.tasks import cancel_and_wait
from edgek.api.errors import InternalError

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


def exec_handler(runtime: Runtime) -> Handler:
    async def handle(params: Mapping[str, Any], socket: Socket) -> None:
        container = await find_container(runtime, params)
        command = tuple(str(part) for part in params.get("command") or ())
        stdin, tty = bool(params.get("stdin")), bool(params.get("tty"))
        try:
            stream = await runtime.exec_stream(container.id, command, stdin=stdin, tty=tty)
        except RuntimeFailure as err:
            raise InternalError(str(err)) from err
        await join(socket, stream, params)

    return handle


def attach_handler(runtime: Runtime) -> Handler:
    async def handle(params: Mapping[str, Any], socket: Socket) -> None:
        container = await find_container(runtime, params)
        stdin, tty = bool(params.get("stdin")), bool(params.get("tty"))
        try:
            stream = await runtime.attach(container.id, stdin=stdin, tty=tty)
        except RuntimeFailure as err:
            raise InternalError(str(err)) from err
        await join(socket, stream, params)

    return handle


async def join(socket: Socket, stream: Stream, params: Mapping[str, Any]) -> None:
    """Until the command ends, or the client goes."""
    wanted = {n for n, name in ((STDOUT, "stdout"), (STDERR, "stderr")) if params.get(name)}
    ways = []
    try:
        await socket.accept()
        # Upstream's servers begin with an empty message: the client knows then that all is open.
        await socket.send(bytes([min(wanted, default=ERROR)]))
        ways = [
            asyncio.create_task(_from_client(socket, stream)),
            asyncio.create_task(_to_client(socket, stream, wanted)),
        ]
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in done:
            way.result()
    finally:
        await cancel_and_wait(*ways)
        await stream.close()


async def _from_client(socket: Socket, stream: Stream) -> None:
    while (message := await socket.receive()) is not None:
        channel, data = message[0] if message else -1, message[1:]
        if channel == STDIN:
            await stream.write(data)
        elif channel == CLOSE and data[:1] == bytes([STDIN]):
            await stream.close_stdin()
        elif channel == RESIZE and (size := _size(data)) is not None:
            await _resize(stream, *size)


async def _resize(stream: Stream, width: int, height: int) -> None:
    # The command may have ended meanwhile; a size is not worth a session.
    with contextlib.suppress(RuntimeFailure):
        await stream.resize(width, height)


async def _to_client(socket: Socket, stream: Stream, wanted: set[int]) -> None:
    try:
        while (frame := await stream.read()) is not None:
            number, data = frame
            if number in wanted:
                await socket.send(bytes([number]) + data)
        status = exit_status(await stream.exit_code())
    except RuntimeFailure as err:
        status = InternalError(str(err)).to_status()
    await socket.send(bytes([ERROR]) + json.dumps(status).encode())


def exit_status(code: int) -> dict[str, Any]:
    """What kubectl reads an exit code from. Pure."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _size(data: bytes) -> tuple[int, int] | None:
    try:
        size = json.loads(data)
        width, height = int(size["Width"]), int(size["Height"])
    except (ValueError, KeyError, TypeError):
        return None
    return (width, height) if 0 < width < 65536 and 0 < height < 65536 else None
