"""A file system for one measurement, freshly made: what others have deleted on this machine's disk
before does not count.

ext4 looks past inodes that were freed in the last minutes (recently_deleted in fs/ext4/ialloc.c).
After a day of tests that was a third of the agent's time, and of Podman's too.
"""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

BYTES = 8 << 30


@contextlib.contextmanager
def fresh_disk() -> Iterator[Path]:
    """A directory on it; on the machine's own disk, and saying so, where it cannot be had."""
    with tempfile.TemporaryDirectory(prefix="edgek-bench-") as folder:
        image, place = Path(folder) / "disk", Path(folder) / "on"
        place.mkdir()
        with image.open("wb") as file:
            file.truncate(BYTES)
        try:
            _run("mkfs.ext4", "-q", "-F", image)
            _run("mount", "-o", "loop", image, place)
        except (OSError, subprocess.CalledProcessError) as err:
            print(f"on the machine's own disk: {err}")
            yield Path(folder)
            return
        try:
            yield place
        finally:
            _run("umount", "--lazy", place)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)
