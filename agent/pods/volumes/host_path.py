"""hostPath: a path of the node itself, checked or made as its type says. As pkg/volume/hostpath."""

import stat
from collections.abc import Callable
from pathlib import Path

from agent.pods.environment import ConfigError
from agent.pods.threads import in_thread
from agent.pods.volumes.local_path import LocalPath
from agent.pods.volumes.plugin import Provided, Wanted


class HostPath:
    types = ("hostPath",)

    def __init__(self, local: LocalPath) -> None:
        self._local = local

    async def set_up(self, wanted: Wanted) -> Provided:
        path = Path(str(wanted.source["path"]))
        wanted.refuse_options()
        await in_thread(lambda: self._local.make(wanted.volume, path))
        await in_thread(lambda: check_host_path(path, wanted.source.get("type") or ""))
        return Provided(path=path, read_only=wanted.read_only)

    async def tear_down(self, directory: Path) -> None:
        pass


_CHECKS: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def check_host_path(path: Path, kind: str) -> None:
    """Makes ...OrCreate kinds where nothing is there, and checks what is."""
    if kind in ("", "DirectoryOrCreate") and not path.exists():
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    if kind == "":
        return
    known = _CHECKS.get(kind.removesuffix("OrCreate"))
    if known is None:
        raise ConfigError(f"hostPath type {kind!r} is not known")
    check, what = known
    if not path.exists() or not check(path.stat().st_mode):
        raise ConfigError(f"hostPath type check failed: {path} is not {what}")
