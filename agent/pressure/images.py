"""Image garbage collection: images that nobody uses go, the least recently used first.

It runs when there is a reason: a pull has filled the disk above the high threshold, the disk is
under pressure, or an age limit is set. As pkg/kubelet/images/image_gc_manager.go: an image is in
use while a container has it or a pod here names it; a young or pinned one stays. When one was
last used is known from the containers that were removed since the agent started; images of before
count as never used, as with the kubelet.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.kubelet_args import ImageGcPolicy
from agent.pods.store import Containers, Pods
from agent.runtime.reference import normalize_reference
from agent.runtime.runtime import Container, Image, Runtime, RuntimeFailure
from edgek.aio.clock import Clock
from edgek.api.meta import Obj, get_path
from edgek.kinds.pods import containers, init_containers, is_terminal

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Record:
    """Monotonic seconds; 0: before the agent began."""

    pulled: float = 0.0
    used: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Collected:
    """``refused``: what the engine said where an image could not be removed."""

    freed: int = 0
    removed: int = 0
    refused: tuple[str, ...] = ()


def plan_images(
    images: Iterable[Image],
    records: Mapping[str, Record],
    *,
    used: frozenset[str],
    now: float,
    policy: ImageGcPolicy,
) -> list[Image]:
    """Those that may go, the first to remove first. ``used`` are ids and names. Pure."""
    found = [
        image for image in images
        if not image.pinned
        and not image.containers
        and image.id not in used
        and not used.intersection(image.names)
        and _old_enough(records.get(image.id), now=now, policy=policy)
    ]  # fmt: skip
    record = Record()
    return sorted(
        found,
        key=lambda i: (records.get(i.id, record).used, records.get(i.id, record).pulled, i.id),
    )


def _old_enough(record: Record | None, *, now: float, policy: ImageGcPolicy) -> bool:
    return record is None or not record.pulled or now - record.pulled >= policy.min_age


def names_of(pods: Iterable[Obj]) -> frozenset[str]:
    """The images that pods name, for containers and volumes, as Podman writes them."""
    return frozenset(
        normalize_reference(reference)
        for pod in pods
        if not is_terminal(pod)
        for reference in (
            *(c.get("image") for c in (*init_containers(pod), *containers(pod))),
            *(get_path(v, "image", "reference") for v in pod["spec"].get("volumes") or ()),
        )
        if reference
    )


def bytes_to_free(*, capacity: int, available: int, policy: ImageGcPolicy) -> int:
    """0 below the high threshold, else what brings usage down to the low one."""
    if capacity <= 0 or 100 - available * 100 // capacity < policy.high:
        return 0
    return max(capacity * (100 - policy.low) // 100 - available, 0)


@dataclass(kw_only=True)
class ImageCollector:
    """``tell(reason, message)`` is a warning about the node; ``changed`` is called when the set
    of images did."""

    runtime: Runtime
    pods: Pods
    containers: Containers
    policy: ImageGcPolicy
    clock: Clock
    root: Path
    tell: Callable[[str, str], None]
    changed: Callable[[], None] = lambda: None
    kept: Callable[[], frozenset[str]] = frozenset
    """Images that stay, by id."""
    mounted: Callable[[], frozenset[str]] = frozenset
    """Images that are volumes of pods, by id: their names may be gone. Blocking."""
    records: dict[str, Record] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.containers.on_drop = self.dropped
        self._began = self.clock.monotonic()

    def dropped(self, container: Container) -> None:
        """A container is gone: until now its image was in use."""
        if container.image_id:
            known = self.records.get(container.image_id, Record())
            self.records[container.image_id] = Record(
                pulled=known.pulled, used=self.clock.monotonic()
            )

    async def pulled(self, image_id: str) -> None:
        """After a pull: the only moment at which images fill a disk."""
        now = self.clock.monotonic()
        self.records[image_id] = Record(pulled=now, used=now)
        self.changed()
        try:
            disk = os.statvfs(self.root)
        except OSError:
            return
        unit = disk.f_frsize
        wanted = bytes_to_free(
            capacity=disk.f_blocks * unit, available=disk.f_bavail * unit, policy=self.policy
        )
        if wanted:
            await self._free_or_tell(wanted)

    async def _free_or_tell(self, wanted: int) -> None:
        done = await self.free(wanted)
        if done.refused:
            self.tell(
                "ImageGCFailed",
                f"wanted to free {wanted} bytes, but freed {done.freed} bytes space with errors in "
                f"image deletion: {'; '.join(done.refused)}",
            )
        elif done.freed < wanted:
            self.tell(
                "FreeDiskSpaceFailed",
                "Failed to garbage collect required amount of images. Attempted to free "
                f"{wanted} bytes, but only found {done.freed} bytes eligible to free.",
            )

    async def free(self, wanted: int | None = None) -> Collected:
        """Removes unused images until so many bytes are free; all of them with None."""
        return await self._remove(lambda found: found, wanted)

    async def prune(self) -> tuple[int, int, tuple[str, ...]]:
        """By hand: how many went, how many bytes, and what was refused."""
        done = await self.free()
        return done.removed, done.freed, done.refused

    async def free_old(self) -> Collected:
        """Those unused for longer than the policy's age; not before the agent has run that long,
        because of what was before it knows nothing. As freeOldImages."""
        now = self.clock.monotonic()
        if not self.policy.max_age or now - self._began <= self.policy.max_age:
            return Collected()
        age = self.policy.max_age

        def old(found: list[Image]) -> list[Image]:
            return [i for i in found if now - self.records.get(i.id, Record()).used > age]

        return await self._remove(old, None)

    async def _remove(
        self, choose: Callable[[list[Image]], list[Image]], wanted: int | None
    ) -> Collected:
        try:
            images = await self.runtime.images()
        except RuntimeFailure as err:
            return Collected(refused=(str(err),))
        self.records = {i.id: self.records[i.id] for i in images if i.id in self.records}
        used, now = await self._used(), self.clock.monotonic()
        candidates = plan_images(images, self.records, used=used, now=now, policy=self.policy)
        freed, removed, refused = 0, 0, list[str]()
        for image in choose(candidates):
            if wanted is not None and freed >= wanted:
                break
            if (await self._used()).intersection((image.id, *image.names)):
                continue  # a pod came for it meanwhile
            log.info("removing an unused image id=%s bytes=%d", image.id[:12], image.size_bytes)
            try:
                await self.runtime.remove_image(image.id)
            except RuntimeFailure as err:
                refused.append(str(err))
                continue
            freed, removed = freed + image.size_bytes, removed + 1
            self.records.pop(image.id, None)
        if removed:
            self.changed()
        return Collected(freed=freed, removed=removed, refused=tuple(refused))

    async def _used(self) -> frozenset[str]:
        mounted = await asyncio.to_thread(self.mounted)
        every = (c for pod_uid in self.containers.uids() for c in self.containers.of(pod_uid))
        kept = names_of(self.pods.all()) | self.kept() | mounted
        return kept | {c.image_id for c in every if c.image_id}
