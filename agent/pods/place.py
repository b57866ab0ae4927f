"""Where a container is put: namespaces, cgroup, directories. What makes its spec reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from agent.pods.isolation import NodeSecurity
from agent.pods.volumes.plugin import Provided
from agent.runtime.runtime import IdRange, Namespaces


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a container is put. ``volume(name)`` and ``sub_path(name, relative, place)`` find
    what is mounted, ``read_only_tree`` the same with all below it read-only; ``pod_dir`` has the
    pod's own /etc files, /dev/shm and messages. ``check_shared(path, propagation)`` raises where
    mounts cannot pass."""

    namespaces: Namespaces
    cgroup_parent: str
    log_root: Path
    pod_dir: Path
    security: NodeSecurity
    node_memory: Fraction
    volume: Callable[[str], Provided]
    sub_path: Callable[[str, str, str], Path]
    read_only_tree: Callable[[str, str, str], Path]
    check_shared: Callable[[Path, str], None] = lambda path, propagation: None
    handler: str = ""
    id_range: IdRange | None = None
