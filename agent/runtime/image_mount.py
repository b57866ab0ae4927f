"""The files of an image on a directory: what an image volume is.

Podman's API mounts images only with a container, whole and with programs that can be run. So its
command line mounts one for a moment, and what is there is bound where it is wanted: the kernel
keeps the files for as long as that stays, and Podman counts no mount that nobody would undo.
"""

import asyncio
import os
from pathlib import Path

from agent.runtime.runtime import ImageMissing, RuntimeFailure, RuntimeUnavailable

SECONDS = 60.0
SCRIPT = """
    image=$1 target=$2
    files=$(podman image mount "$image") || exit
    mount --bind "$files" "$target" && mount -o remount,bind,ro,noexec,nosuid,nodev "$target"
    done=$?
    podman image unmount "$image" >/dev/null
    exit $done
"""


async def mount_image(image_id: str, target: Path, *, enter: tuple[str, ...]) -> None:
    """``enter`` is the way into Podman's mount namespace. Raises RuntimeFailure."""
    try:
        process = await asyncio.create_subprocess_exec(
            *enter, "sh", "-c", SCRIPT, "sh", image_id, str(target),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, env={"PATH": os.environ.get("PATH", os.defpath)},
            cwd="/",
        )  # fmt: skip
    except OSError as err:
        raise RuntimeFailure(f"image cannot be mounted: {err}") from err
    try:
        async with asyncio.timeout(SECONDS):
            output, _ = await process.communicate()
    except BaseException as err:
        process.kill()
        await process.wait()
        if isinstance(err, TimeoutError):
            raise RuntimeUnavailable("podman image mount did not end in time") from None
        raise
    if process.returncode:
        said = output.decode(errors="replace").strip()
        failure = ImageMissing if "image not known" in said else RuntimeFailure
        raise failure(f"image cannot be mounted: {said}")
