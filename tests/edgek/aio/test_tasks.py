"""A group of tasks ends whole, whatever its members do when they are cancelled."""

import asyncio
import logging

import pytest

from edgek.aio.tasks import PATIENCE_SECONDS, Tasks, cancel_and_wait

pytestmark = pytest.mark.looptime


async def test_a_task_that_lost_its_cancellation_is_cancelled_again_and_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def deaf() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                break
        await asyncio.Event().wait()

    async with Tasks("group") as tasks:
        tasks.spawn(deaf(), name="deaf")
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began == pytest.approx(PATIENCE_SECONDS)
    assert "group/deaf" in caplog.text
    assert "test_tasks.py" in caplog.text


async def test_a_task_that_ends_in_good_order_is_left_to_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done = []

    async def orderly() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(PATIENCE_SECONDS - 1)
            done.append("clean")

    with caplog.at_level(logging.WARNING):
        async with Tasks("group") as tasks:
            tasks.spawn(orderly(), name="orderly")
            await asyncio.sleep(1)
    assert done == ["clean"]
    assert not caplog.text


async def test_a_group_within_a_task_ends_before_that_task_whatever_cancels_it_meanwhile() -> None:
    ended = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(PATIENCE_SECONDS * 10)
        finally:
            ended.append("inner")

    async def owner() -> None:
        try:
            async with Tasks("inner") as tasks:
                tasks.spawn(slow(), name="slow")
                await asyncio.Event().wait()
        finally:
            ended.append("owner")

    async with Tasks("outer") as tasks:
        tasks.spawn(owner(), name="owner")
        await asyncio.sleep(1)
    assert ended == ["inner", "owner"]


async def test_tasks_that_are_waited_for_have_ended() -> None:
    waiting = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    await cancel_and_wait(waiting)
    assert waiting.cancelled()
