"""The shell around netplug's threads: whoever is cancelled ends, whatever its thread does."""

import asyncio
import time
from pathlib import Path

import pytest

from agent.network.kernel import NetplugNetwork


@pytest.mark.parametrize("turns", range(8))
async def test_a_cancellation_that_meets_the_end_of_a_call_is_not_lost(
    turns: int, tmp_path: Path
) -> None:
    network = NetplugNetwork(run_dir=tmp_path / "run", state_dir=tmp_path / "state")
    asking = asyncio.create_task(network.sandboxes())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(0.05)  # noqa: ASYNC251 - the thread ends while the loop does not look
    for _ in range(turns):
        await asyncio.sleep(0)
    if asking.done():
        assert asking.result() == {}
    else:
        asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled()
    await network.close()
