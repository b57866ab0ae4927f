"""Reads container logs: CRI files, as conmon writes them -> what ``kubectl logs`` shows.

    2026-01-02T03:04:05.678901234+00:00 stdout F a whole line
    2026-01-02T03:04:05.678901234+00:00 stdout P the first part of a long one

When a file reaches its limit conmon puts a new one in its place. log_keeper.py keeps the last full
one; reading begins there and follows later changes. Growth is told by inotify; nothing polls.
"""

import asyncio
import contextlib
import os
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from agent.runtime.inotify import MODIFY, MOVED_TO, Inotify
from agent.runtime.log_keeper import kept_paths

CHUNK = 64 * 1024
MAX_LINE = 1024 * 1024
"""A line longer than this is passed on in pieces."""


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


@dataclass(frozen=True, slots=True)
class _Entry:
    stamp: bytes
    stream: bytes
    full: bool
    text: bytes

    def moment(self) -> datetime | None:
        head, _, rest = self.stamp.decode("ascii", "replace").partition(".")
        digits = len(rest) - len(rest.lstrip("0123456789"))
        try:
            return datetime.fromisoformat(f"{head}.{rest[: min(digits, 6)]:0<6}{rest[digits:]}")
        except ValueError:
            return None


def parse_entry(line: bytes) -> _Entry | None:
    """A line of the file without its end; None for what is not one."""
    parts = line.split(b" ", 3)
    if len(parts) < 3 or parts[1] not in (b"stdout", b"stderr"):
        return None
    return _Entry(parts[0], parts[1], parts[2] != b"P", parts[3] if len(parts) == 4 else b"")


class _Renderer:
    """Entries -> the bytes shown; keeps parts of a line apart by stream. Pure."""

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._within: dict[bytes, bool] = {}

    def render(self, entry: _Entry) -> bytes:
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
    path: Path, options: LogOptions, *, ended: asyncio.Event | None = None
) -> AsyncIterator[bytes]:
    """What is there, then, with ``follow``, what comes until ``ended`` is set and all is read.
    A file that is not there yet reads as empty."""
    left = options.limit_bytes or None
    async for chunk in _rendered(path, options, ended or asyncio.Event()):
        if left is None:
            yield chunk
            continue
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


async def _rendered(path: Path, options: LogOptions, ended: asyncio.Event) -> AsyncIterator[bytes]:
    changed = asyncio.Event()
    watcher = _watch(path, changed) if options.follow else None
    reader = _Reader(path)
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
        if watcher is not None:
            watcher.close()


def _watch(path: Path, changed: asyncio.Event) -> Inotify:
    """Growth of the file and its replacement both show as events in its directory."""
    watcher = Inotify(lambda _, name: changed.set() if name in ("", path.name) else None)
    watcher.add(str(path.parent), MODIFY | MOVED_TO)
    return watcher


def _first(reader: "_Reader", renderer: _Renderer, options: LogOptions) -> Iterator[bytes]:
    """What was there when reading began. With ``tail`` only its last lines are kept in memory."""
    if options.tail is None:
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


def _chunks(entries: Iterator[_Entry], renderer: _Renderer) -> Iterator[bytes]:
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


class _Reader:
    """Entries of the kept file, then of the current one, and of those that take its place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending = b""
        self._kept = _kept_file(path)
        self._file: BinaryIO | None = _open(path)

    def entries(self) -> Iterator[_Entry]:
        """All there is by now; may be called again."""
        if self._kept is not None:
            yield from self._parse(self._kept)
            self._kept.close()
            self._kept = None
        self._file = self._file or _open(self._path)
        while self._file is not None:
            yield from self._parse(self._file)
            if not self._replaced(self._file):
                return
            yield from self._parse(self._file)  # written between our reading and the change
            self._file.close()
            self._pending = b""
            self._file = _open(self._path)

    def skip_to_tail(self, lines: int) -> None:
        """Leaves out what is surely not among the last ``lines``."""
        for file in (self._file, self._kept):
            if file is not None:
                lines = max(0, lines - _seek_lines_from_end(file, lines))

    def close(self) -> None:
        for file in (self._kept, self._file):
            if file is not None:
                file.close()

    def _replaced(self, file: BinaryIO) -> bool:
        try:
            return os.stat(self._path).st_ino != os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            return False

    def _parse(self, file: BinaryIO) -> Iterator[_Entry]:
        while data := file.read(CHUNK):
            *lines, rest = (self._pending + data).split(b"\n")
            # An unfinished line waits for its end, which comes with a later write.
            self._pending = rest if len(rest) < MAX_LINE else b""
            for line in lines:
                if (entry := parse_entry(line)) is not None:
                    yield entry


_WHOLE = re.compile(rb"\n\S+ std(?:out|err) F ")


def _seek_lines_from_end(file: BinaryIO, lines: int) -> int:
    """Goes back over at least ``lines`` whole lines, or to the beginning; how many it saw. Those
    across the edge of a block are not counted, so it may go back too far, never too little."""
    position, seen = file.seek(0, os.SEEK_END), 0
    while position > 0 and seen <= lines:
        step = min(CHUNK, position)
        position = file.seek(position - step)
        seen += len(_WHOLE.findall(file.read(step)))
    file.seek(position)
    if position > 0:
        file.readline()
    return seen


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _kept_file(path: Path) -> BinaryIO | None:
    """The full file before the current one."""
    second, old = kept_paths(path)
    with contextlib.suppress(FileNotFoundError):
        if second.stat().st_ino != path.stat().st_ino:
            return _open(second)  # conmon has just changed files, the keeper comes next
    return _open(old)
