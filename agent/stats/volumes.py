"""How full claimed volumes are: kubelet_volume_stats_* and the Summary's volumes with a pvcRef.

A volume may be a file server's that hangs, so ``stat -f`` runs in a child for each, with a time
limit, a few at once; one that hangs has no figures.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.stats.exposition import Family
from agent.stats.usage import Filesystem

KEPT_SECONDS = 60.0
SECONDS = 3.0
AT_ONCE = 4
_FORMAT = "%S %b %f %a %c %d"


@dataclass(frozen=True, kw_only=True)
class VolumeAt:
    """``volume`` is its name in the pod, ``claim`` that of the PersistentVolumeClaim. ``ask``: who
    knows better than the file system; ``raw``: there is none."""

    pod_uid: str
    namespace: str
    volume: str
    claim: str
    path: Path
    raw: bool = False
    ask: Callable[[], Awaitable[Filesystem | None]] | None = field(default=None, compare=False)


Found = Mapping[VolumeAt, Filesystem]


@dataclass
class ClaimedVolumes:
    """``volumes``: those that are mounted now."""

    volumes: Callable[[], Iterable[VolumeAt]]
    _found: Found = field(default_factory=dict)
    _time: float | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def now(self) -> Found:
        async with self._turn:
            if self._time is None or time.monotonic() - self._time > KEPT_SECONDS:
                self._found = await measure(self.volumes())
                self._time = time.monotonic()
            return self._found


async def measure(volumes: Iterable[VolumeAt]) -> dict[VolumeAt, Filesystem]:
    """Of those that answer. A path that several pods have is asked once."""
    wanted = list(volumes)
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(volume: VolumeAt) -> Filesystem | None:
        async with slots:
            told = await volume.ask() if volume.ask is not None else None
            return told if told is not None or volume.raw else await stat_filesystem(volume.path)

    paths = {volume.path: volume for volume in wanted}
    answers = dict(zip(paths, await asyncio.gather(*map(one, paths.values())), strict=True))
    found = {volume: answers[volume.path] for volume in wanted}
    return {volume: filesystem for volume, filesystem in found.items() if filesystem is not None}


async def stat_filesystem(path: Path) -> Filesystem | None:
    process = await asyncio.create_subprocess_exec(
        "stat", "-f", "-c", _FORMAT, "--", str(path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            if process.returncode is None:
                process.kill()
    return parse_stat(output.decode(errors="replace"))


def parse_stat(output: str) -> Filesystem | None:
    words = output.split()
    if len(words) != 6 or not all(word.isdecimal() for word in words):
        return None
    unit, blocks, free, available, inodes, inodes_free = map(int, words)
    return Filesystem(
        capacity=blocks * unit,
        available=available * unit,
        used=(blocks - free) * unit,
        inodes=inodes,
        inodes_free=inodes_free,
        inodes_used=inodes - inodes_free,
    )


_FAMILIES = (
    ("capacity_bytes", "capacity", "Capacity in bytes of the volume"),
    ("available_bytes", "available", "Number of available bytes in the volume"),
    ("used_bytes", "used", "Number of used bytes in the volume"),
    ("inodes", "inodes", "Maximum number of inodes in the volume"),
    ("inodes_free", "inodes_free", "Number of free inodes in the volume"),
    ("inodes_used", "inodes_used", "Number of used inodes in the volume"),
)


def volume_families(found: Found) -> list[Family]:
    """As pkg/kubelet/metrics/collectors/volume_stats.go: each claim once."""
    claims = {(v.namespace, v.claim): filesystem for v, filesystem in found.items()}
    families = []
    for name, of, about in _FAMILIES:
        family = Family(name=f"kubelet_volume_stats_{name}", help=f"[ALPHA] {about}")
        for (namespace, claim), filesystem in sorted(claims.items()):
            labels = {"namespace": namespace, "persistentvolumeclaim": claim}
            family.add(getattr(filesystem, of), labels)
        families.append(family)
    return families
