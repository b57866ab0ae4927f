"""The files of one container's log, oldest first, as one sequence of entries that may grow.

log_keeper.py says what they are called. A reader keeps the file open that it is in; files move on
from name to name meanwhile, so the next one is found by looking where its own is by now.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from agent.runtime.log_keeper import full_file

CHUNK = 64 * 1024
MAX_LINE = 1024 * 1024
"""A line longer than this is passed on in pieces."""


@dataclass(frozen=True, slots=True)
class Entry:
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


def parse_entry(line: bytes) -> Entry | None:
    """A line of the file without its end; None for what is not one."""
    parts = line.split(b" ", 3)
    if len(parts) < 3 or parts[1] not in (b"stdout", b"stderr"):
        return None
    return Entry(parts[0], parts[1], parts[2] != b"P", parts[3] if len(parts) == 4 else b"")


class LogFiles:
    """A reader, at the oldest entry at first; ``skip_to_tail`` and ``skip_before`` move it on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending = b""
        self._ahead: list[BinaryIO] = _open_all(path)
        self._file: BinaryIO | None = self._ahead.pop(0) if self._ahead else None

    def entries(self) -> Iterator[Entry]:
        """All there is by now; may be called again."""
        if self._file is None:
            self._file = _first(_open_all(self._path))
        while self._file is not None:
            yield from self._parse(self._file)
            following = self._following(self._file)
            if following is None:
                return
            yield from self._parse(self._file)  # written between our reading and the change
            self._file.close()
            self._file, self._pending = following, b""

    def skip_to_tail(self, lines: int) -> None:
        """Leaves out what is surely not among the last ``lines``."""
        files = [f for f in (self._file, *self._ahead) if f is not None]
        while files and lines >= 0:
            last = files.pop()
            lines -= seek_lines_from_end(last, lines)
            if lines < 0:
                break
        self._drop(files)

    def skip_before(self, moment: datetime) -> None:
        """Leaves out files that were full before then."""
        files = [f for f in (self._file, *self._ahead) if f is not None]
        early = [f for f in files[:-1] if os.fstat(f.fileno()).st_mtime < moment.timestamp()]
        self._drop(early)

    def close(self) -> None:
        self._drop([f for f in (self._file, *self._ahead) if f is not None])

    def _drop(self, files: list[BinaryIO]) -> None:
        """Closes some, which are the oldest."""
        for file in files:
            file.close()
        left = [f for f in (self._file, *self._ahead) if f is not None and not f.closed]
        self._file, self._ahead = (left[0], left[1:]) if left else (None, [])

    def _following(self, file: BinaryIO) -> BinaryIO | None:
        """The file after this one; the oldest left where this one is gone already."""
        if self._ahead:
            return self._ahead.pop(0)
        inode = os.fstat(file.fileno()).st_ino
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino == inode:
                return None
        found = _open_all(self._path)
        inodes = [os.fstat(f.fileno()).st_ino for f in found]
        at = inodes.index(inode) + 1 if inode in inodes else 0
        self._ahead = found[at + 1 :]
        for old in found[:at]:
            old.close()
        return found[at] if at < len(found) else None

    def _parse(self, file: BinaryIO) -> Iterator[Entry]:
        while data := file.read(CHUNK):
            *lines, rest = (self._pending + data).split(b"\n")
            # An unfinished line waits for its end, which comes with a later write.
            self._pending = rest if len(rest) < MAX_LINE else b""
            for line in lines:
                if (entry := parse_entry(line)) is not None:
                    yield entry


def _first(files: list[BinaryIO]) -> BinaryIO | None:
    """Only the first is kept open: the others are found again."""
    for file in files[1:]:
        file.close()
    return files[0] if files else None


def _open_all(path: Path) -> list[BinaryIO]:
    """Oldest first. Looked at from the newest on, against the way in which files move, so that
    none is missed; one may be seen twice."""
    found: dict[int, BinaryIO] = {}
    number = missing = 0
    while missing < 2:  # one is, for a moment, while they move on
        try:
            file = (full_file(path, number) if number else path).open("rb")
        except FileNotFoundError:
            missing += 1
        else:
            missing = 0
            if found.setdefault(os.fstat(file.fileno()).st_ino, file) is not file:
                file.close()
        number += 1
    return list(reversed(found.values()))


_WHOLE = re.compile(rb"\n\S+ std(?:out|err) F ")


def seek_lines_from_end(file: BinaryIO, lines: int) -> int:
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
