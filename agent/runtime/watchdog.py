"""Watchdog: is Podman's service not only alive, but answering?

A service that died is seen by its exit (service.py). One that hangs is seen here: a call that
takes long makes the watchdog ask, and while nothing happens it asks once a minute, which is one
short HTTP call. As the kubelet's PLEG health: without an answer the node is not ready. A service
that has not answered for long is killed, and its keeper starts another; containers run on under
conmon meanwhile.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

QUIET_SECONDS = 60.0
ANSWER_SECONDS = 10.0
PATIENCE_SECONDS = 90.0
"""A board that swaps answers late; a service that is killed answers never."""
PROBLEM = "container runtime is down: podman's service does not answer"


class Watchdog:
    """``ping`` raises TimeoutError where there is no answer; any other error is of a service that
    is not there, which its keeper sees to. ``on_problem`` gets "" when it answers again."""

    def __init__(
        self,
        ping: Callable[[float], Awaitable[object]],
        *,
        on_problem: Callable[[str], None],
        kill: Callable[[], None],
    ) -> None:
        self._ping, self._on_problem, self._kill = ping, on_problem, kill
        self._suspicion = asyncio.Event()

    def suspect(self) -> None:
        """A call takes long: ask now."""
        self._suspicion.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._suspicion.wait()
            except TimeoutError:
                pass
            self._suspicion.clear()
            if not await self._answers():
                await self._wait_for_it()

    async def _answers(self) -> bool:
        try:
            await self._ping(ANSWER_SECONDS)
        except TimeoutError:
            return False
        except Exception as err:  # its keeper's matter
            log.debug("podman's service is not there err=%s", err)
        return True

    async def _wait_for_it(self) -> None:
        loop = asyncio.get_running_loop()
        since, killed = loop.time() - ANSWER_SECONDS, False
        log.warning("podman's service does not answer")
        self._on_problem(PROBLEM)
        while not await self._answers():
            if not killed and loop.time() - since >= PATIENCE_SECONDS:
                log.error("podman's service is killed, it has not answered for %.0f s",
                          loop.time() - since)  # fmt: skip
                self._kill()
                killed = True
        log.warning("podman's service answers again")
        self._on_problem("")
