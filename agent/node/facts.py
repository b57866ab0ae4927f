"""What this machine is: the Node object's capacity, addresses, labels and nodeInfo. Reads /proc."""

import os
import platform
import socket
from dataclasses import dataclass
from pathlib import Path

import edgek
from edgek.api.meta import Obj

KUBELET_VERSION = f"v1.37.0+edgek{edgek.__version__}"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm"}
RESERVED_STORAGE = 0.1
"""As the kubelet's hard eviction threshold nodefs.available<10%."""
RESERVED_MEMORY = 100 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Facts:
    hostname: str
    architecture: str
    cpus: int
    memory: int
    storage: int
    info: Obj

    def capacity(self, *, max_pods: int) -> dict[str, str]:
        return {
            "cpu": str(self.cpus),
            "memory": f"{self.memory // 1024}Ki",
            "ephemeral-storage": f"{self.storage // 1024}Ki",
            "pods": str(max_pods),
        }

    def allocatable(self, *, max_pods: int) -> dict[str, str]:
        return self.capacity(max_pods=max_pods) | {
            "memory": f"{max(self.memory - RESERVED_MEMORY, 0) // 1024}Ki",
            "ephemeral-storage": str(int(self.storage * (1 - RESERVED_STORAGE))),
        }


def look_at_node(data_dir: Path, *, runtime_version: str = "") -> Facts:
    machine = platform.machine()
    architecture = ARCHITECTURES.get(machine, machine)
    disk = os.statvfs(data_dir if data_dir.exists() else "/")
    return Facts(
        hostname=socket.gethostname(),
        architecture=architecture,
        cpus=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        storage=disk.f_frsize * disk.f_blocks,
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
        },
    )


def _os_image() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
