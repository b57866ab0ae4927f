"""The manifests of static pods: a directory, watched by inotify; nothing polls.

After whatever happened in it, the whole directory is read again, so that no lost event matters.
A file that is no pod is told of (log, event) once, and the pod it made before runs on. As the
kubelet: names that begin with a dot and directories are passed over.
"""

import asyncio
import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.pods.static import ManifestError, read_manifest
from agent.runtime.inotify import (
    ATTRIB,
    CLOSE_WRITE,
    CREATE,
    DELETE,
    DELETE_SELF,
    MOVE_SELF,
    MOVED_FROM,
    MOVED_TO,
    Inotify,
)
from edgek.aio.clock import Clock
from edgek.aio.outage import Outage
from edgek.api.meta import Obj, key_of
from edgek.api.time import format_time

log = logging.getLogger(__name__)

EVENTS = CREATE | CLOSE_WRITE | MOVED_TO | MOVED_FROM | DELETE | ATTRIB | DELETE_SELF | MOVE_SELF
SETTLE = 0.2
"""A file is often made and then written: what is read at once would be half of it."""
RETRY = 20.0
MAX_BYTES = 1024 * 1024
MAX_FILES = 200

Refused = Callable[[Path, str], None]


@dataclass
class _File:
    """``digest`` is of what was read last, ``pod`` of what was good last."""

    digest: str = ""
    pod: Obj | None = None


@dataclass
class StaticFiles:
    """``changed`` gets all static pods after each change; ``refused`` a file and why it is none."""

    folder: Path
    node_name: str
    clock: Clock
    changed: Callable[[list[Obj]], None]
    refused: Refused
    _files: dict[Path, _File] = field(default_factory=dict)
    _problems: dict[Path, str] = field(default_factory=dict)

    def restore(self, kept: Iterable[Obj]) -> None:
        """What ``good`` gave in an earlier life: a file broken since has its pod run on."""
        for obj in kept:
            pod = {k: v for k, v in obj.items() if k != "manifest"}
            self._files[Path(str(obj.get("manifest")))] = _File(pod=pod)

    def good(self) -> list[Obj]:
        """For the checkpoint: each pod with the file it is of."""
        files = sorted(self._files.items())
        return [f.pod | {"manifest": str(path)} for path, f in files if f.pod is not None]

    async def read(self) -> None:
        """Raises OSError where the directory cannot be read."""
        found = await asyncio.to_thread(read_folder, self.folder)
        self._files = {path: self._files.get(path, _File()) for path in found}
        problems = {}
        for path, data in found.items():
            if why := self._take(path, data):
                problems[path] = why
        pods = self._pods(problems)
        for path, why in problems.items():
            if self._problems.get(path) != why:
                log.warning("could not process manifest file path=%s err=%s", path, why)
                self.refused(path, why)
        self._problems = problems
        self.changed(pods)

    def _take(self, path: Path, data: bytes | str) -> str:
        """Why the file is no pod; "" where it is."""
        file = self._files[path]
        if isinstance(data, str):
            return data
        digest = hashlib.sha256(data).hexdigest()
        if digest == file.digest:
            return self._problems.get(path, "")
        file.digest = digest
        seen = format_time(self.clock.now())
        try:
            file.pod = read_manifest(data, path=str(path), node_name=self.node_name, seen=seen)
        except ManifestError as err:
            return str(err)
        return ""

    def _pods(self, problems: dict[Path, str]) -> list[Obj]:
        """One of each name: the first file has it."""
        pods: dict[object, tuple[Path, Obj]] = {}
        for path, file in sorted(self._files.items()):
            if file.pod is None:
                continue
            first, _ = pods.setdefault(key_of(file.pod), (path, file.pod))
            if first != path:
                problems[path] = f"{first} has a pod of the same name"
        return [pod for _, pod in pods.values()]

    async def run(self) -> None:
        """Reads, and reads again after every change, until cancelled."""
        outage = Outage(log, f"watch of {self.folder}")
        while True:
            try:
                await self._follow(outage)
            except OSError as err:
                outage.failed(err)
                await self.clock.sleep(RETRY)

    async def _follow(self, outage: Outage) -> None:
        """Returns when the directory has gone."""
        wake, gone = asyncio.Event(), asyncio.Event()

        def seen(path: str, name: str) -> None:
            wake.set()
            if not name and not self.folder.is_dir():
                gone.set()

        await asyncio.to_thread(self.folder.mkdir, parents=True, exist_ok=True)
        inotify = Inotify(seen)
        try:
            inotify.add(str(self.folder), EVENTS)
            wake.set()
            while not gone.is_set():
                await wake.wait()
                wake.clear()
                await self.clock.sleep(SETTLE)
                wake.clear()
                await self.read()
                outage.over()
        finally:
            inotify.close()


def read_folder(folder: Path) -> Mapping[Path, bytes | str]:
    """Each manifest's bytes, or why it cannot be read. A directory that is gone has none."""
    try:
        entries = sorted(e for e in folder.iterdir() if not e.name.startswith("."))
    except FileNotFoundError:
        return {}
    surplus = dict.fromkeys(entries[MAX_FILES:], f"there are more than {MAX_FILES} files")
    return {**dict(_read_all(entries[:MAX_FILES])), **surplus}


def _read_all(entries: Iterable[Path]) -> Iterable[tuple[Path, bytes | str]]:
    for entry in entries:
        try:
            handle = os.open(entry, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO would hang us
        except FileNotFoundError:
            continue
        except OSError as err:
            yield entry, f"cannot be read: {err.strerror}"
            continue
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            os.close(handle)
            if not stat.S_ISDIR(mode):
                yield entry, "it is no file"
            continue
        with os.fdopen(handle, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        yield entry, data if len(data) <= MAX_BYTES else "it is larger than 1 MiB"
