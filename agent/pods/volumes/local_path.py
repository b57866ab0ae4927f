"""Directories of local-path volumes: ``<data dir>/storage/<volume>_<namespace>_<claim>``.

Made when first mounted, for everybody to write in, as local-path-provisioner does; removed when
the claim is gone (``reclaim.py``). How much is written is not limited. Which directory it is
follows from the volume's identity, never from a path in it, so nothing else can be removed.
"""

from pathlib import Path

from agent.pods.mounts import MountError, run_child
from edgek.api.meta import Obj
from edgek.kinds.provisioned import LOCAL_PATH, local_directory, provisioned_by

REMOVE_SECONDS = 600.0
LEAVING = ".removed-"


class LocalPath:
    def __init__(self, root: Path) -> None:
        self.root = root

    def make(self, volume: Obj | None, path: Path) -> None:
        """Where ``path`` is a volume of ours it is made; all else is left as it is. Blocking."""
        if volume is None or provisioned_by(volume) != LOCAL_PATH:
            return
        if path != self.root / local_directory(volume) or path.is_dir():
            return
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir()
        path.chmod(0o777)

    async def remove(self, volume: Obj) -> None:
        """Nothing where it is gone. Raises MountError, to be called again."""
        name = local_directory(volume)
        if "/" in name or name.startswith("."):
            raise MountError(f"{name!r} is no name of a directory")
        leaving = self.root / (LEAVING + name)
        if (self.root / name).is_dir():
            (self.root / name).rename(leaving)  # nobody meets a half of it
        command = ["rm", "-rf", "--one-file-system", "--", str(leaving)]
        code, said = await run_child(command, seconds=REMOVE_SECONDS)
        if code != 0:
            raise MountError(f"removing {leaving} failed: {said or f'exit status {code}'}")
