"""Work on files that hangs, or is long: who waits for it, and who does not."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.pods.threads import MOST, NAME, LongWork, in_own_thread
from agent.pods.volumes.ownership import own
from edgek.aio.clock import FakeClock
from edgek.kinds import POD
from tests.support.node import running_node
from tests.support.pods import make_pod

FILES = 1500


def alive() -> int:
    return sum(thread.name == NAME for thread in threading.enumerate())


@pytest.fixture
def hangs() -> Iterator[Callable[[], object]]:
    """What a thread does where a file server is gone."""
    back = threading.Event()
    yield back.wait
    back.set()
    for thread in threading.enumerate():
        if thread.name == NAME:
            thread.join(10)


async def given_up(work: Callable[[], object]) -> None:
    try:
        async with asyncio.timeout(0.001):
            await in_own_thread(work)
    except TimeoutError:
        pass


async def test_what_hangs_takes_no_thread_from_others_until_too_much_does(
    hangs: Callable[[], object],
) -> None:
    await asyncio.gather(*(given_up(hangs) for _ in range(MOST)))
    assert alive() == MOST
    assert await asyncio.to_thread(lambda: 1) == 1
    with pytest.raises(OSError, match="too many threads"):
        await in_own_thread(lambda: 1)


async def test_long_work_takes_turns_and_what_is_given_up_makes_way(
    hangs: Callable[[], object],
) -> None:
    long = LongWork(at_once=2)
    first, second = (asyncio.create_task(long.run(hangs)) for _ in range(2))
    third = asyncio.create_task(long.run(lambda: 3))
    done, _ = await asyncio.wait({third}, timeout=0.05)
    assert not done
    first.cancel()
    assert await third == 3
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_what_goes_wrong_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_own_thread(lambda: 1 // 0)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    for number in range(FILES):
        os.close(os.open(tmp_path / str(number), os.O_CREAT, 0o600))
    return tmp_path


def owned(volume: Path) -> int:
    return sum(entry.stat().st_mode & 0o777 == 0o660 for entry in os.scandir(volume))


async def test_the_loop_goes_on_while_a_large_volume_is_given_to_a_group(large: Path) -> None:
    working = asyncio.create_task(own(large, os.getgid(), policy="Always"))
    turns = 0
    while not working.done():
        await asyncio.sleep(0.001)
        turns += 1
    await working
    assert owned(large) == FILES
    assert turns > 2


async def test_a_pod_that_is_deleted_ends_the_change_of_its_volume(large: Path) -> None:
    began = asyncio.Event()

    async def run(work: Callable[[], None]) -> None:
        began.set()
        await in_own_thread(work)

    working = asyncio.create_task(own(large, os.getgid(), policy="Always", run=run))
    await began.wait()
    working.cancel()
    await asyncio.wait({working})
    while alive():  # noqa: ASYNC110 - threads set no event
        await asyncio.sleep(0.001)
    assert owned(large) < FILES


@pytest.mark.looptime
async def test_a_sub_path_on_a_server_that_hangs_fails_its_container_alone(
    tmp_path: Path, hangs: Callable[[], object]
) -> None:
    def gone(handle: int, target: Path, *, read_only: bool) -> None:
        hangs()

    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.sync.parts.volumes._bind = gone
        pod = make_pod("web", volumes=[{"name": "v", "emptyDir": {}}])
        mount = {"name": "v", "mountPath": "/v", "subPath": "part"}
        pod["spec"]["containers"][0]["volumeMounts"] = [mount]
        node.api.put(POD, pod)
        node.api.put(POD, make_pod("other"))
        await node.until(lambda: "running" in node.container("other").get("state", {}))
        await node.until(lambda: "waiting" in node.container().get("state", {}), within=60)
        await node.until(lambda: "Failed" in node.reasons(), within=60)
        assert node.messages("Failed") == ["Error: volumes did not answer within 20 s"]
        waiting = node.container()["state"]["waiting"]
        assert waiting["reason"] == "CreateContainerError"
