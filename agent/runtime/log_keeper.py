"""LogKeeper: a container's log keeps its last full files beside the current one, and no more.

At its limit conmon renames a fresh file over the log, and the old text would be gone. So each log
has a second name, ``PATH.1``, on the same file: after the change that is the full one. It then
becomes ``PATH.2``, those before it move on by one, the oldest goes, and the fresh file gets the
second name. An event a change, nothing else; as --container-log-max-files of the kubelet, where
the files are not compressed.

The keeper has a thread of its own: conmon waits for nobody, and a container that prints as fast as
it can fills a file in a moment.
"""

import contextlib
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from agent.runtime.inotify import CREATE, MOVED_TO, Inotify

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LogLimits:
    """Of one container's log, the current file among them."""

    max_bytes: int = 10 * 1024 * 1024
    max_files: int = 5


def full_file(path: Path, number: int) -> Path:
    """1 is the second name of the current file, 2 the last full one, higher ones are older."""
    return path.with_name(f"{path.name}.{number}")


class LogKeeper:
    def __init__(self, limits: LogLimits | None = None) -> None:
        self._limits = limits or LogLimits()
        self._inotify: Inotify | None = None
        self._kept: set[Path] = set()
        self._lock = threading.Lock()

    def keep(self, path: Path) -> None:
        """From now on, or from its begin on where it is not there yet. A log that changed while
        nobody looked is put right first."""
        if path in self._kept:
            return
        try:
            if self._inotify is None:
                self._inotify = Inotify(self._moved, thread="logs")
            self._kept.add(path)
            self._inotify.add(str(path.parent), CREATE | MOVED_TO)
            with self._lock:
                _renew(path, self._limits.max_files)
                _remove_beyond(path, self._limits.max_files)
        except OSError as err:  # the container runs on; only old text may be lost
            log.warning("cannot keep a log's full files path=%s error=%s", path, err)

    def release(self, path: Path) -> None:
        """The container has ended and its log changes no more."""
        self._kept.discard(path)
        if self._inotify is not None and not any(p.parent == path.parent for p in self._kept):
            self._inotify.remove(str(path.parent))

    def close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()

    def _moved(self, directory: str, name: str) -> None:
        """In the keeper's thread."""
        path = Path(directory) / name
        if path in self._kept:
            try:
                with self._lock:
                    _renew(path, self._limits.max_files)
            except OSError as err:
                log.warning("cannot keep a log's full files path=%s error=%s", path, err)


def _renew(path: Path, files: int) -> None:
    """The oldest moves first: who looks meanwhile, from the newest on, misses none."""
    second = full_file(path, 1)
    with contextlib.suppress(FileNotFoundError):
        if second.stat().st_ino == path.stat().st_ino:
            return
        for number in range(files - 1, 1, -1):
            with contextlib.suppress(FileNotFoundError):
                full_file(path, number).replace(full_file(path, number + 1))
        second.replace(full_file(path, 2))
    with contextlib.suppress(FileNotFoundError):  # there is none yet: its creation is an event
        os.link(path, second)


def _remove_beyond(path: Path, files: int) -> None:
    """After the limit was lowered."""
    number = files + 1
    while full_file(path, number).exists():
        full_file(path, number).unlink(missing_ok=True)
        number += 1
