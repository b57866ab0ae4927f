"""What this machine is, read once from /proc and /sys: the Node object's nodeInfo, and what there
is of each resource."""

import os
import platform
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import edgek
from agent.stats.node import max_pids
from edgek.api.meta import Obj

KUBELET_VERSION = f"v1.37.0+edgek{edgek.__version__}"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm"}
HUGE_PAGES = Path("/sys/kernel/mm/hugepages")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Bytes. ``hugepages`` by resource name; ``board`` is the model's name, "" where the machine
    tells none, ``pids`` how many processes there may be."""

    hostname: str
    architecture: str
    cpus: int
    memory: int
    storage: int
    info: Obj
    hugepages: Mapping[str, int] = field(default_factory=dict)
    board: str = ""
    pids: int = 0


def look_at_node(data_dir: Path, *, runtime_version: str = "") -> Facts:
    machine = platform.machine()
    architecture = ARCHITECTURES.get(machine, machine)
    disk = os.statvfs(data_dir if data_dir.exists() else "/")
    swap = _swap()
    return Facts(
        hostname=socket.gethostname(),
        architecture=architecture,
        cpus=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        storage=disk.f_frsize * disk.f_blocks,
        hugepages=_hugepages(),
        board=_board(),
        pids=max_pids(),
        info={
            "architecture": architecture,
            "bootID": _read("/proc/sys/kernel/random/boot_id"),
            "containerRuntimeVersion": f"podman://{runtime_version}",
            "kernelVersion": platform.release(),
            "kubeProxyVersion": "",
            "kubeletVersion": KUBELET_VERSION,
            "machineID": _read("/etc/machine-id"),
            "operatingSystem": "linux",
            "osImage": _os_image(),
            "systemUUID": _read("/sys/class/dmi/id/product_uuid") or _read("/etc/machine-id"),
            **({"swap": {"capacity": swap}} if swap else {}),
        },
    )


def _os_image() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def _swap() -> int:
    found = re.search(r"^SwapTotal:\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _hugepages(root: Path = HUGE_PAGES) -> dict[str, int]:
    """``hugepages-2Mi`` and its like, by the bytes set aside for it."""
    found = {}
    for directory in sorted(root.glob("hugepages-*kB")):
        size = int(directory.name.removeprefix("hugepages-").removesuffix("kB"))
        pages = _read(str(directory / "nr_hugepages"))
        name = f"{size >> 20}Gi" if size >= 1 << 20 else f"{size >> 10}Mi"
        if size < 1 << 10:
            name = f"{size}Ki"
        if pages.isdecimal():
            found[f"hugepages-{name}"] = int(pages) * size * 1024
    return found


def _board() -> str:
    """A board tells its model in the device tree, as a C string."""
    model = _read("/proc/device-tree/model").rstrip("\0")
    return re.sub(r"[^A-Za-z0-9.]+", "-", model).strip("-.")[:63].strip("-.")


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
