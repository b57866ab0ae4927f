"""DeviceWatch: ``devices.yaml`` and the devices it names, followed as they change.

The kernel tells of both through inotify, so nothing runs while nothing changes. A file that is
wrong changes nothing: its mistake is told, and what was there before goes on.
"""

import asyncio
import contextlib
import grp
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from agent.devices.allot import Allotment, Allotments
from agent.devices.declared import Declared, DevicesError, parse_devices
from agent.devices.inventory import Inventory, counts, directories, take_inventory
from agent.runtime.inotify import (
    ATTRIB,
    CLOSE_WRITE,
    CREATE,
    DELETE,
    DELETE_SELF,
    MOVED_FROM,
    MOVED_TO,
    Inotify,
)

log = logging.getLogger(__name__)

SETTLE_SECONDS = 0.5
"""udev makes a node, then gives it its group."""
MASK = CREATE | DELETE | MOVED_TO | MOVED_FROM | ATTRIB | DELETE_SELF
"""Not CLOSE_WRITE: somebody always closes /dev/null."""
MAX_FILE = 1 << 20


class DeviceWatch:
    """Reads the file when it is made. ``on_change``: the counts are others. ``on_problem`` gets
    what is wrong with the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.on_change: Callable[[], None] = lambda: None
        self.on_problem: Callable[[str], None] = lambda text: None
        self.problem = ""
        self.declared: dict[str, Declared] = {}
        self.inventory: Inventory = {}
        self._most: dict[str, int] = {}
        self._gone: set[str] = set()
        self._allotments = Allotments()
        self._changed = asyncio.Event()
        self._watched: set[str] = set()
        self._read()
        self._look()

    def counts(self) -> dict[str, tuple[int, int]]:
        """Resource -> (capacity, allocatable); 0 for those that the file no longer has."""
        found = counts(tuple(self.declared.values()), self.inventory, self._most)
        return dict.fromkeys(self._gone, (0, 0)) | found

    def reserve(self, pod_uid: str, container: str, need: Mapping[str, int]) -> Allotment:
        """Devices for a container that asks for some of ours. Raises Unavailable."""
        ours = {name: amount for name, amount in need.items() if name in self.declared and amount}
        if not ours:
            return Allotment()
        return self._allotments.reserve(
            pod_uid, container, ours, declared=self.declared, inventory=self.inventory
        )

    def adopt(self, pod_uid: str, container: str, label: str) -> None:
        """A container that runs already."""
        self._allotments.adopt(pod_uid, container, label)

    def keep(self, pods: Iterable[str]) -> None:
        """Pods that may hold devices; what others held is free."""
        self._allotments.keep(pods)

    async def run(self) -> None:
        """Until cancelled."""
        inotify = Inotify(lambda path, name: self._told(path, name))
        try:
            while True:
                self._watch(inotify)
                self._look()
                await self._changed.wait()
                await asyncio.sleep(SETTLE_SECONDS)
                self._changed.clear()
                self._read()
                self._look()
        finally:
            inotify.close()

    def _told(self, path: str, name: str) -> None:
        # Of the file's directory only the file counts, and where the directory is to be.
        if path.startswith("/dev") or name in ("", self.path.name, self.path.parent.name):
            self._changed.set()

    def _watch(self, inotify: Inotify) -> None:
        wanted = {_nearest(self.path.parent)}
        if self.declared:
            wanted |= directories(self.declared.values())
        for path in self._watched - wanted:
            inotify.remove(path)
        for path in wanted:
            with contextlib.suppress(OSError):  # it went meanwhile
                inotify.add(path, MASK if path.startswith("/dev") else MASK | CLOSE_WRITE)
        self._watched = wanted

    def _read(self) -> None:
        try:
            declared = _read_file(self.path)
        except DevicesError as err:
            self._say(f"{self.path}: {err}")
            return
        self._say("")
        new = {each.name: each for each in declared}
        self._gone = (self._gone | self.declared.keys()) - new.keys()
        self.declared = new

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.error("devices stay as they were: %s", problem)
            self.on_problem(problem)
        self.problem = problem

    def _look(self) -> None:
        before = self.counts()
        self.inventory = take_inventory(self.declared.values())
        for name, units in self.inventory.items():
            self._most[name] = max(self._most.get(name, 0), len(units))
        if (now := self.counts()) != before:
            log.info("devices %s", " ".join(f"{n}={b}/{a}" for n, (a, b) in sorted(now.items())))
            self.on_change()


def _nearest(directory: Path) -> str:
    """It, or what there is above it."""
    while not directory.is_dir() and directory != directory.parent:
        directory = directory.parent
    return os.fspath(directory)


def _read_file(path: Path) -> tuple[Declared, ...]:
    try:
        with path.open() as file:
            text = file.read(MAX_FILE)
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as err:
        raise DevicesError(f"cannot be read: {err}") from None
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise DevicesError(f"{where}is not YAML") from None
    return parse_devices(content, group_id=lambda name: grp.getgrnam(name).gr_gid)
