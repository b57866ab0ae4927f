"""Pods that use more local storage than they may, by their own limits. Pure.

As eviction_manager.go localStorageEviction: the size of an emptyDir, of the whole pod, of one
container's logs and writable layer. An emptyDir in memory is a tmpfs of that size and needs none
of this.
"""

from collections.abc import Mapping
from fractions import Fraction

from agent.pressure.ranking import PodUsage
from edgek.api.meta import Obj, get_path
from edgek.api.quantity import canonical, format_quantity, parse_quantity
from edgek.kinds.pods import containers, pod_limits

STORAGE = "ephemeral-storage"
SHORTEST, LONGEST = 30.0, 300.0


def empty_dirs(pod: Obj) -> dict[str, str]:
    """The size limits of emptyDirs on disk, by volume."""
    return {
        volume["name"]: str(volume["emptyDir"]["sizeLimit"])
        for volume in get_path(pod, "spec", "volumes", default=[])
        if "emptyDir" in volume
        and (volume["emptyDir"] or {}).get("sizeLimit")
        and volume["emptyDir"].get("medium") != "Memory"
        and parse_quantity(volume["emptyDir"]["sizeLimit"]) > 0
    }


def has_limits(pod: Obj) -> bool:
    return bool(empty_dirs(pod)) or STORAGE in pod_limits(pod)


def exceeded(pod: Obj, usage: PodUsage, *, dedicated_image_fs: bool) -> str:
    """Which limit the pod is above, in the kubelet's words; "" where it is above none."""
    for name, size in empty_dirs(pod).items():
        if usage.volumes.get(name, 0) > parse_quantity(size):
            return f'Usage of EmptyDir volume "{name}" exceeds the limit "{canonical(size)}". '
    total = pod_limits(pod).get(STORAGE)
    if total is not None and usage.disk > total:
        text = format_quantity(total, binary=True)
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {text}. "
    for container in containers(pod):
        limit = get_path(container, "resources", "limits", STORAGE)
        own = usage.containers.get(container["name"])
        if limit is None or own is None or not parse_quantity(limit):
            continue
        if own.logs + (0 if dedicated_image_fs else own.root) > parse_quantity(limit):
            return (
                f"Container {container['name']} exceeded its local ephemeral storage limit "
                f'"{canonical(limit)}". '
            )
    return ""


def slack(pod: Obj, usage: PodUsage) -> Fraction:
    """How much the pod may still write before any of its limits can be passed."""
    left = [parse_quantity(s) - usage.volumes.get(n, 0) for n, s in empty_dirs(pod).items()]
    total = pod_limits(pod).get(STORAGE)
    if total is not None:
        left.append(total - usage.disk)
    own_limits: Mapping[str, Fraction] = {
        c["name"]: parse_quantity(limit)
        for c in containers(pod)
        if (limit := get_path(c, "resources", "limits", STORAGE)) is not None
    }
    for name, limit in own_limits.items():
        own = usage.containers.get(name)
        left.append(limit - (own.logs + own.root if own else 0))
    return max(min(left, default=Fraction(0)), Fraction(0))


def walk_due(*, age: float, took: float, filled: int, slack: Fraction) -> bool:
    """Whether the directories of pods with limits are to be measured again. ``age``: seconds since
    that was done and ``took`` so long; ``filled``: by how much disks became fuller since, which
    bounds what a pod can have written unless something else was deleted."""
    if age < max(SHORTEST, took * 100):
        return False
    return age >= LONGEST or 2 * filled >= slack
