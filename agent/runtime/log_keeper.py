"""LogKeeper: a container's log keeps its last full file beside the current one, and no more.

At its limit conmon renames a fresh file over the log, and the old text would be gone. So each log
has a second name, ``PATH.1``, on the same file: after the change that is the full one. It then
becomes ``PATH.2`` and the fresh file gets the second name. An event a change, nothing else.
"""

import contextlib
import logging
import os
from pathlib import Path

from agent.runtime.inotify import MOVED_TO, Inotify

log = logging.getLogger(__name__)


def kept_paths(path: Path) -> tuple[Path, Path]:
    """The second name of the current file, and the full file before it."""
    return path.with_name(path.name + ".1"), path.with_name(path.name + ".2")


class LogKeeper:
    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._kept: set[Path] = set()

    def keep(self, path: Path) -> None:
        """From now on; a log that changed while nobody looked is put right first."""
        if path in self._kept:
            return
        try:
            if self._inotify is None:
                self._inotify = Inotify(self._moved)
            self._inotify.add(str(path.parent), MOVED_TO)
            self._kept.add(path)
            self._renew(path)
        except OSError as err:  # the container runs on; only old text may be lost
            log.warning("cannot keep a log's last full file path=%s error=%s", path, err)

    def release(self, path: Path) -> None:
        """The container has ended and its log changes no more."""
        self._kept.discard(path)
        if self._inotify is not None and not any(p.parent == path.parent for p in self._kept):
            self._inotify.remove(str(path.parent))

    def close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()

    def _moved(self, directory: str, name: str) -> None:
        path = Path(directory) / name
        if path in self._kept:
            try:
                self._renew(path)
            except OSError as err:
                log.warning("cannot keep a log's last full file path=%s error=%s", path, err)

    def _renew(self, path: Path) -> None:
        second, old = kept_paths(path)
        with contextlib.suppress(FileNotFoundError):
            if second.stat().st_ino == path.stat().st_ino:
                return
            second.replace(old)
        os.link(path, second)
