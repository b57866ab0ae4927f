"""Attached to a container: what it says is read to the end, and its end is known."""

import asyncio
from typing import Any, cast

import pytest

from agent.runtime.libpod import Hijacked, Libpod
from agent.runtime.runtime import RuntimeFailure
from agent.runtime.session import LAST_WORDS, Attached

pytestmark = pytest.mark.looptime
Frame = tuple[int, bytes] | None


class Line:
    """A connection to Podman that gives frames, each after a moment, and then says nothing."""

    def __init__(self, *frames: Frame) -> None:
        self.frames = list(frames)
        self.closed = False

    async def read(self) -> Frame:
        await asyncio.sleep(LAST_WORDS / 2 if self.frames else 3600)
        return self.frames.pop(0)

    def close(self) -> None:
        self.closed = True


def attached(line: Line, *, ends_after: float) -> Attached:
    over: Any = asyncio.sleep(ends_after)
    return Attached(
        cast(Libpod, None), cast(Hijacked, line), path="/containers/c", tty=False, over=over
    )


async def test_the_end_of_a_container_that_podman_keeps_quiet_about_is_an_end() -> None:
    line = Line((1, b"a"), (1, b"b"))
    session = attached(line, ends_after=0)
    began = asyncio.get_running_loop().time()
    assert [await session.read() for _ in range(3)] == [(1, b"a"), (1, b"b"), None]
    assert asyncio.get_running_loop().time() - began == pytest.approx(2 * LAST_WORDS)
    await session.close()
    assert line.closed


async def test_who_comes_too_late_to_hear_anything_is_told() -> None:
    session = attached(Line(), ends_after=0)
    with pytest.raises(RuntimeFailure, match="ended before"):
        await session.read()
    await session.close()


async def test_one_that_runs_may_be_quiet_for_long() -> None:
    session = attached(Line(), ends_after=1000)
    began = asyncio.get_running_loop().time()
    assert await session.read() is None
    assert asyncio.get_running_loop().time() - began == pytest.approx(1000 + LAST_WORDS)
    await session.close()


async def test_what_podman_ends_has_ended() -> None:
    session = attached(Line((1, b"a"), None), ends_after=1000)
    assert [await session.read(), await session.read()] == [(1, b"a"), None]
    await session.close()
