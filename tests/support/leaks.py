"""What pods may leave behind on a node of the testbed: counted before and after, and compared.

    before = settled(node)
    ...                                  # pods come and go, things break
    assert leaked(before, settled(node)) == ""

A snapshot is read by the tools of the node itself, so it holds for every way of ending: nothing
of ours is asked. What one node has for as long as it lives (its agent, Podman's service and their
directories) is in both snapshots; names that differ from run to run are left out of them.
"""

import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.support.testbed import CGROUP, Space

Snapshot = dict[str, Counter[str]]

DATA = (
    "/var/lib/edgek/agent/pods", "/var/lib/edgek/agent/shares", "/var/lib/edgek/storage",
    "/var/lib/edgek/network", "/var/lib/kubelet", "/var/log/pods", "/run/edgek",
)  # fmt: skip
STORAGE = "/var/lib/containers/storage"
# One line of output is one thing; "@name" begins a kind of things. Of mounts only those in places
# of the node's own: the others are copies of the machine's, which come and go for other reasons.
LOOK = rf"""
echo @processes; ps -e -o args=
echo @mounts; cut -d' ' -f5 /proc/self/mountinfo | \
    grep -E '^/(run/(edgek|containers|crun|libpod)|var)/'
echo @links; ip -o link | cut -d: -f2 | cut -d@ -f1
echo @routes; ip route
echo @neighbours; ip neigh show nud permanent
echo @rules; nft list ruleset 2>/dev/null
echo @containers; podman ps -a --external --format '{{{{.Names}}}}'
echo @files; find {" ".join(DATA)} -mindepth 1 2>/dev/null
echo @storage; find {STORAGE}/overlay {STORAGE}/overlay-containers {STORAGE}/volumes \
    {STORAGE}/tmp {STORAGE}/libpod -mindepth 1 -maxdepth 1 2>/dev/null
"""
IGNORED = (
    re.compile(r"^ps -e |^sh -c |^ *$|catatonit|^\[.*\]$|<defunct>"),
    re.compile(r"/storage/overlay$|/storage/overlay/l$|\.lock$"),
    re.compile(r"/run/edgek/ns/|/netns-pin|bolt_state|/storage/libpod/"),
)
CHANGING = re.compile(r"counter packets \d+ bytes \d+|expires \S+|# handle \d+")


def snapshot(node: Space) -> Snapshot:
    seen = node.run("sh", "-c", LOOK, capture_output=True, check=False, timeout=60).stdout
    found: Snapshot = {}
    kind = ""
    for line in seen.splitlines():
        if line.startswith("@"):
            kind = line[1:]
            found[kind] = Counter()
        elif not any(pattern.search(line) for pattern in IGNORED):
            found[kind][CHANGING.sub("", line).strip()] += 1
    found["cgroups"] = Counter(_cgroups(node))
    return found


def _cgroups(node: Space) -> list[str]:
    v1 = (CGROUP / "memory").is_dir()
    tops = [t / node.cgroup[1:] for t in (CGROUP.iterdir() if v1 else (CGROUP,)) if t.is_dir()]
    return [str(path) for top in tops if top.is_dir() for path in _walk(top)]


def _walk(top: Path) -> list[Path]:
    try:
        below = [path for path in top.iterdir() if path.is_dir()]
    except FileNotFoundError:
        return []
    return [p for path in below for p in (path, *_walk(path))]


def settled(node: Space, *, seconds: float = 20) -> Snapshot:
    """When two looks agree: helpers of Podman end a moment after what they were for."""
    deadline = time.monotonic() + seconds
    last = snapshot(node)
    while (now := snapshot(node)) != last and time.monotonic() < deadline:
        last = now
    return now


def leaked(before: Snapshot, after: Snapshot) -> str:
    """ "" where both are the same, else a line for each difference."""
    lines = []
    for kind in before:
        more, less = after[kind] - before[kind], before[kind] - after[kind]
        lines += [f"{kind}: + {what} (x{count})" for what, count in sorted(more.items())]
        lines += [f"{kind}: - {what} (x{count})" for what, count in sorted(less.items())]
    return "\n".join(lines)


def returns_to(before: Snapshot, node: Space, *, seconds: float = 30) -> str:
    """Waits for it; what is still different after that time."""
    return _until(lambda: leaked(before, snapshot(node)), seconds)


def _until(look: Callable[[], str], seconds: float) -> str:
    deadline = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def open_files(pid: int) -> Counter[str]:
    """What a process holds open, by kind."""
    kinds: Counter[str] = Counter()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue
        kinds[re.sub(r"\[?\d+\]?$", "", target)] += 1
    return kinds
