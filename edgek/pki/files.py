"""Small files that must survive a power cut, written whole or not at all.

A write goes to a temporary file beside the target, is flushed to disk, renamed over the target,
and then the directory is flushed too: without that last step the rename itself may be lost.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

PRIVATE = 0o600
PRIVATE_DIR = 0o700


def make_private_dir(path: Path) -> None:
    """The directory, which only its owner can enter, and whatever parents are missing. One that
    is there is closed too: others may have made it in passing, for what they put into it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=PRIVATE_DIR, exist_ok=True)
    if path.stat().st_mode & 0o777 != PRIVATE_DIR:
        path.chmod(PRIVATE_DIR)


def write_atomic(path: Path, data: bytes, *, mode: int = PRIVATE) -> None:
    """Replaces ``path`` durably. The mode holds from the first byte on: no window to read it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)  # the umask may have taken bits away
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_dir(path.parent)


def discard_unfinished(path: Path) -> None:
    """Removes what power cuts left of writes to ``path``. Not while anybody else may write it."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        with suppress(OSError):
            left.unlink()


def write_if_changed(path: Path, data: bytes, *, mode: int = PRIVATE) -> bool:
    """Spares the disk a write of what it has already; mends the mode. True if it wrote."""
    if read(path) == data:
        if path.stat().st_mode & 0o777 != mode:
            path.chmod(mode)
        return False
    write_atomic(path, data, mode=mode)
    return True


def read(path: Path) -> bytes | None:
    """The content, or None where the file does not exist."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def sync_dir(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
