"""emptyDir: a directory that lives as long as the pod, on disk, in memory or in huge pages.

As pkg/volume/emptydir. The size of one on disk is watched by eviction, not here.
"""

from pathlib import Path

from agent.pods.environment import ConfigError
from agent.pods.volumes.plugin import Mounter, Provided, Wanted, in_thread
from edgek.api.quantity import value


class EmptyDir:
    types = ("emptyDir",)

    def __init__(self, mount: Mounter) -> None:
        self._mount = mount

    async def set_up(self, wanted: Wanted) -> Provided:
        path, medium = wanted.directory, wanted.source.get("medium") or ""

        def make() -> None:
            if not path.is_dir():
                path.mkdir(parents=True)
                path.chmod(0o777)  # any user of the pod may write

        await in_thread(make)
        if medium == "Memory":
            limit = wanted.source.get("sizeLimit")
            options = ("mode=0777", *([f"size={value(limit)}"] if limit else []))
            await self._mount("tmpfs", path, kind="tmpfs", options=options)
        elif medium:
            raise ConfigError(f"unknown storage medium {medium!r}")
        return Provided(path=path, owned=True)

    async def tear_down(self, directory: Path) -> None:
        pass
