"""What the agent must know to start its pods with no server in reach, kept on disk.

One file per section, written whole and flushed, only when it differs from what is there, and at
most once a second however much changes. Statuses are left out but for what decides whether a pod
may start, so an idle or merely busy node writes nothing. When the server answers, it wins.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import orjson

from edgek.aio.clock import Clock
from edgek.api.meta import Obj
from edgek.pki import files

log = logging.getLogger(__name__)

QUIET = 1.0
KEPT_POD_STATUS = ("phase", "reason", "message", "startTime", "qosClass")
Provider = Callable[[], Iterable[Obj]]


class Checkpoint:
    """``mark(section)`` after a change; ``run`` writes what the section's provider gives."""

    def __init__(self, directory: Path, *, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._providers: dict[str, Provider] = {}
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()

    def load(self, section: str) -> list[Obj]:
        """What was last written; nothing where that is missing or damaged."""
        path = self._path(section)
        try:
            data = files.read(path)
            found = orjson.loads(data) if data else []
        except (OSError, ValueError) as err:
            log.warning("checkpoint not readable path=%s err=%s", path, err)
            return []
        return [obj for obj in found if isinstance(obj, dict)] if isinstance(found, list) else []

    def provide(self, section: str, provider: Provider) -> None:
        self._providers[section] = provider

    def mark(self, section: str) -> None:
        self._dirty.add(section)
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            await self._clock.sleep(QUIET)
            self._wake.clear()
            dirty, self._dirty = self._dirty, set()
            for section in sorted(dirty & self._providers.keys()):
                await self.write(section, self._providers[section]())

    async def write(self, section: str, objects: Iterable[Obj]) -> None:
        data = orjson.dumps([trimmed(obj) for obj in objects], option=orjson.OPT_SORT_KEYS)
        try:
            await asyncio.to_thread(self._write, section, data)
        except OSError as err:
            log.warning("checkpoint not written section=%s err=%s", section, err)

    def _write(self, section: str, data: bytes) -> None:
        files.make_private_dir(self._directory)
        files.write_if_changed(self._path(section), data)

    def _path(self, section: str) -> Path:
        return self._directory / f"{section}.json"


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
        for which in ("containerStatuses", "initContainerStatuses"):
            if counts := [_count(s) for s in status.get(which) or () if s.get("containerID")]:
                out["status"][which] = counts
    elif obj.get("kind") == "Node" and isinstance(status, dict):
        out["status"] = {k: status[k] for k in ("addresses",) if k in status}
    return out


def _count(status: Obj) -> Obj:
    """Enough to go on counting restarts where the containers are lost."""
    return {
        "name": status["name"],
        "restartCount": status.get("restartCount") or 0,
        "containerID": "podman://",
    }
