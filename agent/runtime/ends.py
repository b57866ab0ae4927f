"""Ends: watches what runs, and knows how what has exited ended.

How an exit is known: the pidfd of each running container fires, Podman is asked until it knows
the exit code too (it lags by some 50 ms), and only then is the id handed out. Where Podman never
learns it, because conmon was killed, the container counts as lost. An exit is final: of a
container that has one nothing is asked again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from pathlib import Path

from agent.runtime.calls import Calls
from agent.runtime.exits import Exits
from agent.runtime.failure import Refused
from agent.runtime.log_keeper import LogKeeper
from agent.runtime.observed import from_earlier_boot, lost
from agent.runtime.processes import Processes, user_of
from agent.runtime.runtime import Container, RuntimeUnavailable
from edgek.aio.clock import Clock
from edgek.aio.tasks import Tasks

EXIT_CODE_SECONDS = 5.0
"""How long Podman may take to learn of an exit before the container counts as lost."""


class Ends:
    """``look`` is how Podman sees a container now. Logs are kept for as long as one runs."""

    def __init__(
        self,
        calls: Calls,
        *,
        look: Callable[[str], Awaitable[Container | None]],
        logs: LogKeeper,
        boot: str,
        clock: Clock,
    ) -> None:
        self.exits = Exits()
        self._calls, self._look, self._logs = calls, look, logs
        self._boot, self._clock = boot, clock
        self._processes = Processes(self._process_ended)
        self._ended: dict[str, Container] = {}
        """What exited containers were when they were last looked at."""
        self._learning: set[str] = set()
        self._tasks = Tasks("podman", on_error=lambda name, err: None)

    async def close(self) -> None:
        await self._tasks.close()
        self._processes.close()

    def known(self, container_id: str) -> Container | None:
        """One that has ended, as it was then."""
        return self._ended.get(container_id)

    def forget(self, container_id: str) -> None:
        self._ended.pop(container_id, None)

    def keep_only(self, container_ids: Collection[str]) -> None:
        self._ended = {k: v for k, v in self._ended.items() if k in container_ids}

    def watch(self, container_id: str, pid: int) -> bool:
        """False where that process is gone already. Watching twice is no error."""
        return self._processes.watch(container_id, pid)

    def settle(self, container: Container) -> Container:
        """Corrects what Podman says and keeps watch over what runs."""
        if (known := self.known(container.id)) is not None:
            return known
        if from_earlier_boot(container, boot=self._boot):
            return self._remember(lost(container, at=self._clock.now()))
        if container.state == "exited":
            return self._remember(container)
        if container.state == "running":
            if container.log_path:
                self._logs.keep(Path(container.log_path))
            container = replace(container, user=user_of(container.pid))
            if not self.watch(container.id, container.pid):
                self._process_ended(container.id)  # just now, or long ago and conmon was killed
        return container

    def _remember(self, container: Container) -> Container:
        self._ended[container.id] = container
        if container.log_path:
            self._logs.release(Path(container.log_path))
        return container

    def _process_ended(self, container_id: str) -> None:
        if container_id not in self._learning:
            self._learning.add(container_id)
            self._tasks.spawn(self._learn_exit(container_id), name=f"exit-{container_id[:12]}")

    async def _learn_exit(self, container_id: str) -> None:
        """Publishes the exit once Podman knows its code, or never will."""
        try:
            await self._wait_exited(container_id)
            container = await self._look(container_id)
            if container is not None and container.state == "running":
                container = lost(container, at=self._clock.now())
            if container is not None and container.state == "exited":
                self._remember(container)
        except (RuntimeUnavailable, Refused):
            # Gone: who lists when Podman is back learns it then. Refused: the container is being
            # removed under our eyes, which Podman may call a 500 ("container not known").
            pass
        finally:
            self._learning.discard(container_id)
            self.exits.publish(container_id)

    async def _wait_exited(self, container_id: str) -> None:
        """Podman lags by some 50 ms; where conmon was killed it never learns and this gives up."""
        path, params = f"/containers/{container_id}/wait", {"interval": "20ms"}
        try:
            async with asyncio.timeout(EXIT_CODE_SECONDS):
                await self._calls.lasting("POST", path, params=params)
        except (TimeoutError, Refused):
            pass
