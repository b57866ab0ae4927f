"""A pod's volumes on disk: ``<root>/<uid>/volumes/<type>/<name>``.

``prepare`` may be called again at any time and then only brings files up to date. It runs in a
task of its own, because an NFS server may hang; deleting the pod cancels it. Which types there
are is the table MAKERS; all others are refused by name.
"""

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from agent.pods.environment import ConfigError, Surroundings
from agent.pods.mount_plan import shm_dir
from agent.pods.mounts import MountError, mount, remove_tree
from agent.pods.payload import volume_payload, write_payload
from agent.pods.sources import NotSynced
from agent.pods.tokens import Tokens
from edgek.api.errors import ApiError
from edgek.api.meta import Obj, get_path, uid
from edgek.api.quantity import value


class Mounter(Protocol):
    """``mounts.mount``, or a test's."""

    async def __call__(
        self, source: str, target: Path, *, kind: str, options: tuple[str, ...] = ()
    ) -> None: ...


SHM_OPTIONS = ("nosuid", "nodev", "noexec", "mode=1777", "size=64m")
"""As containerd makes it for a sandbox."""
PAYLOADS = ("configMap", "secret", "downwardAPI", "projected")
THREAD_SECONDS = 20.0


class VolumeError(Exception):
    """Why a volume cannot be set up: event FailedMount."""


def volume_type(volume: Obj) -> str:
    return next((k for k in volume if k != "name"), "emptyDir")


class Volumes:
    def __init__(self, root: Path, tokens: Tokens, *, mount: Mounter = mount) -> None:
        self.root = root
        self._mount = mount
        self.tokens = tokens
        self._makers: dict[str, Callable[[Obj, Obj, Path], Awaitable[None]]] = {
            "emptyDir": self._empty_dir,
            "hostPath": self._host_path,
            "nfs": self._nfs,
        }

    def pod_dir(self, pod_uid: str) -> Path:
        return self.root / pod_uid

    def path(self, pod_uid: str, volume: Obj) -> Path:
        if "hostPath" in volume:
            return Path(str(volume["hostPath"]["path"]))
        return self.pod_dir(pod_uid) / "volumes" / volume_type(volume) / str(volume["name"])

    async def prepare(self, pod: Obj, around: Surroundings) -> None:
        """Raises VolumeError with what is wrong with the first volume that cannot be had."""
        for volume in get_path(pod, "spec", "volumes", default=[]):
            try:
                await self._prepare(pod, volume, around)
            except NotSynced:
                kind = volume_type(volume)
                raise _failed(volume, f"failed to sync {kind} cache: {kind} not seen yet") from None
            except (ConfigError, MountError, ApiError, OSError, TimeoutError) as err:
                raise _failed(volume, str(err) or type(err).__name__) from err

    async def _prepare(self, pod: Obj, volume: Obj, around: Surroundings) -> None:
        kind = volume_type(volume)
        path = self.path(uid(pod), volume)
        if kind in PAYLOADS:
            await self._payload(pod, volume, path, around)
        elif kind in self._makers:
            await self._makers[kind](pod, volume, path)
        else:
            raise ConfigError(f"volumes of type {kind} are not supported")

    async def make_shm(self, pod_uid: str) -> None:
        """The pod's /dev/shm; nothing to do where it is there."""
        path = shm_dir(self.pod_dir(pod_uid))
        await _in_thread(lambda: path.mkdir(parents=True, exist_ok=True))
        await self._mount("shm", path, kind="tmpfs", options=SHM_OPTIONS)

    async def remove(self, pod_uid: str) -> None:
        """Unmounts and removes everything of the pod; again, where it failed."""
        self.tokens.forget(pod_uid)
        await remove_tree(self.pod_dir(pod_uid))

    def left_over(self) -> list[str]:
        """Uids of pods that still have a directory."""
        return [p.name for p in self.root.iterdir()] if self.root.is_dir() else []

    async def _payload(self, pod: Obj, volume: Obj, path: Path, around: Surroundings) -> None:
        tokens: dict[int, bytes] = {}
        for source in get_path(volume, "projected", "sources", default=[]):
            if own := source.get("serviceAccountToken"):
                file = path / own["path"]
                old = await asyncio.to_thread(_read, file)
                tokens[id(own)] = await self.tokens.get(pod, own, old=old)
        payload = volume_payload(pod, volume, around, token=lambda own: tokens[id(own)])
        assert payload is not None

        def write() -> None:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)
            write_payload(path, payload, gid=fs_group(pod))

        await _in_thread(write)

    async def _empty_dir(self, pod: Obj, volume: Obj, path: Path) -> None:
        source = volume.get("emptyDir") or {}

        def make() -> None:
            if path.is_dir():
                return
            path.mkdir(parents=True)
            path.chmod(0o777)  # as emptydir.go: any user of the pod may write
            if (gid := fs_group(pod)) is not None:
                os.chown(path, -1, gid)
                path.chmod(0o2777)

        await _in_thread(make)
        if source.get("medium") == "Memory":
            limit = source.get("sizeLimit")
            options = ("mode=0777", *([f"size={value(limit)}"] if limit else []))
            await self._mount("tmpfs", path, kind="tmpfs", options=options)
        elif source.get("medium"):
            raise ConfigError(f"unknown storage medium {source['medium']!r}")

    async def _host_path(self, pod: Obj, volume: Obj, path: Path) -> None:
        await _in_thread(lambda: check_host_path(path, volume["hostPath"].get("type") or ""))

    async def _nfs(self, pod: Obj, volume: Obj, path: Path) -> None:
        source = volume["nfs"]
        await _in_thread(lambda: path.mkdir(parents=True, exist_ok=True) if not
                         path.parent.is_dir() or path.name not in os.listdir(path.parent)
                         else None)  # fmt: skip
        options = ("ro",) if source.get("readOnly") else ()
        await self._mount(f"{source['server']}:{source['path']}", path, kind="nfs", options=options)


def _failed(volume: Obj, why: str) -> VolumeError:
    return VolumeError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {why}')


async def _in_thread(work: Callable[[], None]) -> None:
    """A path of the host may lie on a server that hangs: the thread is then given up."""
    async with asyncio.timeout(THREAD_SECONDS):
        await asyncio.to_thread(work)


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def fs_group(pod: Obj) -> int | None:
    group = get_path(pod, "spec", "securityContext", "fsGroup")
    return int(group) if group is not None else None


_CHECKS: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def check_host_path(path: Path, kind: str) -> None:
    """As pkg/volume/hostpath: makes ...OrCreate kinds, checks the others."""
    if kind == "DirectoryOrCreate" or (kind == "" and not path.exists()):
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        return
    if kind == "FileOrCreate":
        path.touch(mode=0o644, exist_ok=True)
        return
    if kind == "":
        return
    if kind not in _CHECKS:
        raise ConfigError(f"hostPath type {kind!r} is not known")
    check, what = _CHECKS[kind]
    if not path.exists() or not check(path.stat().st_mode):
        raise ConfigError(f"hostPath type check failed: {path} is not {what}")


def sub_path(volume_dir: Path, relative: str) -> Path:
    """A path inside a volume, made where it is missing; links may not lead out of the volume."""
    if Path(relative).is_absolute() or ".." in Path(relative).parts:
        raise VolumeError(f"failed to prepare subPath {relative}: must stay inside the volume")
    root = volume_dir.resolve()
    target = (volume_dir / relative).resolve()
    if target != root and root not in target.parents:
        raise VolumeError(f"failed to prepare subPath {relative}: it leads out of the volume")
    if not target.exists():
        target.mkdir(mode=0o755, parents=True)
    return target
