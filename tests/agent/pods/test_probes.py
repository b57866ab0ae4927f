"""When probes run, how many at once, and what their results amount to; on virtual time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent.pods.probe_attempt import Target
from agent.pods.probes import COMMANDS_AT_ONCE, SLOW_COMMANDS, Probes
from agent.runtime.fake import FakeRuntime
from agent.runtime.runtime import ExecResult, RuntimeFailure
from edgek.aio.tasks import Tasks
from edgek.api.meta import Obj
from tests.support.pods import deleting, make_pod

pytestmark = pytest.mark.looptime

CHECK = {"command": ["check"]}
Check = Callable[[], Awaitable[int]]


class Commands(FakeRuntime):
    """Answers exec with what ``check`` says; keeps when each began and how many ran at once."""

    def __init__(self, check: Check) -> None:
        super().__init__()
        self.check = check
        self.began: list[float] = []
        self.running = self.most = 0

    async def exec(
        self, container_id: str, command: tuple[str, ...], *, timeout: float
    ) -> ExecResult:
        self.began.append(round(asyncio.get_running_loop().time(), 3))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            async with asyncio.timeout(timeout):
                code = await self.check()
        finally:
            self.running -= 1
        return ExecResult(exit_code=code, output=f"code {code}".encode())


class Bed:
    def __init__(self, tasks: Tasks, check: Check) -> None:
        self.runtime = Commands(check)
        self.told: list[tuple[str, str]] = []
        self.changed: list[str] = []
        self.probes = Probes(
            self.runtime,
            tasks,
            changed=self.changed.append,
            tell=lambda pod, container, reason, message: self.told.append((reason, message)),
        )

    def watch(self, container_id: str = "c1", *, pod: Obj | None = None, **more: Any) -> None:
        """``more``: liveness=..., readiness=..., startup=... and fields of Target."""
        kinds = ("liveness", "readiness", "startup")
        probes = {f"{k}Probe": {"exec": CHECK, **more.pop(k)} for k in kinds if k in more}
        container = {"name": "main", "image": "main:1", **probes}
        target = Target(
            pod=pod or make_pod(), container=container, container_id=container_id, pod_ip="",
            **more,
        )  # fmt: skip
        self.probes.watch(target)


@asynccontextmanager
async def bed(check: Check | None = None) -> AsyncIterator[Bed]:
    async with Tasks("test") as tasks:
        yield Bed(tasks, check or good)


async def good() -> int:
    return 0


async def bad() -> int:
    return 1


async def slow() -> int:
    await asyncio.sleep(1000)
    return 0


async def test_a_probe_begins_after_its_delay_and_keeps_its_beat() -> None:
    async def takes_a_while() -> int:
        await asyncio.sleep(0.4)
        return 0

    async with bed(takes_a_while) as b:
        b.watch(liveness={"initialDelaySeconds": 5, "periodSeconds": 2}, age=1)
        await asyncio.sleep(9)
        assert b.runtime.began == [4, 6, 8]


async def test_results_count_once_they_have_lasted() -> None:
    codes = iter([0, 1, 1, 0, 1, 1, 1])

    async def check() -> int:
        return next(codes)

    async with bed(check) as b:
        b.watch(
            readiness={"periodSeconds": 1, "failureThreshold": 3, "successThreshold": 1},
        )
        assert b.probes.ready == {"c1": False}
        await asyncio.sleep(5.5)
        assert (b.probes.ready, b.changed) == ({"c1": True}, ["uid-web"])
        await asyncio.sleep(1)
        assert (b.probes.ready, b.changed) == ({"c1": False}, ["uid-web"] * 2)
        assert b.told == [("Unhealthy", "Readiness probe failed: code 1")] * 5


async def test_the_others_wait_for_startup_and_then_begin_at_once() -> None:
    async def check() -> int:
        return 0 if asyncio.get_running_loop().time() > 3 else 1

    async with bed(check) as b:
        b.watch(startup={"periodSeconds": 2}, readiness={"periodSeconds": 10})
        assert b.probes.started == {"c1": False}
        await asyncio.sleep(5)
        assert b.runtime.began == [0, 2, 4, 4]
        assert (b.probes.started, b.probes.ready) == ({"c1": True}, {"c1": True})


async def test_a_container_found_unwell_is_not_probed_any_more() -> None:
    async with bed(bad) as b:
        b.watch(liveness={"periodSeconds": 1, "failureThreshold": 2})
        await asyncio.sleep(10)
        assert b.probes.unhealthy == {"c1": "liveness probe"}
        assert b.runtime.began == [0, 1]
        b.probes.forget("c1")
        assert (b.probes.unhealthy, b.probes.watched("uid-web")) == ({}, [])


async def test_a_pod_that_ends_is_asked_whether_it_is_ready_only() -> None:
    async with bed() as b:
        pod = make_pod()
        probes = {"liveness": {"periodSeconds": 1}, "readiness": {"periodSeconds": 2}}
        b.watch(pod=pod, **probes)
        await asyncio.sleep(0.5)
        b.watch(pod=deleting(pod), **probes)
        await asyncio.sleep(4)
        assert b.runtime.began == [0, 0, 2, 4]


async def test_an_adopted_container_keeps_its_readiness_and_first_probes_are_spread() -> None:
    async with bed(bad) as b:
        for number in range(50):
            b.watch(
                f"c{number}", adopted=True, was_ready=True, was_started=True, age=100,
                readiness={"periodSeconds": 100}, startup={},
            )  # fmt: skip
        await asyncio.sleep(99)
        assert all(b.probes.ready.values())
        assert not b.probes.started
        assert len(b.runtime.began) >= 45
        assert len(set(b.runtime.began)) > 40


async def test_a_storm_runs_a_few_at_a_time_and_fails_nobody() -> None:
    async def check() -> int:
        await asyncio.sleep(0.05)
        return 0

    async with bed(check) as b:
        for number in range(40):
            each = {"periodSeconds": 1, "timeoutSeconds": 1}
            b.watch(f"c{number}", liveness=each, readiness=each, startup=each)
        await asyncio.sleep(30)
        assert b.runtime.most == COMMANDS_AT_ONCE
        assert b.told == []
        assert all(b.probes.ready.values())
        done = [c.successful for c in b.probes.totals() if c.probe_type == "Liveness"]
        assert min(done) > 25 * COMMANDS_AT_ONCE / 0.05 / 80 / 2  # each gets its share


async def test_containers_that_hang_do_not_keep_the_probes_of_others_waiting() -> None:
    async with bed(slow) as b:
        for number in range(SLOW_COMMANDS - 2):
            b.watch(f"slow{number}", liveness={"timeoutSeconds": 60, "periodSeconds": 60})
        await asyncio.sleep(10)
        assert b.runtime.running == SLOW_COMMANDS - 2
        b.runtime.check = good
        b.watch("well", readiness={"periodSeconds": 1})
        await asyncio.sleep(3)
        assert b.probes.ready == {"well": True}
        for number in range(100):
            b.watch(f"more{number}", liveness={"timeoutSeconds": 60, "periodSeconds": 60})
        b.runtime.check = slow
        await asyncio.sleep(50)
        assert b.runtime.most <= COMMANDS_AT_ONCE + SLOW_COMMANDS


async def test_hundreds_of_probes_are_no_tasks_while_they_wait() -> None:
    async with bed() as b:
        before = len(asyncio.all_tasks())
        for number in range(300):
            each = {"initialDelaySeconds": 60}
            b.watch(f"c{number}", liveness=each, readiness=each)
        await asyncio.sleep(30)
        assert len(asyncio.all_tasks()) == before
        await asyncio.sleep(35)
        assert len(b.runtime.began) == 600
        assert len(asyncio.all_tasks()) == before


async def test_a_probe_that_cannot_be_made_decides_nothing_but_is_told() -> None:
    async def broken() -> int:
        raise RuntimeFailure("container is not running")

    async with bed(broken) as b:
        b.watch(liveness={"periodSeconds": 1, "failureThreshold": 1})
        await asyncio.sleep(2.5)
        assert b.probes.unhealthy == {}
        text = "Liveness probe errored and resulted in unknown state: container is not running"
        assert b.told == [("Unhealthy", text)] * 3
        (counts,) = b.probes.totals()
        assert (counts.successful, counts.failed) == (0, 0)


async def test_a_command_that_takes_too_long_has_failed_and_says_so() -> None:
    async with bed(slow) as b:
        b.watch(liveness={"timeoutSeconds": 2, "failureThreshold": 1})
        await asyncio.sleep(3)
        said = 'Liveness probe failed: command timed out: "check" timed out after 2s'
        assert b.told == [("Unhealthy", said)]
        assert b.probes.unhealthy == {"c1": "liveness probe"}
        (counts,) = b.probes.totals()
        assert (counts.failed, counts.pod, counts.probe_type) == (1, "web", "Liveness")


async def test_a_forgotten_container_leaves_nothing_behind() -> None:
    async with bed(slow) as b:
        before = len(asyncio.all_tasks())
        b.watch(liveness={"timeoutSeconds": 100}, readiness={"initialDelaySeconds": 50})
        await asyncio.sleep(1)
        b.probes.forget("c1")
        await asyncio.sleep(1)
        assert b.runtime.running == 0
        assert len(asyncio.all_tasks()) == before
        assert list(b.probes.totals()) == []
        await asyncio.sleep(100)
        assert len(b.runtime.began) == 1
