"""Namespaces that outlive every process: made by unshare(2), pinned by bind mounts.

A network namespace is a property of a thread, so each piece of work inside one runs in a
thread of its own that ends afterwards; the process itself never moves. Knows nothing of links
or addresses. Other files in a sandbox's directory are their owners' business.
"""

import contextlib
import ctypes
import os
import socket
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from netplug.model import NetplugError

KINDS = {"net": 0x40000000, "ipc": 0x08000000, "uts": 0x04000000}
_MS_BIND, _MNT_DETACH = 4096, 2

T = TypeVar("T")


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(function: str, *args: Any) -> None:
    if getattr(_libc(), function)(*args):
        code = ctypes.get_errno()
        raise OSError(code, f"{function}: {os.strerror(code)}")


def in_thread(work: Callable[[], T]) -> T:
    """Runs ``work`` in a throw-away thread and gives back its result or raises its error."""
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as err:
            failure.append(err)

    thread = threading.Thread(target=run, name="netns", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def make(
    base: Path,
    *,
    hostname: str = "",
    sysctls: Mapping[str, str] | None = None,
    inside: Callable[[int], None],
) -> None:
    """Pins fresh namespaces below ``base``; ``inside`` runs in them, given the old network."""

    def work() -> None:
        old = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("unshare", sum(KINDS.values()))
            if hostname:
                socket.sethostname(hostname)
            inside(old)
            # After the wiring: it sets some itself, and links have settings of their own.
            for key, value in (sysctls or {}).items():
                write_sysctl(key, value)
            # Pinned last: what is found whole later was wired as well.
            for kind in KINDS:
                _pin(base / kind, kind)
        finally:
            os.close(old)

    try:
        base.mkdir(parents=True, exist_ok=True)
        in_thread(work)
    except OSError as err:
        remove(base)
        raise NetplugError(f"make namespaces at {base}: {err}") from err
    except BaseException:
        remove(base)
        raise


def enter(net: Path, inside: Callable[[int], None]) -> None:
    """Runs ``inside`` in the network namespace of that file, given the present one."""

    def work() -> None:
        new = os.open(net, os.O_RDONLY | os.O_CLOEXEC)
        old = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("setns", new, KINDS["net"])
            inside(old)
        finally:
            os.close(new)
            os.close(old)

    try:
        in_thread(work)
    except OSError as err:
        raise NetplugError(f"enter namespace {net}: {err}") from err


def make_socket(net: Path, family: int, kind: int) -> socket.socket:
    """A socket of that network namespace; which one it is of stays so for good."""
    made: list[socket.socket] = []
    enter(net, lambda _: made.append(socket.socket(family, kind)))
    return made[0]


def _pin(path: Path, kind: str) -> None:
    path.touch()
    source = f"/proc/thread-self/ns/{kind}"
    _call("mount", source.encode(), bytes(path), None, ctypes.c_ulong(_MS_BIND), None)


def is_whole(base: Path) -> bool:
    """All kinds are pinned; a plain file (after a crash or reboot) does not count."""
    return all(_is_pinned(base / kind) for kind in KINDS)


def _is_pinned(path: Path) -> bool:
    # Namespace files live on a device of their own (nsfs), mounts of them too.
    try:
        return path.stat().st_dev == os.stat("/proc/self/ns/net").st_dev
    except OSError:
        return False


def remove(base: Path) -> None:
    """Unpins and removes; the directory goes too unless others keep files in it."""
    for kind in KINDS:
        path = base / kind
        for _ in range(8):  # mounts can be stacked by two makers that raced
            if not _is_pinned(path):
                break
            try:
                _call("umount2", bytes(path), _MNT_DETACH)
            except OSError as err:
                raise NetplugError(f"unpin {path}: {err}") from err
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        base.rmdir()


def found(run_dir: Path) -> dict[str, Path]:
    """Every directory that has a namespace file in it, whole or not, by name."""
    if not run_dir.is_dir():
        return {}
    return {
        entry.name: entry
        for entry in sorted(run_dir.iterdir())
        if any((entry / kind).exists() for kind in KINDS)
    }


def write_sysctl(key: str, value: str) -> None:
    """Sets a sysctl of the calling thread's namespaces; ``key`` with dots or slashes."""
    path = Path("/proc/sys") / (key if "/" in key else key.replace(".", "/"))
    try:
        path.write_text(value)
    except OSError as err:
        raise NetplugError(f"sysctl {key}={value}: {err.strerror}") from err
