"""Reads container logs: CRI files, as conmon writes them -> what ``kubectl logs`` shows.

    2026-01-02T03:04:05.678901234+00:00 stdout F a whole line
    2026-01-02T03:04:05.678901234+00:00 stdout P the first part of a long one

When a file reaches its limit conmon puts a new one in its place, and log_keeper.py keeps the last
full ones; log_files.py reads them as one. Growth is told by inotify (log_watch.py); nothing polls.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.runtime.log_files import CHUNK, Entry, LogFiles
from agent.runtime.log_watch import LogWatch


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """As PodLogOptions. ``tail`` None: from the beginning; ``limit_bytes`` 0: no limit."""

    follow: bool = False
    tail: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int = 0
    stream: str = ""
    """stdout, stderr or "" for both."""


class _Renderer:
    """Entries -> the bytes shown; keeps parts of a line apart by stream. Pure."""

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._within: dict[bytes, bool] = {}

    def render(self, entry: Entry) -> bytes:
        options = self._options
        if options.stream and entry.stream != options.stream.encode():
            return b""
        if options.since is not None and (moment := entry.moment()) and moment < options.since:
            return b""
        first = not self._within.get(entry.stream)
        self._within[entry.stream] = not entry.full
        head = entry.stamp + b" " if options.timestamps and first else b""
        return head + entry.text + (b"\n" if entry.full else b"")


async def read_log(
    path: Path, options: LogOptions, *, ended: asyncio.Event | None = None,
    watch: LogWatch | None = None,
) -> AsyncIterator[bytes]:  # fmt: skip
    """What is there, then, with ``follow``, what comes until ``ended`` is set and all is read.
    A file that is not there yet reads as empty. ``watch`` is shared by all who follow."""
    ended, watch = ended or asyncio.Event(), watch or LogWatch()
    with watch.follow(path) if options.follow else nullcontext(asyncio.Event()) as changed:
        async for chunk in _limited(_rendered(path, options, ended, changed), options):
            yield chunk


async def _limited(chunks: AsyncIterator[bytes], options: LogOptions) -> AsyncIterator[bytes]:
    left = options.limit_bytes or None
    async for chunk in chunks:
        if left is None:
            yield chunk
            continue
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


async def _rendered(
    path: Path, options: LogOptions, ended: asyncio.Event, changed: asyncio.Event
) -> AsyncIterator[bytes]:
    reader = LogFiles(path)
    try:
        renderer = _Renderer(options)
        for chunk in _first(reader, renderer, options):
            yield chunk
            await asyncio.sleep(0)  # a long log must not hold up the agent
        while options.follow:
            over = ended.is_set()  # looked at before reading: what came before the end is read
            changed.clear()
            for chunk in _chunks(reader.entries(), renderer):
                yield chunk
                await asyncio.sleep(0)
            if over:
                return
            await _either(changed, ended)
    finally:
        reader.close()


def _first(reader: LogFiles, renderer: _Renderer, options: LogOptions) -> Iterator[bytes]:
    """What was there when reading began. With ``tail`` only its last lines are kept in memory."""
    if options.tail is None:
        if options.since is not None:
            reader.skip_before(options.since)
        yield from _chunks(reader.entries(), renderer)
        return
    reader.skip_to_tail(options.tail)
    lines: deque[bytes] = deque(maxlen=options.tail)
    line = bytearray()
    for entry in reader.entries():
        line += renderer.render(entry)
        if line.endswith(b"\n"):
            lines.append(bytes(line))
            line.clear()
    if line:
        lines.append(bytes(line))
    yield from _joined(lines)


def _chunks(entries: Iterator[Entry], renderer: _Renderer) -> Iterator[bytes]:
    return _joined(renderer.render(entry) for entry in entries)


def _joined(pieces: "Iterator[bytes] | deque[bytes]") -> Iterator[bytes]:
    """Many small pieces as few larger ones."""
    out = bytearray()
    for piece in pieces:
        out += piece
        if len(out) >= CHUNK:
            yield bytes(out)
            out.clear()
    if out:
        yield bytes(out)


async def _either(first: asyncio.Event, second: asyncio.Event) -> None:
    tasks = [asyncio.ensure_future(event.wait()) for event in (first, second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
