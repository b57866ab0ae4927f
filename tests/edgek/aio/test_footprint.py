import asyncio
import gc
from collections.abc import Iterator
from weakref import ref

import pytest

from edgek.aio.footprint import SETTLED_SECONDS, Footprint, few_arenas, trim

pytestmark = pytest.mark.looptime


class Knot:
    """Of use to nobody, and known to itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    gc.disable()  # so that only what is tested collects
    yield
    gc.enable()
    gc.unfreeze()


async def test_memory_is_given_back_once_when_a_burst_has_settled() -> None:
    at: list[float] = []
    loop = asyncio.get_running_loop()
    footprint = Footprint(whole=False, trim=lambda: at.append(loop.time()))
    for _ in range(3):
        footprint.changed()
        await asyncio.sleep(SETTLED_SECONDS / 2)
    await asyncio.sleep(10 * SETTLED_SECONDS)
    assert at == [2 * SETTLED_SECONDS]  # counted from the last, at one time and a half less
    footprint.changed()
    await asyncio.sleep(10 * SETTLED_SECONDS)
    assert len(at) == 2


async def test_one_that_is_closed_does_nothing_more() -> None:
    given: list[None] = []
    footprint = Footprint(whole=False, trim=lambda: given.append(None))
    footprint.changed()
    footprint.close()
    await asyncio.sleep(10 * SETTLED_SECONDS)
    assert not given


@pytest.mark.parametrize("whole", [True, False])
async def test_old_objects_are_looked_at_only_where_there_are_few(*, whole: bool) -> None:
    old, young = Knot(), Knot()
    seen_old, seen_young = ref(old), ref(young)
    del young
    gc.collect(1)  # twice, to the oldest generation
    gc.collect(1)
    new = Knot()
    seen_new = ref(new)
    del old, new
    footprint = Footprint(whole=whole, trim=lambda: None)
    footprint.changed()
    await asyncio.sleep(2 * SETTLED_SECONDS)
    assert seen_young() is None
    assert seen_new() is None
    assert (seen_old() is None) == whole
    assert bool(gc.get_freeze_count()) == whole


async def test_the_real_thing_is_harmless() -> None:
    few_arenas()
    trim()
    trim()
