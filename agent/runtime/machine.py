"""Machine: what this machine permits, found once at start.

Containers and CI machines often lack CAP_SYS_RESOURCE, Raspberry Pi OS boots without the memory
controller, and some trees mix cgroup v1 and v2. The agent fits itself to what it finds;
``shortcomings`` are the words for the one line that says what it could not have.
"""

import os
import re
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
_CAP_SYS_RESOURCE = 24
APPARMOR = Path("/sys/module/apparmor/parameters/enabled")
MAX_USER_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")
HUGE_PAGES = Path("/sys/kernel/mm/hugepages")
USER_NAMESPACES_SINCE = (6, 3)
"""As upstream: from then on tmpfs too can be mounted with other ids."""
MOUNT_ATTRIBUTES_SINCE = (5, 12)
_HINTS = {"memory": " (boot with cgroup_enable=memory)"}
"""Raspberry Pi OS boots with ``cgroup_disable=memory``."""
_NOFILE = 1_048_576
"""What container engines commonly give."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    cgroup_v2: bool = True
    hybrid: bool = False
    """A v1 tree with a v2 tree beside it, which crun refuses."""
    controllers: frozenset[str] = frozenset({"cpu", "memory", "pids"})
    swap_accounting: bool = False
    sys_resource: bool = True
    nofile: int = _NOFILE
    nproc: int = 32768
    apparmor: bool = False
    user_namespaces: bool = True
    huge_pages: tuple[int, ...] = ()
    """Sizes of pages that some are set aside of."""
    recursive_read_only: bool = True
    """A whole tree of mounts can be made read-only at once."""
    oom_score_floor: int = -1000
    """Without CAP_SYS_RESOURCE a process may not go below its own score."""

    def has(self, controller: str) -> bool:
        return controller in self.controllers

    def lacks(self) -> dict[str, str]:
        """The controllers of limits that the kernel does not offer, in words."""
        return {
            name: f"no {name} cgroup controller{_HINTS.get(name, '')}"
            for name in ("cpu", "memory", "pids")
            if not self.has(name)
        }

    def shortcomings(self) -> Iterator[str]:
        if not self.sys_resource:
            yield (
                f"no CAP_SYS_RESOURCE (open files limited to {self.nofile}, "
                f"OOM scores below {self.oom_score_floor} not set)"
            )
        for name, lack in self.lacks().items():
            yield f"{lack}, {name} limits not kept"
        if self.hybrid:
            yield "hybrid cgroups (Podman runs in a mount namespace of its own)"


def look_at_machine(*, cgroup: Path = CGROUP, proc: Path = Path("/proc")) -> Machine:
    v2 = (cgroup / "cgroup.controllers").exists()
    capable = bool(_effective_capabilities(proc) >> _CAP_SYS_RESOURCE & 1)
    pid_max = int((proc / "sys/kernel/pid_max").read_text())
    nofile_hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    nproc_hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    nr_open = int((proc / "sys/fs/nr_open").read_text())
    # Podman lowers its own hard NPROC to pid_max when it starts, and crun may not go above.
    nproc = pid_max if capable or nproc_hard < 0 else min(nproc_hard, pid_max)
    nofile = min(_NOFILE, nr_open) if capable or nofile_hard < 0 else nofile_hard
    return Machine(
        cgroup_v2=v2,
        hybrid=not v2 and (cgroup / "unified/cgroup.procs").exists(),
        controllers=frozenset(_controllers(cgroup, v2=v2)),
        swap_accounting=_swap_accounting(cgroup, v2=v2),
        sys_resource=capable,
        nofile=nofile,
        nproc=nproc,
        apparmor=_says(APPARMOR, "Y"),
        user_namespaces=_kernel() >= USER_NAMESPACES_SINCE and not _says(MAX_USER_NAMESPACES, "0"),
        huge_pages=tuple(_huge_pages()),
        recursive_read_only=_kernel() >= MOUNT_ATTRIBUTES_SINCE,
        oom_score_floor=-1000 if capable else int((proc / "self/oom_score_adj").read_text()),
    )


def _huge_pages(root: Path = HUGE_PAGES) -> Iterator[int]:
    for directory in sorted(root.glob("hugepages-*kB")):
        if not _says(directory / "nr_hugepages", "0"):
            yield int(directory.name.removeprefix("hugepages-").removesuffix("kB")) * 1024


def _says(path: Path, text: str) -> bool:
    try:
        return path.read_text().strip() == text
    except OSError:
        return False


def _kernel() -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2])


def _controllers(cgroup: Path, *, v2: bool) -> list[str]:
    if v2:
        return (cgroup / "cgroup.controllers").read_text().split()
    return [p.name for p in cgroup.iterdir() if (p / "cgroup.procs").exists()]


def _swap_accounting(cgroup: Path, *, v2: bool) -> bool:
    if v2:  # the root has no such file; any child with the memory controller has
        return any(cgroup.glob("*/memory.swap.max"))
    return (cgroup / "memory/memory.memsw.limit_in_bytes").exists()


def _effective_capabilities(proc: Path) -> int:
    for line in (proc / "self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
