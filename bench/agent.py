"""An agent that has nothing to do: memory, processor time, wakeups, what it writes.

    python -m bench agent [--apps 20] [--replicas 2] [--seconds 60] [--probes 10]

It runs as root in a node of the test bed (tests/support/testbed.py), with real Podman, beside a
real server; nothing of the machine outside is touched. First just joined, then started again, then
with ``apps`` times ``replicas`` pods; ``probes`` pods of each kind of probe are measured last.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.process import cpu_of, memory_of
from bench.workload import app, apply, wait_running
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import missing_need

SETTLE_SECONDS = 8.0
KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("httpGet", {"httpGet": {"port": 80}, "failureThreshold": 1000}),
    ("tcpSocket", {"tcpSocket": {"port": 80}, "failureThreshold": 1000}),
    ("exec", {"exec": {"command": ["true"]}, "failureThreshold": 1000}),
)
"""Each every 10 s, as probes are by default."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Counters of a process that only grow."""

    cpu: float
    children_cpu: float
    wakeups: int
    written: int


def sample(pid: int) -> Sample:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return Sample(
        cpu=cpu_of(pid),
        children_cpu=(int(fields[13]) + int(fields[14])) / ticks,
        wakeups=sum(_field(p, "voluntary") for p in Path(f"/proc/{pid}/task").glob("*/status")),
        written=_field(Path(f"/proc/{pid}/io"), "write_bytes"),
    )


def _field(path: Path, name: str) -> int:
    lines = path.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def idle(cluster: RealCluster, what: str, *, seconds: float) -> float:
    """Prints what the agent used while nobody asked for anything; the share of a core."""
    node = cluster.bed.nodes[0]
    pid = node.inner(cluster.processes[node.name])
    time.sleep(SETTLE_SECONDS)
    began, before = time.time(), sample(pid)
    time.sleep(seconds)
    after = sample(pid)
    share = (after.cpu - before.cpu) / seconds * 100
    children = (after.children_cpu - before.children_cpu) / seconds * 100
    changed = sorted({str(p.relative_to(node.dir)) for p in changed_files(node.dir, since=began)})
    print(
        f"agent {what}, {seconds:.0f} s: {share:.2f} % of a core (its programs {children:.2f} %),"
        f" {(after.wakeups - before.wakeups) / seconds:.1f} wakeups/s,"
        f" {after.written - before.written} bytes written,"
        f" files changed: {', '.join(changed) or 'none'}"
    )
    return share


def changed_files(folder: Path, *, since: float) -> Iterator[Path]:
    """Below a node's directory, all that is on its disk; /run is memory."""
    for place, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if f not in ("run", "merged")]
        for name in files:
            path = Path(place) / name
            if path.is_symlink() or not path.exists():
                continue
            if path.stat().st_mtime > since:
                yield path


def show(cluster: RealCluster, what: str) -> None:
    time.sleep(SETTLE_SECONDS)
    node = cluster.bed.nodes[0]
    pid = node.inner(cluster.processes[node.name])
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    parts = {line.split(":")[0]: line.split()[1] for line in rollup[1:]}
    own = int(parts["Private_Dirty"]) + int(parts["Private_Clean"])
    links = [os.readlink(p) for p in Path(f"/proc/{pid}/fd").iterdir()]
    print(
        f"agent {what}: RSS {memory_of(pid, 'VmRSS'):.0f} MB (Pss {int(parts['Pss']) / 1024:.0f}, "
        f"of its own {own / 1024:.0f}, peak {memory_of(pid, 'VmHWM'):.0f}), "
        f"{sum(link.startswith('socket:') for link in links)} sockets, "
        f"{len(os.listdir(f'/proc/{pid}/task'))} threads; "
        f"server {memory_of(cluster.bed.server.inner(cluster.processes['server'])):.0f} MB"
    )


def measure(cluster: RealCluster, *, apps: int, replicas: int, seconds: float, probes: int) -> None:
    node = cluster.bed.nodes[0]
    show(cluster, "just joined")
    cluster.stop(node)
    cluster.start_agent(node)
    cluster.kubectl("wait", "--for=condition=Ready", f"node/{node.name}", "--timeout=60s")
    show(cluster, "started again")
    apply(cluster, (o for n in range(apps) for o in app(f"app-{n:02d}", replicas=replicas)))
    wait_running(cluster, apps * replicas)
    show(cluster, f"with {apps * replicas} pods")
    quiet = idle(cluster, f"idle with {apps * replicas} pods", seconds=seconds)
    if not probes:
        return
    for kind, probe in KINDS:
        name = f"probed-{kind.lower()}"
        apply(cluster, app(name, replicas=probes, probes={"readinessProbe": probe}))
        wait_running(cluster, probes, "-l", f"app={name}")
        busy = idle(cluster, f"and {probes} with {kind} probes", seconds=seconds)
        print(f"  one such probe: {(busy - quiet) / probes * 100:.2f} ms of CPU each 10 s")
        cluster.kubectl("delete", "deployment", name)
        cluster.wait("they are gone", partial(_none, cluster, f"app={name}"))


def _none(cluster: RealCluster, selector: str) -> bool:
    return not cluster.pods(selector)


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench agent")
    parser.add_argument("--apps", type=int, default=20)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--probes", type=int, default=10)
    args = parser.parse_args(argv)
    if why := missing_need():
        print(f"agent: not measured, {why}")
        return
    with (
        tempfile.TemporaryDirectory(prefix="edgek-bench-") as folder,
        real_cluster(Path(folder), nodes=1) as cluster,
    ):
        measure(
            cluster, apps=args.apps, replicas=args.replicas, seconds=args.seconds,
            probes=args.probes,
        )  # fmt: skip


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
