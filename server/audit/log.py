"""The file of the audit log: lines in, in batches, bounded in size.

A line is in the file a second after it was said, all lines of that second in one write: single
ones would wear a memory card out. What a slow disk cannot take is dropped and counted, so that it
never holds up a request. A file that is full is set aside under its time, as lumberjack names it.
"""

import asyncio
import logging
import sys
from datetime import datetime
from pathlib import Path

import orjson

from edgek.aio.clock import Clock
from edgek.api.meta import Obj

log = logging.getLogger(__name__)
FLUSH_SECONDS = 1.0
MAX_BUFFER = 4 * 1024 * 1024


class AuditLog:
    """``run`` writes until cancelled; ``close`` writes what is left."""

    def __init__(self, path: str, *, max_bytes: int, backups: int, clock: Clock) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._clock = clock
        self._lines: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._some = asyncio.Event()

    def write(self, event: Obj) -> None:
        line = orjson.dumps(event, default=str, option=orjson.OPT_APPEND_NEWLINE)
        if self._size + len(line) > MAX_BUFFER:
            self._dropped += 1
            return
        self._lines.append(line)
        self._size += len(line)
        self._some.set()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            await self._clock.sleep(FLUSH_SECONDS)
            self._some.clear()
            data = self._take()
            await asyncio.shield(asyncio.to_thread(self._append, data))

    def close(self) -> None:
        self._append(self._take())

    def _take(self) -> bytes:
        data = b"".join(self._lines)
        self._lines, self._size = [], 0
        if self._dropped:
            log.warning("audit events were lost, the disk is too slow events=%d", self._dropped)
            self._dropped = 0
        return data

    def _append(self, data: bytes) -> None:
        if not data:
            return
        if self._path == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
            return
        path = Path(self._path)
        try:
            if path.exists() and path.stat().st_size + len(data) > self._max_bytes:
                _set_aside(path, self._clock.now(), keep=self._backups)
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "ab", opener=_private) as file:
                file.write(data)
        except OSError as err:
            log.error("cannot write the audit log path=%s error=%s", path, err.strerror)


def _private(path: str, flags: int) -> int:
    import os

    return os.open(path, flags, 0o600)


def _set_aside(path: Path, now: datetime, *, keep: int) -> None:
    stamp = now.strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3]
    path.rename(path.with_name(f"{path.stem}-{stamp}{path.suffix}"))
    old = sorted(path.parent.glob(f"{path.stem}-????-??-??T??-??-??.???{path.suffix}"))
    for each in old[:-keep]:
        each.unlink(missing_ok=True)
