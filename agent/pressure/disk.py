"""What directories hold, measured by a walk that is bounded: in entries, in time and in depth of
trust. Symbolic links are not followed and other filesystems not entered. Runs in a thread, and
only when a limit or a full disk asks for it.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

MAX_ENTRIES = 500_000
MAX_SECONDS = 60.0


@dataclass
class Walk:
    """Bytes on disk and inodes. ``cut``: a bound was reached, so it is at least that much."""

    size: int = 0
    inodes: int = 0
    cut: bool = False

    def add(self, top: Path | str) -> "Walk":
        """Adds a tree; nothing for one that is not there."""
        deadline = time.monotonic() + MAX_SECONDS
        linked: set[int] = set()
        try:
            device = os.lstat(top).st_dev
        except OSError:
            return self
        stack = [os.fspath(top)]
        while stack and not self.cut:
            self._directory(stack.pop(), stack, device, linked)
            self.cut = self.inodes > MAX_ENTRIES or time.monotonic() > deadline
        return self

    def _directory(self, path: str, stack: list[str], device: int, linked: set[int]) -> None:
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if found.st_dev != device:
                        continue
                    if found.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                        if found.st_ino in linked:
                            continue
                        linked.add(found.st_ino)
                    self.size += found.st_blocks * 512
                    self.inodes += 1
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
        except OSError:  # it went away under our eyes
            return
