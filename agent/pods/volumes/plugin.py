"""What a volume type must do: ``VolumePlugin``, one for each, listed in ``table.py``.

``set_up`` is called again and again for one volume (at each change of what the pod refers to, by
each life of the agent) and must then only bring it up to date. ``tear_down`` knows no more than
the directory: the pod may be long forgotten, so what a plugin must remember it keeps there.
Both may take as long as they need, but never for ever; cancelling them must be harmless.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from agent.pods.environment import Surroundings
from agent.pods.state import Waiting
from agent.stats.usage import Filesystem
from edgek.api.meta import Obj, get_path


class VolumeError(Exception):
    """Why a volume cannot be had, fit for event FailedMount."""


class Pending(VolumeError):
    """It is on its way, and what is wrong is told already: no event. ``waiting`` is what the
    containers that mount ``volume`` wait for; ``retry_at``: not to be asked for before."""

    def __init__(self, waiting: Waiting, *, volume: str, retry_at: datetime) -> None:
        super().__init__(waiting.message)
        self.waiting, self.volume, self.retry_at = waiting, volume, retry_at


class Mounter(Protocol):
    """``mounts.mount``, or a test's."""

    async def __call__(
        self,
        source: str,
        target: Path,
        *,
        kind: str,
        options: tuple[str, ...] = (),
        enter: tuple[str, ...] = (),
    ) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One volume of a pod. ``source`` is the part of the pod's volume, or of the
    PersistentVolume its claim is bound to, that is named by the type. ``directory`` is the
    plugin's own (``<pod dir>/volumes/<type>/<name>``), and not made yet."""

    pod: Obj
    name: str
    type: str
    source: Obj
    directory: Path
    around: Surroundings
    read_only: bool = False
    claim: Obj | None = None
    volume: Obj | None = None

    @property
    def mount_options(self) -> tuple[str, ...]:
        """Those of the PersistentVolume, as mount(8) takes them."""
        options = get_path(self.volume, "spec", "mountOptions", default=()) if self.volume else ()
        return (*(("ro",) if self.read_only else ()), *options)

    def refuse_options(self) -> None:
        """For what is not mounted: options would be ignored."""
        if self.volume and get_path(self.volume, "spec", "mountOptions"):
            raise VolumeError("mount options are not supported for this volume type")

    @property
    def block(self) -> bool:
        """Whether a device is wanted, and no file system."""
        mode = get_path(self.volume, "spec", "volumeMode") if self.volume else None
        return bool(mode == "Block")


@dataclass(frozen=True, kw_only=True)
class Provided:
    """A volume that is there. ``path`` is what containers mount (``device``: the device node).
    ``no_exec``: nothing in it may be run. ``measure``: who knows better than the file system how
    full it is; None where that cannot be said now.
    ``owned``: the pod's fsGroup is to own what is in it, as upstream has it for this type."""

    path: Path
    read_only: bool = False
    device: bool = False
    owned: bool = False
    no_exec: bool = False
    measure: Callable[[], Awaitable[Filesystem | None]] | None = None


class VolumePlugin(Protocol):
    @property
    def types(self) -> tuple[str, ...]:
        """The fields of a pod's volume or of a PersistentVolume's spec that it serves."""

    async def set_up(self, wanted: Wanted) -> Provided:
        """Raises VolumeError, ConfigError, MountError, ApiError, OSError or TimeoutError with
        what is wrong; it is tried again later."""

    async def tear_down(self, directory: Path) -> None:
        """Before ``directory`` is unmounted and removed. Raises MountError to be called again."""
