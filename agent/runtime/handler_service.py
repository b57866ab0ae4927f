"""Creates a container for another OCI runtime than the default one.

Podman's API cannot say which: a service has one. So one is run for that runtime, for as long as
the creation takes (some 70 ms). From then on Podman knows what the container belongs to, and the
service that is always there starts, stops and removes it.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.runtime.libpod import Libpod
from agent.runtime.runtime import RuntimeUnavailable

END_SECONDS = 5.0
START_SECONDS = 20.0
CREATE_SECONDS = 60.0


class HandlerService:
    """``enter`` leads to where Podman runs; ``environment`` is its main service's."""

    def __init__(
        self, run_dir: Path, *, enter: tuple[str, ...], environment: Mapping[str, str]
    ) -> None:
        self._run, self._enter, self._environment = run_dir, enter, environment
        self._lock = asyncio.Lock()

    async def create(self, handler: str, body: Any) -> Any:
        """As POST /containers/create; raises what Libpod.call raises, and RuntimeUnavailable."""
        socket = str(self._run / "podman-handler.sock")
        async with self._lock:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(socket)
            process = await asyncio.create_subprocess_exec(
                *self._enter, "podman", "--log-level=error", f"--runtime={handler}", "system",
                "service", "--time=60", f"unix://{socket}",
                stdin=asyncio.subprocess.DEVNULL, env=dict(self._environment), cwd="/",
                start_new_session=True,
            )  # fmt: skip
            try:
                raw = Libpod(socket)
                await _answers(raw, process)
                path = "/containers/create"
                return json.loads(await raw.call("POST", path, timeout=CREATE_SECONDS, body=body))
            finally:
                await end_service(process)


async def _answers(raw: Libpod, process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                try:
                    await raw.call("GET", "/_ping", timeout=START_SECONDS)
                    return
                except (OSError, asyncio.IncompleteReadError, ValueError):
                    await asyncio.sleep(0.01)  # a socket not yet there gives nothing to wait for
    raise RuntimeUnavailable("podman's service for another OCI runtime does not answer")


async def end_service(process: asyncio.subprocess.Process) -> None:
    """Ends a service of Podman; containers run on. One that waits for a dead disk stays."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
