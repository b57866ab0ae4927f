"""Live sessions: exec and attach as a ``Stream`` over a hijacked connection."""

import json
import os
import signal
from contextlib import suppress
from typing import Any

from agent.runtime.failure import translated
from agent.runtime.libpod import Hijacked, Libpod
from agent.runtime.runtime import RuntimeFailure

CALL_SECONDS = 15.0


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
        """Podman forgets an exec a few seconds after its end; an attach has no code: 0."""
        if not self._path.startswith("/exec/"):
            return 0
        return int((await self._inspect()).get("ExitCode") or 0)

    async def close(self) -> None:
        """A terminal that goes away hangs up on what runs in it; Podman alone would not."""
        self._hijacked.close()
        if self._tty and not self._ended and self._path.startswith("/exec/"):
            try:
                state = await self._inspect()
            except RuntimeFailure:
                return
            if state.get("Running") and (pid := state.get("Pid") or 0) > 1:
                _hang_up(pid)

    async def _inspect(self) -> dict[str, Any]:
        with translated("exec state"):
            data = await self._raw.call("GET", f"{self._path}/json", timeout=CALL_SECONDS)
            state: dict[str, Any] = json.loads(data)
            return state


def _hang_up(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGHUP)


async def open_exec(
    raw: Libpod, container_id: str, argv: tuple[str, ...], *, stdin: bool, tty: bool
) -> Session:
    body = {
        "AttachStdin": stdin, "AttachStdout": True, "AttachStderr": not tty,
        "Tty": tty, "Cmd": list(argv),
    }  # fmt: skip
    with translated("exec"):
        data = await raw.call(
            "POST", f"/containers/{container_id}/exec", timeout=CALL_SECONDS, body=body
        )
        path = f"/exec/{json.loads(data)['Id']}"
        hijacked = await raw.hijack(f"{path}/start", tty=tty, body={"Detach": False, "Tty": tty})
    return Session(raw, hijacked, path=path, tty=tty)


async def open_attach(raw: Libpod, container_id: str, *, stdin: bool, tty: bool) -> Session:
    flag = str(stdin).lower()
    params = {"stream": "true", "stdin": flag, "stdout": "true", "stderr": "true"}
    path = f"/containers/{container_id}"
    with translated("attach"):
        hijacked = await raw.hijack(f"{path}/attach", tty=tty, params=params)
    return Session(raw, hijacked, path=path, tty=tty)
