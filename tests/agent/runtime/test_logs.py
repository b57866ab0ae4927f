"""The reader of container logs: what kubectl shows of the files that conmon writes."""

# ruff: noqa: ASYNC110, ASYNC240  (a test may block its own loop for a moment)

import asyncio
import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.runtime.log_keeper import LogKeeper, LogLimits, full_file
from agent.runtime.log_watch import LogWatch
from agent.runtime.logs import LogOptions, read_log

STAMP = "2026-01-02T03:04:{:02}.678901234+00:00"


def entry(text: str, *, second: int = 5, stream: str = "stdout", flag: str = "F") -> str:
    return f"{STAMP.format(second)} {stream} {flag} {text}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "0.log"


async def read(path: Path, **options: object) -> bytes:
    chunks = [c async for c in read_log(path, LogOptions(**options))]  # type: ignore[arg-type]
    return b"".join(chunks)


class Follower:
    """Reads in the background; ``until`` waits for what is to come."""

    def __init__(self, path: Path, **options: object) -> None:
        self.ended = asyncio.Event()
        self.text = b""
        self._more = asyncio.Event()
        self._options = LogOptions(follow=True, **options)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self._run(path))

    async def _run(self, path: Path) -> None:
        async for chunk in read_log(path, self._options, ended=self.ended):
            self.text += chunk
            self._more.set()

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(5):
            while text not in self.text:
                self._more.clear()
                await self._more.wait()


async def test_lines_are_shown_without_their_heads_unless_asked(path: Path) -> None:
    path.write_text(entry("one") + entry("") + entry("two", stream="stderr"))
    assert await read(path) == b"one\n\ntwo\n"
    head = STAMP.format(5).encode() + b" "
    assert await read(path, timestamps=True) == head + b"one\n" + head + b"\n" + head + b"two\n"


async def test_parts_of_a_line_are_joined_per_stream(path: Path) -> None:
    path.write_text(entry("a", flag="P") + entry("b", flag="P") + entry("c") + entry("d"))
    assert await read(path) == b"abc\nd\n"
    assert (await read(path, timestamps=True)).count(b"2026-") == 2
    assert await read(path, tail=2) == b"abc\nd\n"


async def test_tail_since_stream_and_limit(path: Path) -> None:
    path.write_text("".join(entry(f"n{i}", second=i) for i in range(20)))
    assert await read(path, tail=2) == b"n18\nn19\n"
    assert await read(path, tail=0) == b""
    assert await read(path, since=datetime(2026, 1, 2, 3, 4, 18, tzinfo=UTC)) == b"n18\nn19\n"
    assert await read(path, limit_bytes=4) == b"n0\nn"
    assert await read(path, stream="stderr") == b""


async def test_tail_of_a_long_log_is_exact(path: Path) -> None:
    long = "x" * 1000
    path.write_text("".join(entry(f"{i} {long}") for i in range(2000)))
    for tail in (1, 63, 64, 65, 500):
        lines = (await read(path, tail=tail)).decode().splitlines()
        assert [int(line.split()[0]) for line in lines] == list(range(2000 - tail, 2000))


async def test_a_log_that_is_not_there_is_empty(path: Path) -> None:
    assert await read(path) == b""


async def test_what_is_no_entry_is_left_out(path: Path) -> None:
    path.write_bytes(b"nonsense\n\n\xff\xfe\n" + entry("good").encode() + b"unfinished")
    assert await read(path) == b"good\n"


async def test_following_sees_growth_half_lines_and_the_end(path: Path) -> None:
    path.write_text(entry("one"))
    follower = Follower(path)
    await follower.until(b"one\n")
    with path.open("a") as file:
        file.write(entry("two")[:-4])
        file.flush()
        await asyncio.sleep(0)
        file.write(entry("two")[-4:])
    await follower.until(b"two\n")
    with path.open("a") as file:
        file.write(entry("last"))
    follower.ended.set()
    await asyncio.wait_for(follower.task, 5)
    assert follower.text == b"one\ntwo\nlast\n"


def rotate(path: Path, text: str) -> None:
    """As conmon does at its limit."""
    new = path.with_name("0.log.tmp")
    new.write_text(text)
    new.replace(path)


async def test_following_goes_on_in_the_file_that_takes_its_place(path: Path) -> None:
    path.write_text(entry("old"))
    follower = Follower(path)
    await follower.until(b"old\n")
    with path.open("a") as file:
        file.write(entry("last of old"))
    rotate(path, entry("new"))
    await follower.until(b"new\n")
    follower.ended.set()
    await asyncio.wait_for(follower.task, 5)
    assert follower.text == b"old\nlast of old\nnew\n"


def is_renewed(path: Path) -> bool:
    """The keeper has seen the last change."""
    with contextlib.suppress(FileNotFoundError):
        return full_file(path, 1).stat().st_ino == path.stat().st_ino
    return False


async def renewed(path: Path) -> None:
    async with asyncio.timeout(5):
        while not is_renewed(path):
            await asyncio.sleep(0.001)


async def test_the_last_full_files_are_kept_and_read_and_no_more(path: Path) -> None:
    path.write_text(entry("0"))
    keeper = LogKeeper(LogLimits(max_files=3))
    keeper.keep(path)
    try:
        for newest in range(1, 7):
            rotate(path, entry(str(newest)))
            await renewed(path)
            shown = "".join(f"{n}\n" for n in range(max(0, newest - 2), newest + 1))
            assert await read(path) == shown.encode()
            assert await read(path, tail=1) == f"{newest}\n".encode()
            assert await read(path, tail=2) == f"{newest - 1}\n{newest}\n".encode()
        names = sorted(p.name for p in path.parent.iterdir())
        assert names == ["0.log", "0.log.1", "0.log.2", "0.log.3"]
        assert len({p.stat().st_ino for p in path.parent.iterdir()}) == 3
    finally:
        keeper.close()


async def test_following_misses_no_file_that_was_full_meanwhile(path: Path) -> None:
    path.write_text(entry("0"))
    keeper = LogKeeper()
    keeper.keep(path)
    try:
        follower = Follower(path)
        await follower.until(b"0\n")
        for newest in range(1, 4):
            rotate(path, entry(str(newest)))
            while not is_renewed(path):
                pass  # the follower does not get a turn
        await follower.until(b"3\n")
        assert follower.text == b"0\n1\n2\n3\n"
        follower.ended.set()
        await asyncio.wait_for(follower.task, 5)
    finally:
        keeper.close()


async def test_a_lower_limit_takes_what_is_beyond_it(path: Path) -> None:
    path.write_text(entry("now"))
    for number in range(2, 7):
        full_file(path, number).write_text(entry(str(number)))
    keeper = LogKeeper(LogLimits(max_files=3))
    keeper.keep(path)
    keeper.close()
    assert await read(path) == b"3\n2\nnow\n"


async def test_full_files_from_before_the_time_asked_for_are_not_read(path: Path) -> None:
    path.write_text(entry("now", second=30))
    old = full_file(path, 2)
    old.write_text(entry("old", second=29))
    since = datetime(2026, 1, 2, 3, 4, 10, tzinfo=UTC)
    os.utime(old, (since.timestamp() - 1,) * 2)
    assert await read(path, since=since) == b"now\n"


async def test_a_change_while_nobody_looked_is_put_right(path: Path) -> None:
    path.write_text(entry("a"))
    first = LogKeeper()
    first.keep(path)
    first.close()
    rotate(path, entry("b"))
    second = LogKeeper()
    second.keep(path)
    second.close()
    assert await read(path) == b"a\nb\n"


async def test_a_log_is_kept_from_its_creation_on(path: Path) -> None:
    keeper = LogKeeper()
    keeper.keep(path)
    try:
        path.write_text(entry("a"))
        await renewed(path)
        rotate(path, entry("b"))
        await renewed(path)
        assert await read(path) == b"a\nb\n"
    finally:
        keeper.close()


def watchers() -> int:
    """Inotify descriptors of this process."""
    found = 0
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += "inotify" in os.readlink(fd)
    return found


async def test_all_who_follow_share_one_descriptor_and_each_hears_of_its_own(
    tmp_path: Path,
) -> None:
    before, watch = watchers(), LogWatch()
    (tmp_path / "other").mkdir()
    paths = [tmp_path / "0.log", tmp_path / "1.log", tmp_path / "other/0.log"]
    with contextlib.ExitStack() as stack:
        changed = [stack.enter_context(watch.follow(path)) for path in (*paths, paths[0])]
        assert watchers() == before + 1
        paths[1].write_text("more")
        async with asyncio.timeout(5):
            await changed[1].wait()
        assert [event.is_set() for event in changed] == [False, True, False, False]
        paths[0].write_text("more")
        async with asyncio.timeout(5):
            await changed[0].wait()
            await changed[3].wait()
        assert not changed[2].is_set()
    assert watchers() == before
    with pytest.raises(FileNotFoundError), watch.follow(tmp_path / "none/0.log"):
        pass
    assert watchers() == before
