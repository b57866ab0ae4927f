"""Streams of kind log: a container's log over the tunnel. Only containers of pods are read."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from agent.api.stream import Handler, Socket
from agent.runtime.log_watch import LogWatch
from agent.runtime.logs import LogOptions, read_log
from agent.runtime.runtime import Container, Runtime, RuntimeFailure
from edgek.aio.clock import Clock
from edgek.aio.tasks import cancel_and_wait
from edgek.api.errors import InternalError, NotFound
from edgek.api.time import parse_time


def log_handler(runtime: Runtime, clock: Clock) -> Handler:
    watch = LogWatch()

    async def handle(params: Mapping[str, Any], socket: Socket) -> None:
        container = await find_container(runtime, params)
        path, options = Path(container.log_path), read_options(params, clock)
        if not path.is_absolute() or not path.parent.is_dir():
            raise NotFound(f"the log of container {container.name} is gone")
        await socket.accept()
        async with _until_closed(socket), _ended(runtime, container, options.follow) as ended:
            async for chunk in read_log(path, options, ended=ended, watch=watch):
                await socket.send(chunk)

    return handle


async def find_container(runtime: Runtime, params: Mapping[str, Any]) -> Container:
    """The container that the server means, if it is the pod's: the server has its id from the
    pod's status, which others than us may write."""
    container_id = str(params.get("containerID") or "")
    try:
        container = await runtime.inspect(container_id) if container_id else None
    except RuntimeFailure as err:
        raise InternalError(str(err)) from err
    owner = container.labels.get("io.edgek.pod-uid") if container is not None else None
    if container is None or not owner or owner != params.get("podUID"):
        raise NotFound(f'container "{container_id[:12]}" not found')
    return container


def read_options(params: Mapping[str, Any], clock: Clock) -> LogOptions:
    since = parse_time(params["sinceTime"]) if params.get("sinceTime") else None
    if seconds := params.get("sinceSeconds"):
        since = clock.now() - timedelta(seconds=seconds)
    stream = str(params.get("stream") or "All").lower()
    return LogOptions(
        follow=bool(params.get("follow")),
        tail=params.get("tailLines"),
        since=since,
        timestamps=bool(params.get("timestamps")),
        limit_bytes=params.get("limitBytes") or 0,
        stream="" if stream == "all" else stream,
    )


@asynccontextmanager
async def _until_closed(socket: Socket) -> AsyncIterator[None]:
    """Ends the body when the reader has gone, also while there is nothing to send to it."""
    body = asyncio.current_task()
    assert body is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while await socket.receive() is not None:
            pass
        gone = True
        body.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone or body.uncancel():
            raise
    finally:
        await cancel_and_wait(watcher)


@asynccontextmanager
async def _ended(
    runtime: Runtime, container: Container, follow: bool
) -> AsyncIterator[asyncio.Event]:
    """An event that is set once the container has exited."""
    ended = asyncio.Event()

    async def watch() -> None:
        exits = runtime.exits()  # before looking: an exit in between must not be missed
        while True:
            try:
                now = await runtime.inspect(container.id)
            except RuntimeFailure:  # Podman is away; "" tells when it is back
                now = container
            if now is None or now.state == "exited":
                ended.set()
                return
            while await anext(exits) not in (container.id, ""):
                pass

    watcher = asyncio.create_task(watch()) if follow else None
    try:
        yield ended
    finally:
        if watcher is not None:
            await cancel_and_wait(watcher)
