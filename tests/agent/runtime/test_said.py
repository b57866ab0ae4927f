"""What Podman's service says on its standard error."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from agent.runtime.said import Said


async def test_what_goes_wrong_is_logged_and_the_progress_of_loads_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream, said = asyncio.StreamReader(limit=100), Said()
    stream.feed_data(
        b"Getting image source signatures\nCopying blob sha256:0d1f\nStoring signatures\n\n"
        b'time="2026-11-23T20:00:00Z" level=error msg="no space left"\nWriting manifest to x\n'
    )
    stream.feed_data(b"long " * 100 + b"\nshort\n")
    stream.feed_eof()
    await said.follow(stream)
    texts = [record.getMessage() for record in caplog.records]
    assert texts[0] == "podman's service said='level=error msg=\"no space left\"'"
    assert texts[-1] == "podman's service said='short'"
    assert said.last == "short"
    assert not any("Copying" in text or "signatures" in text for text in texts)


async def test_the_end_of_a_program_waits_for_nobody_who_holds_its_pipe(tmp_path: Path) -> None:
    said, left = Said(), tmp_path / "left"
    stderr = await said.listen()
    script = f"echo over >&2; sleep 30 & echo $! >{left}; exit 3"
    process = await asyncio.create_subprocess_exec("sh", "-c", script, stderr=stderr)
    os.close(stderr)
    try:
        async with asyncio.timeout(10):
            assert await process.wait() == 3
            while said.last != "over":  # noqa: ASYNC110 - it is written by a program
                await asyncio.sleep(0.01)
    finally:
        await said.close()
        os.kill(int(left.read_text()), signal.SIGKILL)


async def test_its_last_words_are_heard() -> None:
    said = Said()
    stderr = await said.listen()
    process = await asyncio.create_subprocess_exec("sh", "-c", "echo broken >&2", stderr=stderr)
    os.close(stderr)
    await process.wait()
    assert await said.last_words() == "broken"
    await said.close()
