"""The wall clock of a board without a battery is set while its pods run."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from agent.runtime.fake import Script
from edgek.aio.clock import FakeClock
from edgek.kinds import POD
from tests.support.node import Node, running_node
from tests.support.pods import make_pod

pytestmark = pytest.mark.looptime
YEARS = timedelta(days=800)


def set_clock(node: Node, clock: FakeClock, by: timedelta) -> None:
    clock.advance(by.total_seconds())
    node.sync.clock_set(by)


@pytest.mark.parametrize("by", [YEARS, -YEARS])
async def test_who_backs_off_does_not_wait_for_years(tmp_path: Path, by: timedelta) -> None:
    clock = FakeClock()
    async with running_node(tmp_path, clock=clock) as node:
        node.runtime.scripts["main:1"] = Script(exit_code=1, after=1)
        node.api.put(POD, make_pod())
        await node.until(lambda: node.container().get("restartCount", 0) >= 3, within=300)
        await node.until(
            lambda: node.container()["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
        )
        seen = node.container()["restartCount"]
        set_clock(node, clock, by)
        await node.until(lambda: node.container()["restartCount"] > seen, within=5)
        await node.until(lambda: node.container()["restartCount"] > seen + 2, within=300)


@pytest.mark.parametrize("by", [YEARS, -YEARS])
async def test_what_runs_runs_on(tmp_path: Path, by: timedelta) -> None:
    clock = FakeClock()
    async with running_node(tmp_path, clock=clock) as node:
        node.api.put(POD, make_pod())
        await node.until(lambda: node.status().get("phase") == "Running")
        before = list(node.runtime.calls)
        set_clock(node, clock, by)
        await asyncio.sleep(60)
        assert node.runtime.calls == before


@pytest.mark.parametrize("by", [YEARS, -YEARS])
async def test_who_ends_has_the_rest_of_its_grace(tmp_path: Path, by: timedelta) -> None:
    clock = FakeClock()
    async with running_node(tmp_path, clock=clock) as node:
        node.runtime.scripts["main:1"] = Script(ignores_term=True)
        node.api.put(POD, make_pod())
        await node.until(lambda: node.status().get("phase") == "Running")
        begun = clock.monotonic()
        node.delete(grace=10)
        await node.until(lambda: any(verb == "stop" for verb, _ in node.runtime.calls))
        set_clock(node, clock, by)
        begun += by.total_seconds()  # a fake clock's monotonic() is set with it
        await node.until(lambda: node.pod() is None)
        assert 10 <= clock.monotonic() - begun < 12
