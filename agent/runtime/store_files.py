"""What Podman's own files tell, so that it is not asked while it is busy: a question of 2 ms waits
for 100 and more behind starts of other containers.

The list of images is a file that Podman replaces with each change, so its identity says whether an
answer about an image still holds. The pid of what a container runs stands in a file that Podman
writes for conmon. Where they are is learned from the first container that is looked at; until then,
and where they cannot be read, Podman is asked.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.runtime.runtime import Image

MAX_IMAGES = 256

Stamp = tuple[int, int, int]


class StoreFiles:
    def __init__(self) -> None:
        self._images: Path | None = None
        self._containers: Path | None = None
        self._known: dict[str, Image] = {}
        self._known_at: Stamp | None = None

    def learn(self, inspected: Mapping[str, Any]) -> None:
        """From what Podman says of any container."""
        if self._images is not None:
            return
        static, pid_file = inspected.get("StaticDir"), inspected.get("PidFile")
        driver = inspected.get("Driver")
        if static and pid_file and driver:
            # ROOT/overlay-containers/ID/userdata, and the same below another root for the pid.
            self._images = Path(static).parents[2] / f"{driver}-images" / "images.json"
            self._containers = Path(pid_file).parents[2]

    def pid(self, container_id: str) -> int:
        """Of its first process; 0 where that is not known."""
        if self._containers is None:
            return 0
        try:
            return int((self._containers / container_id / "userdata/pidfile").read_text())
        except (OSError, ValueError):
            return 0

    def stamp(self) -> Stamp | None:
        """Another one after each change of an image; None where nothing can be told. To be taken
        before Podman is asked."""
        if self._images is None:
            return None
        try:
            found = self._images.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def image(self, name: str) -> Image | None:
        """What is known of an image, if nothing has changed since."""
        return self._known.get(name) if self.stamp() == self._known_at else None

    def keep(self, name: str, image: Image, stamp: Stamp | None) -> None:
        if stamp is None:
            return
        if stamp != self._known_at or len(self._known) >= MAX_IMAGES:
            self._known, self._known_at = {}, stamp
        self._known[name] = image

    def doubt(self) -> None:
        """Something could not be made of an image: its files may be damaged."""
        self._known, self._known_at = {}, None
