"""Mounts that Podman's service needs: shared directories and a mount namespace of its own.

crun refuses a tree where cgroup v2 is mounted beside v1. There Podman lives in a mount namespace
without the v2 tree, which is pinned as a file, because container roots are mounted in it and a
restarted service must find them again. It is a slave of the host's: what the agent mounts on a
shared directory (pinned namespaces) appears in it too. Pods' and the kubelet's directories are
shared both ways, because pods may mount there for others (mountPropagation: Bidirectional).
"""

import asyncio
import contextlib
import os
from pathlib import Path

from edgek.roles import StartError

SECONDS = 10.0


async def run(*argv: str | Path) -> None:
    """A short-lived tool. Raises StartError with what it said."""
    process = await asyncio.create_subprocess_exec(
        *map(str, argv), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise StartError(f"{argv[0]} does not end") from None
    if process.returncode:
        raise StartError(f"{' '.join(map(str, argv))}: {output.decode(errors='replace').strip()}")


def mount_points(mountinfo: str) -> dict[str, bool]:
    """Mount point -> is it shared; the topmost mount of each point counts."""
    points = {}
    for line in mountinfo.splitlines():
        fields = line.split()
        optional = fields[6 : fields.index("-")]
        points[fields[4]] = any(f.startswith("shared:") for f in optional)
    return points


def _points() -> dict[str, bool]:
    return mount_points(Path("/proc/self/mountinfo").read_text())


def _points_below(top: Path) -> list[str]:
    """In the order they were mounted; a point with two mounts comes twice."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    return [p for p in points if p == str(top) or p.startswith(f"{top}/")]


async def make_shared(directory: Path) -> None:
    """Mounts made below are passed on to other namespaces from now on."""
    shared = _points().get(str(directory))
    if shared is None:
        await run("mount", "--bind", directory, directory)
    if not shared:
        await run("mount", "--make-shared", directory)


async def ensure_shared(directory: Path) -> None:
    """As ``make_shared``, where the mount that the directory lies on is not shared itself. Only
    then can a container hand on what it mounts (mountPropagation: Bidirectional)."""
    points = _points()
    covering = next((p for p in (directory, *directory.parents) if str(p) in points), None)
    if covering is None or not points[str(covering)]:
        await make_shared(directory)


async def pin_mount_namespace(
    pin: Path, *, hide: Path, behind: Path, peers: tuple[Path, ...] = ()
) -> None:
    """A mount namespace, kept by the file ``pin``, where the directory ``behind`` stands in the
    place of the mount ``hide``. What is mounted below ``peers`` is seen on both sides, all else
    only inside. Made once."""
    points = _points()
    if str(pin) in points:
        return
    # The kernel takes a pin only on a private mount: it would otherwise show inside itself.
    if str(pin.parent) not in points:
        await run("mount", "--bind", pin.parent, pin.parent)
    await run("mount", "--make-private", pin.parent)
    await run("touch", pin)
    # crun makes plain directories where the v2 tree was; ours can be cleared, the tmpfs of
    # /sys/fs/cgroup below it could not.
    script = """
        hide=$1 behind=$2; shift 2
        for point; do mount --make-slave "$point" 2>/dev/null || :; done
        umount "$hide" && mount --bind "$behind" "$hide"
    """
    shared = tuple(f"{peer}/" for peer in peers)
    slaves = [p for p in points if not f"{p}/".startswith(shared)]
    enter = ("unshare", f"--mount={pin}", "--propagation", "unchanged")
    await _on_any_cpu(*enter, "sh", "-c", script, "sh", hide, behind, *slaves)


async def _on_any_cpu(*argv: str | Path) -> None:
    """Linux 6.18 numbers mount namespaces apart on each CPU, and pins none whose number is below
    that of the one we are in. Where ours was made, later ones are above it."""
    cpus = sorted(os.sched_getaffinity(0))
    for cpu in cpus[:-1]:
        with contextlib.suppress(StartError):
            await run("taskset", "-c", str(cpu), *argv)
            return
    await run("taskset", "-c", str(cpus[-1]), *argv)


async def unmount_below(top: Path) -> None:
    """Everything mounted at or below ``top``, last first."""
    for point in reversed(_points_below(top)):
        with contextlib.suppress(StartError):
            await run("umount", "--lazy", point)
