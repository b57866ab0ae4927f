"""image: the files of an image, read-only. As pkg/volume/image and the kubelet's image volumes.

It is pulled as a container's would be, and mounted in the pod's own directory: from there on it is
a volume like others. What the pod has it keeps, whatever its tag names meanwhile. Podman counts no
such mount, so a note beside the volumes says whose files are there.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from agent.pods.image_credentials import credentials_for
from agent.pods.images import Images, NotThere, Told
from agent.pods.mounts import mounts_below
from agent.pods.threads import in_thread
from agent.pods.volumes.plugin import Pending, Provided, VolumeError, Wanted
from agent.runtime.runtime import Runtime, RuntimeFailure
from edgek.aio.clock import Clock
from edgek.api.meta import Obj, uid
from edgek.control.events import Source

PULLING = "ContainerCreating"
NOTES = "image-volumes"
NEVER_PULLED_RETRY = timedelta(minutes=1)
"""It may be loaded by hand."""


class ImageVolume:
    types = ("image",)

    def __init__(self, images: Images, *, runtime: Runtime, events: Source, clock: Clock) -> None:
        self._images = images
        self._runtime = runtime
        self._events = events
        self._clock = clock
        self._waiting: dict[str, asyncio.Event] = {}

    async def set_up(self, wanted: Wanted) -> Provided:
        path = wanted.directory
        if path not in mounts_below(path):
            image_id = await self._find(wanted)
            with self._images.in_hand(image_id):
                await self._mount(image_id, path)
        return Provided(path=path, read_only=True, no_exec=True)

    async def _mount(self, image_id: str, path: Path) -> None:
        def prepare() -> None:
            path.mkdir(parents=True, exist_ok=True)
            note = path.parents[2] / NOTES / path.name
            note.parent.mkdir(exist_ok=True)
            note.write_text(image_id)

        await in_thread(prepare)
        try:
            await self._runtime.mount_image(image_id, path)
        except RuntimeFailure as err:
            raise VolumeError(str(err)) from err

    async def _find(self, wanted: Wanted) -> str:
        """The image's id, when it has come. Raises Pending where it could not be pulled."""
        reference, pod_uid = str(wanted.source["reference"]), uid(wanted.pod)
        as_container = {"name": f"volume/{wanted.name}", "image": reference}
        if policy := wanted.source.get("pullPolicy"):
            as_container["imagePullPolicy"] = policy
        auths = credentials_for(wanted.pod, reference, wanted.around.lookup)
        changed = self._waiting[pod_uid] = asyncio.Event()
        try:
            while True:
                changed.clear()
                found = await self._images.ensure(
                    pod_uid, as_container, attempt=0, auths=auths, tell=self._teller(wanted.pod)
                )
                if not isinstance(found, NotThere):
                    return found.id
                if found.waiting.reason != PULLING:
                    at = found.retry_at or self._clock.now() + NEVER_PULLED_RETRY
                    raise Pending(found.waiting, volume=wanted.name, retry_at=at)
                await changed.wait()
        finally:
            self._waiting.pop(pod_uid, None)

    def changed(self, pod_uid: str) -> None:
        """A pull has ended that the pod may wait for."""
        if (waits := self._waiting.get(pod_uid)) is not None:
            waits.set()

    def _teller(self, pod: Obj) -> Told:
        def tell(type_: str, reason: str, message: str) -> None:
            send = self._events.normal if type_ == "Normal" else self._events.warning
            send(pod, reason, message)

        return tell

    async def tear_down(self, directory: Path) -> None:
        pass


def images_of_volumes(pod_root: Path) -> frozenset[str]:
    """The ids of images that are mounted for pods, of before this agent's life too. Blocking."""
    found = set[str]()
    for note in pod_root.glob(f"*/{NOTES}/*"):
        with suppress(OSError):  # its pod has just gone
            found.add(note.read_text())
    return frozenset(found)
