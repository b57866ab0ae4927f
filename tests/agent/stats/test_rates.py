"""CPU in use, from two looks; how often the agent looks depends on who asks."""

import asyncio

import pytest

from agent.stats.rates import LONGEST, SHORTEST, Rates
from agent.stats.snapshot import Snapshot
from agent.stats.usage import Cpu, Usage

pytestmark = pytest.mark.looptime


class Machine:
    """Uses half a core."""

    def __init__(self) -> None:
        self.looks = 0

    async def take(self) -> Snapshot:
        self.looks += 1
        now = asyncio.get_running_loop().time()
        usage = Usage(time=1000 + now, cpu=Cpu(usage_ns=int(now * 5e8)))
        return Snapshot(node=usage, pods=(), interfaces={})


async def test_the_first_who_asks_waits_a_second_for_an_honest_window() -> None:
    machine = Machine()
    started = asyncio.get_running_loop().time()
    rated = await Rates(machine.take).now()
    assert asyncio.get_running_loop().time() - started == pytest.approx(SHORTEST)
    assert rated.nano_cores("/") == pytest.approx(5e8)
    assert rated.window == pytest.approx(SHORTEST)


async def test_who_asks_again_does_not_wait_and_gets_a_longer_window() -> None:
    machine = Machine()
    rates = Rates(machine.take)
    await rates.now()
    await asyncio.sleep(15)
    started = asyncio.get_running_loop().time()
    rated = await rates.now()
    assert asyncio.get_running_loop().time() == started
    assert rated.window == pytest.approx(16, abs=1.1)
    assert rated.nano_cores("/") == pytest.approx(5e8)


async def test_all_who_ask_at_one_time_get_one_answer() -> None:
    machine = Machine()
    rates = Rates(machine.take)
    answers = await asyncio.gather(*(rates.now() for _ in range(20)))
    assert len({id(answer) for answer in answers}) == 1


async def test_an_agent_that_nobody_asks_keeps_and_does_nothing() -> None:
    machine = Machine()
    rates = Rates(machine.take)
    await rates.now()
    looks = machine.looks
    await asyncio.sleep(LONGEST + 1)
    assert machine.looks == looks
    assert (rates._kept, rates._last) == ([], None)


async def test_what_was_not_there_before_has_no_rate() -> None:
    rated = await Rates(Machine().take).now()
    assert rated.nano_cores("/edgek/burstable/pod1") is None
