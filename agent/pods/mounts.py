"""mount(8) and umount(8) in killable child processes; nothing here touches what is mounted.

A server that hangs (NFS) must hang neither the agent nor a deletion: every child has a time
limit, one that cannot even be killed is left to the kernel, and unmounting is lazy. Whether
something is mounted is read from the kernel's table, because asking the path itself may hang.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import struct
from pathlib import Path

from agent.runtime.oom import ordinary

MOUNT_SECONDS = 30.0
UNMOUNT_SECONDS = 10.0
KILL_SECONDS = 1.0
SAID_BYTES = 16384
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 4096, 16384, 1 << 18, 2
TMPFS_FLAGS = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8}
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
"""System calls that libc has no names for yet; the numbers are those of every architecture."""
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH, MOUNT_ATTR_RDONLY = 1, 4, 1


HELPERS = {
    "nfs": "nfs-common",
    "ceph": "ceph-common",
    "fuse.ceph": "ceph-fuse",
    "glusterfs": "glusterfs-client",
}
"""File systems that mount(8) needs help with -> Debian's package that has the helper."""


class MountError(Exception):
    """What mount(8) said, fit for an event."""


def missing_helper(kind: str, *, directories: str = "/sbin:/usr/sbin") -> str:
    """The package to install; "" where nothing is missing. mount(8) looks in /sbin alone, which
    is /usr/sbin where the two are one."""
    package = HELPERS.get(kind, "")
    return package if package and shutil.which(f"mount.{kind}", path=directories) is None else ""


async def mount(
    source: str, target: Path, *, kind: str, options: tuple[str, ...] = (),
    enter: tuple[str, ...] = (), seconds: float = MOUNT_SECONDS,
) -> None:  # fmt: skip
    """Mounts unless something is mounted there already. ``enter``: a prefix of the command."""
    if kind == "tmpfs":  # memory answers at once, and every pod has one: no program is needed
        _mount_memory(source, target, options)
        return
    # Not by looking at it: that may be a file server that is gone.
    if target in mounts_below(target):
        return
    if package := missing_helper(kind):
        raise MountError(
            f"mounting {kind} needs the program mount.{kind}, which this node lacks: "
            f"install the package {package}"
        )
    command = [*enter, *_command(source, target, kind, options)]
    code, said = await run_child(command, seconds=seconds)
    if code != 0:
        raise MountError(f"mount of {source} failed: {said or f'exit status {code}'}")


def _mount_memory(source: str, target: Path, options: tuple[str, ...]) -> None:
    import ctypes

    if target.is_mount():
        return
    flags = sum(TMPFS_FLAGS.get(option, 0) for option in options)
    data = ",".join(option for option in options if option not in TMPFS_FLAGS)
    libc = ctypes.CDLL(None, use_errno=True)
    point = os.fsencode(target)
    if libc.mount(source.encode(), point, b"tmpfs", flags, data.encode()) != 0:
        raise MountError(f"mount of {source} failed: {os.strerror(ctypes.get_errno())}")


def _command(source: str, target: Path, kind: str, options: tuple[str, ...]) -> list[str]:
    """ceph-fuse is run itself, because its mount helper would hand all to a shell; options that
    begin with ``--`` are its arguments, and say what ``source`` says."""
    own = [o for o in options if o.startswith("--")] if kind == "fuse.ceph" else []
    listed = ",".join(o for o in options if o not in own)
    asked = ["-o", listed] if listed else []
    if kind == "fuse.ceph":
        return ["ceph-fuse", str(target), *own, *asked]
    return ["mount", "-t", kind, *asked, "--", source, str(target)]


def bind_handle(handle: int, target: Path, *, read_only: bool = False) -> None:
    """Mounts what an open handle holds, in the place of what was mounted there. The kernel is
    called itself, because mount(8) would look the path up again. ``read_only``: with all that is
    mounted below, and what comes to be mounted there later stays away. Raises OSError."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    point = os.fsencode(target)
    while target in mounts_below(target):
        if libc.umount2(point, MNT_DETACH) != 0:
            raise _error(ctypes.get_errno(), f"umount of {target}")
    if read_only:
        _attach_read_only(handle, point)
        return
    source = f"/proc/self/fd/{handle}".encode()
    if libc.mount(source, point, None, MS_BIND | MS_REC, None) != 0:
        raise _error(ctypes.get_errno(), f"bind mount on {target}")


def _attach_read_only(handle: int, point: bytes) -> None:
    """A copy of the tree is changed before it can be seen anywhere."""
    flags = OPEN_TREE_CLONE | os.O_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE
    tree = _call(OPEN_TREE, handle, b"", flags)
    try:
        change = struct.pack("=4Q", MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, 0)
        _call(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH | AT_RECURSIVE, change, len(change))
        _call(MOVE_MOUNT, tree, b"", AT_FDCWD, point, MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)


def _call(number: int, *arguments: int | bytes) -> int:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    given = (ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments)
    found: int = libc.syscall(ctypes.c_long(number), *given)
    if found < 0:
        raise _error(ctypes.get_errno(), "read-only mount")
    return found


def _error(number: int, what: str) -> OSError:
    return OSError(number, f"{what}: {os.strerror(number)}")


def check_shared(path: Path, propagation: str) -> None:
    """Whether mounts can pass through there as it is wanted (rshared, rslave). As containerd's
    ensureShared; neither Podman nor crun looks. Raises MountError."""
    lines = Path("/proc/self/mountinfo").read_bytes().decode(errors="surrogateescape").splitlines()
    marks = {Path(_unescape(line.split(" ")[4])): line.partition(" - ")[0] for line in lines}
    own = path.resolve()
    where = next((p for p in (own, *own.parents) if p in marks), Path("/"))
    found = marks.get(where, "")
    if " shared:" in found or (propagation == "rslave" and " master:" in found):
        return
    kind = "shared" if propagation == "rshared" else "shared or slave"
    raise MountError(f'path "{path}" is mounted on "{where}" but it is not a {kind} mount')


async def unmount_below(directory: Path) -> None:
    """Unmounts everything at and below the directory, the deepest first. Lazy: it returns even
    where the other side is gone. Raises MountError where something stays mounted."""
    while await _unmount_once(directory):  # what was hidden below another mount comes to light
        pass


async def _unmount_once(directory: Path) -> bool:
    """Whether anything was unmounted that may have hidden something."""
    hidden = unmounted = False
    for target in sorted(mounts_below(directory), key=lambda p: -len(p.parts)):
        code, said = await run_child(["umount", "-l", "--", str(target)], seconds=UNMOUNT_SECONDS)
        if code == 0:
            unmounted = True
        elif "no mount point" in said or "not mounted" in said:
            hidden = True  # though in the table: it is out of reach, for now or for good
        elif target in mounts_below(target):
            raise MountError(f"umount of {target} failed: {said}")
    return hidden and unmounted


async def remove_tree(directory: Path) -> None:
    """Removes a directory with all in it, never what is mounted in it."""
    await unmount_below(directory)
    await asyncio.to_thread(remove_unmounted, directory)


def remove_unmounted(directory: Path) -> None:
    """Removes what lies on the directory's own mount, and leaves what it cannot. Mounts are told
    by their id, because a bind mount may be of the same file system; blocking."""
    with contextlib.suppress(OSError):
        handle = os.open(directory, IN_IT)
        try:
            _clear(handle, _mount_id(handle))
        finally:
            os.close(handle)
        directory.rmdir()


IN_IT = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _clear(handle: int, mount_id: str) -> None:
    with os.scandir(handle) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_directory in entries:
        with contextlib.suppress(OSError):
            if not is_directory:
                os.unlink(name, dir_fd=handle)
                continue
            below = os.open(name, IN_IT, dir_fd=handle)
            try:
                if _mount_id(below) == mount_id:
                    _clear(below, mount_id)
            finally:
                os.close(below)
            os.rmdir(name, dir_fd=handle)  # fails where something is mounted


def _mount_id(handle: int) -> str:
    lines = Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines()
    return next(line for line in lines if line.startswith("mnt_id:"))


def mounts_below(directory: Path) -> list[Path]:
    table = Path("/proc/self/mountinfo").read_bytes().decode(errors="surrogateescape")
    points = (_unescape(line.split(" ", 5)[4]) for line in table.splitlines())
    below = f"{directory}/".replace("//", "/")
    return [Path(p) for p in points if p == str(directory) or p.startswith(below)]


def _unescape(text: str) -> str:
    """The kernel writes blanks and the like as octal escapes."""
    if "\\" not in text:
        return text
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), text)


async def run_child(command: list[str], *, seconds: float) -> tuple[int, str]:
    """The exit status and what it said. It is killed, with its helpers, when its time is over."""
    # No pipe: a daemon that it leaves behind may hold its end for as long as the daemon lives.
    with os.fdopen(os.memfd_create("said"), "rb", buffering=0) as said:
        try:
            process = await asyncio.create_subprocess_exec(
                *ordinary(),
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said.fileno(),
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # helpers such as mount.nfs are killed with it
            )
        except OSError as err:
            return 127, f"{command[0]}: {err.strerror}"
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except (TimeoutError, asyncio.CancelledError) as err:
            await _kill(process)
            if isinstance(err, asyncio.CancelledError):
                raise
            return 124, f"no answer within {seconds:.0f} seconds"
        text = os.pread(said.fileno(), SAID_BYTES, 0)
    return process.returncode or 0, text.decode(errors="replace").strip()


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(KILL_SECONDS):
            await process.wait()
