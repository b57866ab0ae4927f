"""A Podman that hangs: the node is told, and the service killed when patience ends."""

import asyncio

import pytest

from agent.runtime.watchdog import PATIENCE_SECONDS, PROBLEM, QUIET_SECONDS, Watchdog
from edgek.aio.tasks import Tasks


class Podman:
    def __init__(self) -> None:
        self.hangs = False
        self.pings = 0
        self.told: list[str] = []
        self.killed: list[float] = []
        self.watchdog = Watchdog(self.ping, on_problem=self.told.append, kill=self.kill)

    async def ping(self, seconds: float) -> None:
        self.pings += 1
        async with asyncio.timeout(seconds):
            while self.hangs:  # noqa: ASYNC110 - as a stopped process
                await asyncio.sleep(0.1)

    def kill(self) -> None:
        self.killed.append(asyncio.get_running_loop().time())
        self.hangs = False


@pytest.mark.looptime
async def test_a_quiet_service_is_asked_once_a_minute() -> None:
    podman = Podman()
    async with Tasks("test") as tasks:
        tasks.spawn(podman.watchdog.run(), name="watchdog")
        await asyncio.sleep(QUIET_SECONDS * 10 + 1)
    assert (podman.pings, podman.told) == (10, [])


@pytest.mark.looptime
async def test_a_slow_call_finds_a_hung_service_within_seconds_and_tells_when_it_is_back() -> None:
    podman = Podman()
    async with Tasks("test") as tasks:
        tasks.spawn(podman.watchdog.run(), name="watchdog")
        podman.hangs = True
        podman.watchdog.suspect()
        await asyncio.sleep(11)
        assert podman.told == [PROBLEM]
        podman.hangs = False
        await asyncio.sleep(1)
        assert (podman.told, podman.killed) == ([PROBLEM, ""], [])


@pytest.mark.looptime
async def test_a_service_that_never_answers_is_killed_once() -> None:
    podman = Podman()
    async with Tasks("test") as tasks:
        tasks.spawn(podman.watchdog.run(), name="watchdog")
        podman.hangs = True
        await asyncio.sleep(QUIET_SECONDS + PATIENCE_SECONDS + 20)
    assert len(podman.killed) == 1
    assert podman.killed[0] >= QUIET_SECONDS + PATIENCE_SECONDS
    assert podman.told == [PROBLEM, ""]
