"""What the agent must know to start its pods with no server in reach, kept on disk.

One file per section, written whole and flushed, only when it differs from what is there, and at
most once a second however much changes. Statuses are left out but for what decides whether a pod
may start, so an idle or merely busy node writes nothing. When the server answers, it wins.

Nothing about it stops the agent: what is damaged, or cannot be written, is told of, and the server
is waited for.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import orjson

from edgek.aio.clock import Clock
from edgek.aio.outage import Outage
from edgek.api.meta import Obj
from edgek.api.time import format_time
from edgek.pki import files

log = logging.getLogger(__name__)

QUIET = 1.0
RETRY = 60.0
"""After a write that failed: the disk is full, or may only be read."""
MAX_BYTES = 64 * 1024 * 1024
"""Of one section. What is beyond it is left out, the largest objects first."""
KEPT_POD_STATUS = ("phase", "reason", "message", "startTime", "qosClass")
Provider = Callable[[], Iterable[Obj]]


class Checkpoint:
    """``mark(section, ...)`` after a change; ``run`` writes what the section's provider gives."""

    def __init__(self, directory: Path, *, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._providers: dict[str, Provider] = {}
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._outages: dict[str, Outage] = {}
        self._problems: dict[str, str] = {}

    def load(self, section: str) -> list[Obj]:
        """What was last written; nothing where that is missing or damaged. For the start: what a
        power cut left of a write goes."""
        path = self._path(section)
        files.discard_unfinished(path)
        try:
            data = files.read(path)
            found = orjson.loads(data) if data else []
        except (OSError, ValueError) as err:
            log.warning("checkpoint not readable, waiting for the server path=%s err=%s", path, err)
            return []
        whole = list(_objects(found))
        if not isinstance(found, list) or len(whole) != len(found):
            log.warning("checkpoint damaged, the server is waited for path=%s", path)
        return whole

    def provide(self, section: str, provider: Provider) -> None:
        self._providers[section] = provider

    def mark(self, *sections: str) -> None:
        self._dirty.update(sections)
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            await self._clock.sleep(QUIET)
            self._wake.clear()
            if not await self.flush():
                await self._clock.sleep(RETRY)
                self._wake.set()

    async def flush(self) -> bool:
        """Writes what has changed, now. False where some of it could not be written; it is
        still to be written then."""
        dirty, self._dirty = self._dirty, set()
        failed = set()
        for section in sorted(dirty & self._providers.keys()):
            if not await self.write(section, self._providers[section]()):
                failed.add(section)
        self._dirty |= failed
        return not failed

    async def write(self, section: str, objects: Iterable[Obj]) -> bool:
        data, left_out = encoded(objects)
        outage = self._outages.setdefault(section, Outage(log, f"checkpoint of {section}"))
        self._problems.pop(section, None)
        if left_out:
            self._problems[section] = f"{section}: {left_out} objects are too large to be kept"
            log.warning("checkpoint too large section=%s left-out=%d", section, left_out)
        try:
            await asyncio.to_thread(self._write, section, data)
        except OSError as err:
            outage.failed(err)
            self._problems[section] = f"{section}: cannot be written: {err.strerror or err}"
            return False
        outage.over()
        return True

    def describe(self) -> Obj:
        """For people: when it was written last, how large it is, what is wrong with it."""
        try:
            found = [path.stat() for path in self._directory.glob("*.json")]
        except OSError:
            found = []
        newest = max((s.st_mtime for s in found), default=None)
        return {
            "written": format_time(datetime.fromtimestamp(newest, UTC)) if newest else "",
            "bytes": sum(s.st_size for s in found),
            "problem": "; ".join(self._problems.values()),
        }

    def _write(self, section: str, data: bytes) -> None:
        files.make_private_dir(self._directory)
        files.write_if_changed(self._path(section), data)

    def _path(self, section: str) -> Path:
        return self._directory / f"{section}.json"


def _objects(found: object) -> Iterator[Obj]:
    """Those of a section that are objects with a name."""
    for obj in found if isinstance(found, list) else ():
        meta = obj.get("metadata") if isinstance(obj, dict) else None
        if isinstance(meta, dict) and isinstance(meta.get("name"), str):
            yield obj


def encoded(objects: Iterable[Obj], *, limit: int = MAX_BYTES) -> tuple[bytes, int]:
    """A section's bytes, and how many objects were too much. Pure."""
    parts = [orjson.dumps(trimmed(obj), option=orjson.OPT_SORT_KEYS) for obj in objects]
    left = sum(map(len, parts)) - limit
    dropped = set()
    for number in sorted(range(len(parts)), key=lambda n: -len(parts[n])) if left > 0 else ():
        if left <= 0:
            break
        dropped.add(number)
        left -= len(parts[number])
    kept = [part for number, part in enumerate(parts) if number not in dropped]
    return b"[" + b",".join(kept) + b"]", len(dropped)


def trimmed(obj: Mapping[str, object]) -> Obj:
    """Without what changes and does not matter after a restart."""
    meta = obj.get("metadata")
    assert isinstance(meta, dict)
    out: Obj = dict(obj)
    out["metadata"] = {
        k: v for k, v in meta.items() if k not in ("managedFields", "resourceVersion")
    }
    status = obj.get("status")
    if obj.get("kind") == "Pod" and isinstance(status, dict):
        out["status"] = {k: status[k] for k in KEPT_POD_STATUS if k in status}
        for which in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
            if counts := [_count(s) for s in status.get(which) or () if s.get("containerID")]:
                out["status"][which] = counts
    elif obj.get("kind") == "Node" and isinstance(status, dict):
        out["status"] = {k: status[k] for k in ("addresses",) if k in status}
    return out


def _count(status: Obj) -> Obj:
    """Enough to go on counting restarts where the containers are lost, and to know what one that
    was resized runs with."""
    resources = {"resources": status["resources"]} if status.get("resources") else {}
    return {
        "name": status["name"],
        "restartCount": status.get("restartCount") or 0,
        "containerID": "podman://",
        **resources,
    }
