"""How far a pod is kept from the node beyond its network: OCI runtime, user ids, PID namespace.

``check`` says before a sandbox is made what cannot be had here, in the words of upstream where it
has any; the rest is read for each container that is made. Nothing of it is kept in memory, so a
restarted agent goes on where the one before was.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agent.pods.id_ranges import IdRanges
from agent.pods.sources import Lookup
from agent.pods.state import SandboxError
from agent.runtime.cgroups import Cgroups
from agent.runtime.pid_holder import HolderError
from agent.runtime.runtime import IdRange
from edgek.api.meta import Obj, get_path, uid
from edgek.kinds import RUNTIME_CLASS

IPC = "ipc"


class Holders(Protocol):
    """Who is process 1 where containers share a PID namespace (agent/runtime/pid_holder.py)."""

    def start(self, pod_uid: str) -> int: ...

    def stop(self, pod_uid: str) -> None: ...

    def pin_ipc(self, path: Path) -> None: ...

    def known(self) -> list[str]: ...


@dataclass(frozen=True, kw_only=True)
class NodeSecurity:
    """What the machine can and its owner allows. ``unsafe_sysctls`` may end in ``*``."""

    unsafe_sysctls: tuple[str, ...] = ()
    seccomp_default: bool = False
    seccomp_root: Path = Path("/var/lib/edgek/agent/seccomp")
    apparmor: bool = False
    user_namespaces: bool = True
    recursive_read_only: bool = True
    handlers: Sequence[str] = field(default=("crun",))


@dataclass(frozen=True, kw_only=True)
class Isolation:
    security: NodeSecurity
    holders: Holders
    cgroups: Cgroups
    ranges: IdRanges
    lookup: Lookup

    def check(self, pod: Obj) -> None:
        """Raises SandboxError, or NotSynced while its RuntimeClass is not known."""
        handler = self.handler(pod)
        if handler and handler not in self.security.handlers:
            text = f'failed to get sandbox runtime: no runtime for "{handler}" is configured'
            raise SandboxError(text)
        if not own_users(pod):
            return
        if not self.security.user_namespaces:
            raise SandboxError(
                "can't set `spec.hostUsers: false`, runtime does not support user namespaces"
            )
        if shares_processes(pod):
            raise SandboxError(
                "can't set `spec.shareProcessNamespace: true` with `spec.hostUsers: false`, "
                "runtime does not support both together"
            )

    def handler(self, pod: Obj) -> str:
        """ "" for the default runtime."""
        wanted = get_path(pod, "spec", "runtimeClassName")
        if not wanted:
            return ""
        found = self.lookup(RUNTIME_CLASS, "", wanted)
        if found is None:
            raise SandboxError(f'failed to get sandbox runtime: RuntimeClass "{wanted}" not found')
        return str(found["handler"])

    def id_range(self, pod: Obj) -> IdRange | None:
        return self.ranges.get(uid(pod)) if own_users(pod) else None

    def pid(self, pod: Obj) -> str:
        """``Namespaces.pid`` of the pod's containers. Takes milliseconds where the process that
        holds a shared namespace is to be started."""
        spec = pod["spec"]
        if spec.get("hostPID"):
            return "host"
        if not shares_processes(pod):
            return "private"
        return f"/proc/{self._start(uid(pod))}/ns/pid"

    async def prepare(self, pod: Obj, cgroup: str) -> None:
        """Puts process 1 of a shared PID namespace into the pod's cgroup."""
        if shares_processes(pod):
            pid = await asyncio.to_thread(self._start, uid(pod))
            self.cgroups.put(f"{cgroup}/holder", pid)

    def _start(self, pod_uid: str) -> int:
        try:
            return self.holders.start(pod_uid)
        except HolderError as err:
            raise SandboxError(str(err)) from err

    async def share_memory(self, pod_dir: Path) -> None:
        """An IPC namespace for a pod in the host's network, whose containers share one too."""
        try:
            await asyncio.to_thread(self.holders.pin_ipc, pod_dir / IPC)
        except HolderError as err:
            raise SandboxError(str(err)) from err

    async def release(self, pod_uid: str) -> None:
        await asyncio.to_thread(self.holders.stop, pod_uid)


def shares_processes(pod: Obj) -> bool:
    spec = pod.get("spec") or {}
    return bool(spec.get("shareProcessNamespace")) and not spec.get("hostPID")


def own_users(pod: Obj) -> bool:
    return get_path(pod, "spec", "hostUsers") is False
