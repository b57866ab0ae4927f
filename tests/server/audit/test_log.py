"""The audit log's file: whole lines, in batches, bounded."""

import asyncio
import json
from pathlib import Path

import pytest

from edgek.aio.clock import FakeClock
from server.audit.log import MAX_BUFFER, AuditLog


def lines(path: Path) -> list[dict[str, int]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def opened(path: Path, clock: FakeClock, max_bytes: int = 1000) -> AuditLog:
    return AuditLog(str(path), max_bytes=max_bytes, backups=2, clock=clock)


def test_what_was_said_is_there_after_closing_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "audit.log"
    log = opened(path, FakeClock())
    for number in range(3):
        log.write({"n": number})
    assert not path.exists()
    log.close()
    assert [line["n"] for line in lines(path)] == [0, 1, 2]
    assert path.stat().st_mode & 0o777 == 0o600


async def test_lines_of_a_while_are_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(str(path), max_bytes=1000, backups=2, clock=FakeClock())
    log.write({"n": 1})
    log.write({"n": 2})
    task = asyncio.create_task(log.run())
    try:
        async with asyncio.timeout(10):
            while True:
                if path.exists():
                    break
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [line["n"] for line in lines(path)] == [1, 2]


def test_a_full_file_is_set_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    path, clock = tmp_path / "audit.log", FakeClock()
    log = opened(path, clock, max_bytes=30)
    for number in range(5):
        log.write({"n": number, "text": "x" * 10})
        log.close()
        clock.advance(1)
    assert [line["n"] for line in lines(path)] == [4]
    aside = sorted(found for found in tmp_path.iterdir() if found != path)
    assert [lines(found)[0]["n"] for found in aside] == [2, 3]
    assert aside[0].name.startswith("audit-")


def test_what_a_slow_disk_cannot_take_is_dropped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = opened(tmp_path / "audit.log", FakeClock(), max_bytes=10 * MAX_BUFFER)
    for _ in range(6):
        log.write({"text": "x" * (MAX_BUFFER // 5)})
    log.close()
    assert len(lines(tmp_path / "audit.log")) == 4
    assert "events=2" in caplog.text


def test_a_disk_that_is_full_or_gone_is_told_and_survived(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    log = opened(tmp_path / "file" / "audit.log", FakeClock())
    log.write({"n": 1})
    log.close()
    assert "cannot write the audit log" in caplog.text
