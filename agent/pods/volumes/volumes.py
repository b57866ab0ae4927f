"""A pod's volumes on disk: ``<root>/<uid>/volumes/<type>/<name>``.

``prepare`` may be called again at any time and then only brings them up to date. It runs in a
task of its own, because a file server may hang; deleting the pod cancels it. What a type needs is
its plugin's; here is what all have in common: claims, fsGroup, and taking away.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from agent.pods.environment import ConfigError, Surroundings
from agent.pods.mount_plan import shm_dir
from agent.pods.mounts import MountError, bind_handle, remove_unmounted, unmount_below
from agent.pods.sources import NotSynced
from agent.pods.threads import LongWork
from agent.pods.tokens import Tokens
from agent.pods.volumes.claims import (
    check_mode,
    claim_key,
    holder,
    how_used,
    is_single,
    matches_node,
    resolve,
)
from agent.pods.volumes.objects import fs_group
from agent.pods.volumes.ownership import own
from agent.pods.volumes.plugin import (
    Mounter,
    Pending,
    Provided,
    VolumeError,
    VolumePlugin,
    Wanted,
)
from agent.pods.volumes.subpath import Bind, bind_sub_path
from edgek.api.errors import ApiError
from edgek.api.meta import Key, Obj, get_path, name, uid

SHM_OPTIONS = ("nosuid", "nodev", "noexec", "mode=1777", "size=64m")
"""As containerd makes it for a sandbox."""
WALKS, REMOVALS = 8, 4
"""Of large volumes at a time: for an fsGroup, and to take all away. Neither waits for the other."""


class Volumes:
    def __init__(
        self,
        root: Path,
        plugins: Iterable[VolumePlugin],
        *,
        tokens: Tokens,
        mount: Mounter,
        bind: Bind = bind_handle,
        started: Callable[[], Iterable[Obj]] = tuple,
        warn: Callable[[Obj, str, str], None] = lambda pod, reason, message: None,
    ) -> None:
        """``started``: pods that have containers. After a restart they hold what they had.
        ``warn`` is an event of a pod."""
        self._warn = warn
        self._started = started
        self._bind = bind
        self.root = root
        self.tokens = tokens
        self._mount = mount
        self._plugins = {kind: plugin for plugin in plugins for kind in plugin.types}
        self._provided: dict[str, dict[str, Provided]] = {}
        self._owned: set[tuple[str, Path]] = set()
        """Pods' uids, and paths that got their fsGroup."""
        self._walks = LongWork(at_once=WALKS)
        self._removals = LongWork(at_once=REMOVALS)
        self._taken: dict[Key, str] = {}
        """Claims that one pod alone may use -> the uid of that pod."""

    def pod_dir(self, pod_uid: str) -> Path:
        return self.root / pod_uid

    def get(self, pod_uid: str, volume_name: str) -> Provided:
        """A volume that ``prepare`` has made."""
        found = self._provided.get(pod_uid, {}).get(volume_name)
        if found is None:
            raise VolumeError(f'volume "{volume_name}" is not set up')
        return found

    def sub_path(
        self, pod_uid: str, volume_name: str, relative: str, place: str, *, read_only: bool = False
    ) -> Path:
        """A path inside a volume. ``place`` tells the mounts of a pod apart; ``read_only``: and
        all that is mounted in it. Blocking."""
        target = self.pod_dir(pod_uid) / "volume-subpaths" / volume_name / place
        volume = self.get(pod_uid, volume_name).path
        return bind_sub_path(volume, relative, target, bind=self._bind, read_only=read_only)

    async def prepare(self, pod: Obj, around: Surroundings, *, owned: bool = False) -> None:
        """Raises VolumeError with what is wrong with the first volume that cannot be had.
        ``owned``: the pod has had its volumes, whose files are its own since then."""
        for volume in get_path(pod, "spec", "volumes", default=[]):
            provided = await self._prepare(pod, volume, around, owned=owned)
            self._provided.setdefault(uid(pod), {})[volume["name"]] = provided

    async def _prepare(
        self, pod: Obj, volume: Obj, around: Surroundings, *, owned: bool
    ) -> Provided:
        try:
            wanted = self._wanted(pod, volume, around)
        except (VolumeError, NotSynced) as err:
            # What a pod has it keeps: its claim may be on its way out, and waits for the pod.
            if held := self._provided.get(uid(pod), {}).get(volume["name"]):
                return held
            raise VolumeError(_not_processed(volume, err)) from None
        plugin = self._plugins.get(wanted.type)
        shown = name(wanted.volume) if wanted.volume is not None else wanted.name
        failed = f'MountVolume.SetUp failed for volume "{shown}" : '
        if plugin is None:
            raise VolumeError(f"{failed}volumes of type {wanted.type} are not supported")
        self._check_affinity(wanted, around)
        try:
            provided = await plugin.set_up(wanted)
            if not owned:
                await self._own(wanted, provided)
        except Pending:
            raise
        except NotSynced:
            kind = wanted.type
            raise VolumeError(f"{failed}failed to sync {kind} cache: {kind} not seen yet") from None
        except (VolumeError, ConfigError, MountError, ApiError, OSError, TimeoutError) as err:
            raise VolumeError(failed + _worded(err)) from err
        return provided

    def _check_affinity(self, wanted: Wanted, around: Surroundings) -> None:
        """What a pod has it keeps, whatever the node's labels are by now."""
        has = wanted.name in self._provided.get(uid(wanted.pod), {})
        if wanted.volume is None or has or matches_node(wanted.volume, around.node):
            return
        what = f'MountVolume.NodeAffinity check failed for volume "{name(wanted.volume)}" : '
        raise VolumeError(f"{what}no matching NodeSelectorTerms")

    async def _own(self, wanted: Wanted, provided: Provided) -> None:
        """Once for a pod: it may be long work, and what the pod changes afterwards is its own."""
        group, done = fs_group(wanted.pod), (uid(wanted.pod), provided.path)
        if group is None or not provided.owned or provided.read_only or done in self._owned:
            return
        policy = get_path(wanted.pod, "spec", "securityContext", "fsGroupChangePolicy")
        where = f"{uid(wanted.pod)}/volumes/{wanted.type}/{wanted.name}"

        def tell(how: str) -> None:
            text = f"Setting volume ownership for {where}{how}"
            self._warn(wanted.pod, "VolumePermissionChangeInProgress", text)

        await own(provided.path, group, policy=policy or "Always", tell=tell, run=self._walks.run)
        self._owned.add(done)

    def _wanted(self, pod: Obj, volume: Obj, around: Surroundings) -> Wanted:
        found = resolve(pod, volume, around.lookup)
        label = str(volume["name"])
        if found.volume is not None:
            check_mode(pod, label, found.volume)
            self._take(pod, volume, found.volume)
        elif "volumeDevices" in how_used(pod, label):
            raise VolumeError(
                f"volume {label} has volumeMode Filesystem, but is specified in volumeDevices"
            )
        return Wanted(
            pod=pod,
            name=label,
            type=found.type,
            source=found.source,
            directory=self.pod_dir(uid(pod)) / "volumes" / found.type / label,
            around=around,
            read_only=found.read_only,
            claim=found.claim,
            volume=found.volume,
        )

    def _take(self, pod: Obj, volume: Obj, persistent: Obj) -> None:
        key = claim_key(pod, volume)
        if key is None or not is_single(persistent):
            return
        if key not in self._taken:
            self._taken[key] = holder(key, self._started()) or uid(pod)
        if self._taken[key] != uid(pod):
            raise VolumeError(
                "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
            )

    async def make_shm(self, pod_uid: str) -> None:
        """The pod's /dev/shm; nothing to do where it is there."""
        path = shm_dir(self.pod_dir(pod_uid))
        await asyncio.to_thread(path.mkdir, parents=True, exist_ok=True)
        await self._mount("shm", path, kind="tmpfs", options=SHM_OPTIONS)

    async def remove(self, pod_uid: str, *, keep_files: bool = False) -> None:
        """Unmounts and removes everything of the pod; again, where it failed. With ``keep_files``
        what lies on this machine's disk stays."""
        self.tokens.forget(pod_uid)
        self._provided.pop(pod_uid, None)
        for directory in await asyncio.to_thread(_directories, self.pod_dir(pod_uid)):
            plugin = self._plugins.get(directory.parent.name)
            if plugin is not None:
                await plugin.tear_down(directory)
        await unmount_below(self.pod_dir(pod_uid))
        if not keep_files:
            await self._removals.run(lambda: remove_unmounted(self.pod_dir(pod_uid)))
        self._owned = {done for done in self._owned if done[0] != pod_uid}
        self._taken = {key: user for key, user in self._taken.items() if user != pod_uid}

    def left_over(self) -> list[str]:
        """Uids of pods that still have a directory."""
        return [p.name for p in self.root.iterdir()] if self.root.is_dir() else []


def _directories(pod_dir: Path) -> list[Path]:
    """What ``Wanted.directory`` was for each volume of a pod; found by names alone, because what
    is mounted there may hang."""
    types = pod_dir / "volumes"
    return [one for kind in types.iterdir() for one in kind.iterdir()] if types.is_dir() else []


def _worded(err: Exception) -> str:
    """Without the marks of Python's own."""
    if isinstance(err, OSError) and err.strerror:
        return f"{err.filename}: {err.strerror.lower()}" if err.filename else err.strerror.lower()
    return str(err) or type(err).__name__


def _not_processed(volume: Obj, why: Exception) -> str:
    """As WaitForAttachAndMount, when a claim cannot be used."""
    own = volume["name"]
    return (f"Unable to attach or mount volumes: unmounted volumes=[{own}], unattached volumes=[], "
            f"failed to process volumes=[{own}]: {why}")  # fmt: skip
