"""emptyDir: a directory that lives as long as the pod, on disk, in memory or in huge pages.

As pkg/volume/emptydir. The size of one on disk is watched by eviction, not here.
"""

from fractions import Fraction
from pathlib import Path

from agent.pods.threads import in_thread
from agent.pods.volumes.plugin import Mounter, Provided, VolumeError, Wanted
from edgek.api.meta import Obj
from edgek.api.quantity import parse_quantity, value
from edgek.kinds.pods import containers, init_containers

HUGE_PAGES = "HugePages"


def tmpfs_options(wanted: Wanted) -> tuple[str, ...]:
    """As calculateEmptyDirMemorySize: no larger than what the node can give, the pod's memory
    limit where every container has one, and sizeLimit."""
    sizes = [value(s) for s in (wanted.source.get("sizeLimit"),) if s and value(s)]
    limit = pod_memory_limit(wanted.pod)
    node = (wanted.around.allocatable or {}).get("memory")
    sizes += [limit] if limit else []
    sizes += [value(node)] if node else []
    return ("mode=0777", *([f"size={min(sizes)}"] if sizes else []))


def pod_memory_limit(pod: Obj) -> int:
    """Bytes; 0 where a container may use what it likes. As PodLimits."""
    own = (pod["spec"].get("resources") or {}).get("limits") or {}
    if own.get("memory"):
        return value(own["memory"])
    found = [_memory_limit(c) for c in containers(pod)]
    starts = [_memory_limit(c) for c in init_containers(pod)]
    return 0 if not all(found) else int(max(sum(found), *starts, 0))


def _memory_limit(container: Obj) -> Fraction:
    limits = (container.get("resources") or {}).get("limits") or {}
    return parse_quantity(limits.get("memory") or 0)


def huge_page_size(pod: Obj, volume: str, medium: str) -> str:
    """Bytes, as text. As getPageSizeMountOption: of the medium, or the one size the pod asks."""
    if medium != HUGE_PAGES:
        return str(value(medium.removeprefix(f"{HUGE_PAGES}-")))
    sizes = {
        resource.removeprefix("hugepages-")
        for c in (*containers(pod), *init_containers(pod))
        for resource in (c.get("resources") or {}).get("requests") or {}
        if resource.startswith("hugepages-")
    }
    if len(sizes) != 1:
        raise VolumeError(
            f'medium "{HUGE_PAGES}" of volume {volume} needs exactly one size of huge pages '
            f"among the pod's requests, not {len(sizes)}"
        )
    return str(value(sizes.pop()))


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
            await self._mount("tmpfs", path, kind="tmpfs", options=tmpfs_options(wanted))
        elif medium.startswith(HUGE_PAGES):
            options = (f"pagesize={huge_page_size(wanted.pod, wanted.name, medium)}",)
            await self._mount("nodev", path, kind="hugetlbfs", options=options)
        elif medium:
            raise VolumeError(f'unknown storage medium "{medium}"')
        return Provided(path=path, owned=True)

    async def tear_down(self, directory: Path) -> None:
        pass
