"""Process 1 of a pod whose containers share a PID namespace, so that none of them has to be it.

``catatonit -P`` reaps what the containers leave behind, as upstream's pause does. Containers may
look at it through /proc, and one with ptrace rights could enter its root: so that root is an
empty file system with nothing but the program, and it runs as a user without any right. It
outlives the agent and is found again by its note, which is gone after a reboot, as it is itself.

``pin_ipc`` makes the one namespace more that no network makes: for memory shared by containers
of a pod in the host's network.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

PROGRAMS = (
    "catatonit", "/usr/libexec/podman/catatonit", "/usr/libexec/catatonit/catatonit",
    "/usr/lib/podman/catatonit",
)  # fmt: skip
"""Where distributions have it. It is linked statically everywhere, as it has to be here."""
NOBODY = 65535
"""As upstream's pause."""
_NEWNS, _NEWPID, _NEWIPC = 0x00020000, 0x20000000, 0x08000000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 2, 4, 4096, 16384, 1 << 18, 2
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "armv7l": 218, "armv6l": 218, "riscv64": 41}

T = TypeVar("T")


class HolderError(Exception):
    """Why there is none, fit for a pod's event."""


class PidHolders:
    """``directory`` is in memory; it has a note for each holder: its process and when that
    began, because numbers of processes are used again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        """Those that this agent started, to be buried by it."""

    def start(self, pod_uid: str) -> int:
        """Its process id; a new one where there is none. Blocking, some milliseconds."""
        if pid := self.find(pod_uid):
            return pid
        self.stop(pod_uid)  # one that was killed waits to be buried
        program = next((p for p in map(shutil.which, PROGRAMS) if p), None)
        if program is None:
            raise HolderError("catatonit is not installed: apt-get install catatonit")
        root = self._directory / "root"
        root.mkdir(parents=True, exist_ok=True)
        process = _in_thread(lambda: _spawn(program, root))
        self._children[pod_uid] = process
        note = self._directory / pod_uid
        note.write_text(f"{process.pid} {_stat(process.pid)[1]}")
        return process.pid

    def find(self, pod_uid: str) -> int:
        """Its process id, 0 where none runs."""
        pid, state = self._noted(pod_uid)
        return 0 if state == "Z" else pid

    def _noted(self, pod_uid: str) -> tuple[int, str]:
        """The process of the note and its state; 0 where that is no more, or another's number."""
        try:
            pid, began = (self._directory / pod_uid).read_text().split()
            state, since = _stat(int(pid))
        except (OSError, ValueError):
            return 0, ""
        return (int(pid), state) if began == since else (0, "")

    def stop(self, pod_uid: str) -> None:
        """Whatever still runs in the namespace ends with it."""
        pid, _ = self._noted(pod_uid)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if child := self._children.pop(pod_uid, None):
            child.kill()
            child.wait()
        (self._directory / pod_uid).unlink(missing_ok=True)

    def pin_ipc(self, path: Path) -> None:
        """Makes an IPC namespace and binds it to ``path``; nothing where that is done. A pod in
        the host's network has no other one that its containers could share. Blocking."""
        if is_pinned(path):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        _in_thread(lambda: _pin_ipc(path))

    def known(self) -> list[str]:
        """The pods with a note."""
        if not self._directory.is_dir():
            return []
        return sorted(p.name for p in self._directory.iterdir() if p.is_file())


def _stat(pid: int) -> tuple[str, str]:
    """The state of a process, and when it began in the kernel's ticks. Raises OSError."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], fields[19]


def is_pinned(path: Path) -> bool:
    """Files of namespaces live on a device of their own."""
    try:
        return path.stat().st_dev == os.stat("/proc/self/ns/ipc").st_dev
    except OSError:
        return False


def _in_thread(work: Callable[[], T]) -> T:
    """Namespaces belong to a thread: it ends, and the process as a whole has not moved."""
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as err:
            failure.append(err)

    thread = threading.Thread(target=run, name="pid-holder")
    thread.start()
    thread.join()
    if failure:
        raise HolderError(f"cannot make a namespace: {failure[0]}") from failure[0]
    return result[0]


def _call(name: str, *args: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _mount(source: str, target: Path, kind: str | None, flags: int) -> None:
    _call(
        "mount", source.encode(), bytes(target), kind.encode() if kind else None,
        ctypes.c_ulong(flags), None,
    )  # fmt: skip


def _pin_ipc(path: Path) -> None:
    _call("unshare", _NEWIPC)
    _mount("/proc/thread-self/ns/ipc", path, None, _MS_BIND)


def _spawn(program: str, root: Path) -> "subprocess.Popen[bytes]":
    devnull = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        _call("unshare", _NEWNS | _NEWPID)
        _mount("none", Path("/"), None, _MS_REC | _MS_PRIVATE)
        _mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV)
        shutil.copy(program, root / "catatonit")  # a mount of it would lead to the host's file
        os.chdir(root)
        _call("syscall", ctypes.c_long(_SYS_PIVOT_ROOT[os.uname().machine]), b".", b".")
        _call("umount2", b".", _MNT_DETACH)
        os.chdir("/")
        return subprocess.Popen(
            ["/catatonit", "-P"], stdin=devnull, stdout=devnull, stderr=devnull, env={},
            user=NOBODY, group=NOBODY, extra_groups=[], start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(devnull)
