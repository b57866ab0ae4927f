"""WorkQueue: nothing lost, nothing twice, nobody woken for nothing."""

import asyncio

import pytest
import uvloop

from edgek.control.workqueue import ShutDown, WorkQueue


async def test_a_key_added_twice_is_handed_out_once():
    queue = WorkQueue[str]()
    queue.add("a")
    queue.add("a")
    assert (await queue.get(), len(queue)) == ("a", 0)


async def test_a_key_added_while_worked_on_waits_for_done():
    queue = WorkQueue[str]()
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"


@pytest.mark.looptime
async def test_a_resting_key_gathers_changes_and_then_runs_once():
    loop = asyncio.get_running_loop()
    queue = WorkQueue[str]()
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.done("a", rest=3)
    queue.add("a")
    await queue.get()
    queue.done("a", rest=3)
    assert loop.time() == pytest.approx(3)
    assert queue.idle


async def test_keys_come_in_the_order_added():
    queue = WorkQueue[str]()
    for key in "abc":
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == ["a", "b", "c"]


@pytest.mark.looptime
async def test_the_earliest_of_two_delays_counts():
    loop = asyncio.get_running_loop()
    queue = WorkQueue[str]()
    queue.add_after("a", 10)
    queue.add_after("a", 3)
    queue.add_after("a", 7)
    await queue.get()
    queue.done("a")
    assert loop.time() == pytest.approx(3)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 20)
    assert queue.idle


@pytest.mark.looptime
async def test_failures_double_the_delay_until_forgotten():
    loop = asyncio.get_running_loop()
    queue = WorkQueue[str](base_delay=1, max_delay=5)
    waits = []
    for _ in range(5):
        began = loop.time()
        queue.add_rate_limited("a")
        queue.done(await queue.get())
        waits.append(loop.time() - began)
    queue.forget("a")
    queue.add_rate_limited("a")
    began = loop.time()
    await queue.get()
    assert [*waits, loop.time() - began] == pytest.approx([1, 2, 4, 5, 5, 1])


async def test_a_wake_up_of_a_cancelled_getter_goes_to_another():
    queue = WorkQueue[str]()
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await asyncio.wait_for(second, 1) == "a"
    assert first.cancelled()


async def test_shut_down_ends_waiting_getters_after_what_is_queued():
    queue = WorkQueue[str]()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.shut_down()
    with pytest.raises(ShutDown):
        await waiting
    queue.add("late")
    assert queue.idle


def test_delays_shorter_than_the_timers_of_uvloop_are_kept():
    async def two_keys() -> set[str]:
        queue = WorkQueue[str]()
        queue.add_after("a", 2e-6)
        queue.add_after("b", 1e-6)
        return {await queue.get(), await queue.get()}

    assert uvloop.run(two_keys()) == {"a", "b"}
