"""Disk usage of pods: expensive, so only on demand, and never in this process.

``du`` runs in a child with the lowest priority, stays on one filesystem and has a time limit, so
that neither a million files nor a hanging mount holds up the agent. What one ``du`` has counted is
good for a minute.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 20.0
KEPT_SECONDS = 60.0
"""As the kubelet's volume stats aggregation period."""
_AT_ONCE = 200
"""Paths to one du."""


@dataclass(frozen=True, kw_only=True)
class DiskUse:
    bytes: int = 0
    inodes: int = 0

    def __add__(self, other: "DiskUse") -> "DiskUse":
        return DiskUse(bytes=self.bytes + other.bytes, inodes=self.inodes + other.inodes)


@dataclass(frozen=True, kw_only=True)
class PodPlaces:
    """Directories of one pod that count: writable layers and logs by container, volumes by name
    (those on the node's own disk)."""

    layers: Mapping[str, Path] = field(default_factory=dict)
    logs: Mapping[str, Path] = field(default_factory=dict)
    volumes: Mapping[str, Path] = field(default_factory=dict)

    def all(self) -> list[Path]:
        return [*self.layers.values(), *self.logs.values(), *self.volumes.values()]


@dataclass(frozen=True, kw_only=True)
class PodDisk:
    time: float
    layers: Mapping[str, DiskUse] = field(default_factory=dict)
    logs: Mapping[str, DiskUse] = field(default_factory=dict)
    volumes: Mapping[str, DiskUse] = field(default_factory=dict)

    def total(self) -> DiskUse:
        found = [*self.layers.values(), *self.logs.values(), *self.volumes.values()]
        return sum(found, DiskUse())


@dataclass
class Disks:
    """``places``: of every pod by uid. ``pods`` is what eviction and /stats/summary ask."""

    places: Callable[[], Mapping[str, PodPlaces]]
    _found: dict[str, PodDisk] = field(default_factory=dict)
    _time: float = 0.0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def pods(self) -> Mapping[str, PodDisk]:
        """What each pod has on disk, by uid; what could not be counted in time is missing."""
        async with self._turn:
            now = time.monotonic()
            if not self._found or now - self._time > KEPT_SECONDS:
                places = self.places()
                used = await disk_usage(path for each in places.values() for path in each.all())
                self._found = {pod: _filled(each, used) for pod, each in places.items()}
                self._time = now
            return self._found


def _filled(places: PodPlaces, used: Mapping[Path, DiskUse]) -> PodDisk:
    def of(paths: Mapping[str, Path]) -> dict[str, DiskUse]:
        return {key: used[path] for key, path in paths.items() if path in used}

    return PodDisk(
        time=time.time(),
        layers=of(places.layers),
        logs=of(places.logs),
        volumes=of(places.volumes),
    )


async def disk_usage(paths: Iterable[Path]) -> dict[Path, DiskUse]:
    """Bytes on disk and inodes below each; those that are not there, or take too long, are left
    out."""
    wanted = list(dict.fromkeys(paths))
    found: dict[Path, DiskUse] = {}
    for at in range(0, len(wanted), _AT_ONCE):
        some = wanted[at : at + _AT_ONCE]
        sizes, inodes = await asyncio.gather(_du("-B1", some), _du("--inodes", some))
        found |= {p: DiskUse(bytes=n, inodes=inodes.get(p, 0)) for p, n in sizes.items()}
    return found


async def _du(unit: str, paths: Sequence[Path]) -> dict[Path, int]:
    process = await asyncio.create_subprocess_exec(
        "nice", "-n", "19", "du", "-s", "-x", "-0", unit, "--", *map(str, paths),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        return {}
    finally:
        if process.returncode is None:
            process.kill()
    return parse_du(output)


def parse_du(output: bytes) -> dict[Path, int]:
    found = {}
    for line in output.split(b"\0"):
        size, tab, path = line.partition(b"\t")
        if tab and size.isdigit():
            found[Path(path.decode(errors="surrogateescape"))] = int(size)
    return found
