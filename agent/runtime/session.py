"""Live sessions: exec and attach as a ``Stream`` over a hijacked connection."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.runtime.failure import Refused, translated
from agent.runtime.libpod import Hijacked, Libpod
from agent.runtime.runtime import Container, RuntimeFailure
from edgek.aio.tasks import cancel_and_wait

CALL_SECONDS = 15.0
LAST_WORDS = 1.0
"""How long nothing may come of a container that has ended."""
HANG_UP_SECONDS = 1.0
"""For a shell to end in good order."""


class Session:
    """``path`` is what resize is asked of: the exec or the container."""

    def __init__(self, raw: Libpod, hijacked: Hijacked, *, path: str, tty: bool) -> None:
        self._raw, self._hijacked, self._path, self._tty = raw, hijacked, path, tty
        self._ended = False

    async def read(self) -> tuple[int, bytes] | None:
        with translated("session"):
            frame = await self._hijacked.read()
        self._ended = frame is None
        return frame

    async def write(self, data: bytes) -> None:
        await self._hijacked.write(data)

    async def close_stdin(self) -> None:
        await self._hijacked.close_stdin()

    async def resize(self, width: int, height: int) -> None:
        with translated("resize"):
            await self._raw.call(
                "POST", f"{self._path}/resize", timeout=CALL_SECONDS,
                params={"w": width, "h": height},
            )  # fmt: skip

    async def exit_code(self) -> int:
        """Podman forgets an exec a few seconds after its end; an attach has no code: 0, if Podman
        is still there and it is not that which ended."""
        if self._path.startswith("/exec/"):
            return int((await self._inspect()).get("ExitCode") or 0)
        with suppress(Refused):  # the container may be removed already
            await self._inspect()
        return 0

    async def close(self) -> None:
        """A client that goes away takes what it had running with it; Podman alone would let it
        run on, with two processes of its own beside it."""
        self._hijacked.close()
        if self._ended or not self._path.startswith("/exec/"):
            return
        with suppress(RuntimeFailure):
            if self._tty and await self._signal(signal.SIGHUP):
                await asyncio.sleep(HANG_UP_SECONDS)
            await self._signal(signal.SIGKILL)

    async def _signal(self, number: int) -> bool:
        """Whether there was somebody to tell."""
        state = await self._inspect()
        pid = int(state.get("Pid") or 0) if state.get("Running") else 0
        return _tell(pid, number, container_id=str(state.get("ContainerID") or "-"))

    async def _inspect(self) -> dict[str, Any]:
        with translated("exec state"):
            data = await self._raw.call("GET", f"{self._path}/json", timeout=CALL_SECONDS)
            state: dict[str, Any] = json.loads(data)
            return state


class Attached(Session):
    """Ends with its container: of one that ended just as it was attached to, Podman never says
    so. ``over`` returns when it has ended."""

    def __init__(
        self, raw: Libpod, hijacked: Hijacked, *, path: str, tty: bool,
        over: Coroutine[Any, Any, None],
    ) -> None:  # fmt: skip
        super().__init__(raw, hijacked, path=path, tty=tty)
        self._over = asyncio.create_task(over)
        self._heard = False
        self._opened = asyncio.get_running_loop().time()

    async def read(self) -> tuple[int, bytes] | None:
        reading = asyncio.create_task(super().read())
        try:
            await asyncio.wait({reading, self._over}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({reading}, timeout=LAST_WORDS)
            if reading.done():
                self._heard = True
                return reading.result()
        finally:
            await cancel_and_wait(reading)
        self._check_in_time()
        return None

    def _check_in_time(self) -> None:
        """Who came too late is told, and reads the log instead: kubectl does."""
        age = asyncio.get_running_loop().time() - self._opened
        if not self._heard and age < 2 * LAST_WORDS:
            raise RuntimeFailure("the container ended before it was attached to")

    async def close(self) -> None:
        await cancel_and_wait(self._over)
        await super().close()


def _tell(pid: int, number: int, *, container_id: str) -> bool:
    """The command, if it is one of that container: pids are used again."""
    try:
        if pid <= 1 or container_id not in Path(f"/proc/{pid}/cgroup").read_text():
            return False
    except OSError:
        return False
    return tell_command(pid, number)


def tell_command(pid: int, number: int) -> bool:
    """The process and its group, which is conmon's making: it begins a session for each
    command."""
    try:
        group = os.getpgid(pid)
        if group == os.getsid(pid) != os.getpgrp():
            os.killpg(group, number)
        else:
            os.kill(pid, number)
    except OSError:
        return False
    return True


async def open_exec(
    raw: Libpod, container_id: str, argv: tuple[str, ...], *, stdin: bool, tty: bool
) -> Session:
    body = {
        "AttachStdin": stdin, "AttachStdout": True, "AttachStderr": not tty,
        "Tty": tty, "Cmd": list(argv),
        "Env": ["TERM=xterm"] if tty else [],  # as the CRI plugin of containerd
    }  # fmt: skip
    with translated("exec"):
        data = await raw.call(
            "POST", f"/containers/{container_id}/exec", timeout=CALL_SECONDS, body=body
        )
        path = f"/exec/{json.loads(data)['Id']}"
        hijacked = await raw.hijack(f"{path}/start", tty=tty, body={"Detach": False, "Tty": tty})
    return Session(raw, hijacked, path=path, tty=tty)


async def end_of(
    container_id: str, *, inspect: Callable[[str], Awaitable[Container | None]],
    exits: AsyncIterator[str],
) -> None:  # fmt: skip
    """Returns when the container has ended. ``exits``: since before it was attached to."""
    while True:
        with suppress(RuntimeFailure):
            found = await inspect(container_id)
            if found is None or found.state == "exited":
                return
        async for ended in exits:
            if ended in (container_id, ""):
                break


async def open_attach(
    raw: Libpod, container_id: str, *, stdin: bool, tty: bool, over: Coroutine[Any, Any, None]
) -> Attached:
    flag = str(stdin).lower()
    params = {"stream": "true", "stdin": flag, "stdout": "true", "stderr": "true"}
    path = f"/containers/{container_id}"
    try:
        with translated("attach"):
            hijacked = await raw.hijack(f"{path}/attach", tty=tty, params=params)
    except BaseException:
        over.close()
        raise
    return Attached(raw, hijacked, path=path, tty=tty, over=over)
