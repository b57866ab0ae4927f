"""Where a container is put: namespaces, cgroup, directories. What makes its spec reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from agent.runtime.runtime import Namespaces
from edgek.api.meta import Obj


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a container is put. ``volume_path(volume)`` and ``sub_path(dir, relative)`` find
    the host's directories; ``pod_dir`` has the pod's own /etc files, /dev/shm and messages."""

    namespaces: Namespaces
    cgroup_parent: str
    log_root: Path
    pod_dir: Path
    seccomp_root: Path
    node_memory: Fraction
    volume_path: Callable[[Obj], Path]
    sub_path: Callable[[Path, str], Path]
