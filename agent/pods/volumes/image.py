"""image: the files of an image, read-only. As pkg/volume/image and the kubelet's image volumes.

Podman mounts it with the container, so there is nothing to hold here but the image itself, which
is pulled as a container's would be.
"""

from pathlib import Path

from agent.pods.images import Images, NotThere, credentials_for
from agent.pods.volumes.plugin import Pending, Provided, Wanted
from edgek.api.meta import uid
from edgek.control.events import Source


class ImageVolume:
    types = ("image",)

    def __init__(self, images: Images, *, events: Source) -> None:
        self._images = images
        self._events = events
        self._have: dict[Path, str] = {}

    async def set_up(self, wanted: Wanted) -> Provided:
        known = self._have.get(wanted.directory)
        if known is None:
            known = self._have[wanted.directory] = await self._find(wanted)
            wanted.directory.mkdir(parents=True, exist_ok=True)  # so that its end is told
        return Provided(path=wanted.directory, read_only=True, image=known)

    async def _find(self, wanted: Wanted) -> str:
        """The image's id. Raises Pending until it has come."""
        reference = str(wanted.source["reference"])
        as_container = {"name": wanted.name, "image": reference}
        if policy := wanted.source.get("pullPolicy"):
            as_container["imagePullPolicy"] = policy

        def tell(type_: str, reason: str, message: str) -> None:
            send = self._events.normal if type_ == "Normal" else self._events.warning
            send(wanted.pod, reason, message)

        auths = credentials_for(wanted.pod, reference, wanted.around.lookup)
        found = await self._images.ensure(
            uid(wanted.pod), as_container, attempt=0, auths=auths, tell=tell
        )
        if isinstance(found, NotThere):
            raise Pending(found.waiting.message or f"image {reference} is being pulled")
        return found.id

    async def tear_down(self, directory: Path) -> None:
        self._have.pop(directory, None)
