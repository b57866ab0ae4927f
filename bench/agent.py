"""Resident memory of an agent: just joined, started again, and with pods.

    python -m bench agent [--pods 10]

It runs as root in a node of the test bed (tests/support/testbed.py), with real Podman, beside a
real server; nothing of the machine outside is touched.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.process import memory_of
from tests.support.images import BUSYBOX
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import missing_need

SETTLE_SECONDS = 5.0


def measure(cluster: RealCluster, *, pods: int) -> None:
    node = cluster.bed.nodes[0]
    _show(cluster, "just joined")
    cluster.stop(node)
    cluster.start_agent(node)
    cluster.kubectl("wait", "--for=condition=Ready", f"node/{node.name}", "--timeout=60s")
    _show(cluster, "started again")
    cluster.kubectl(
        "create", "deployment", "idle", f"--image={BUSYBOX}", f"--replicas={pods}", "--",
        "sleep", "100000",
    )  # fmt: skip
    cluster.kubectl("rollout", "status", "deployment/idle", "--timeout=120s", timeout=130)
    _show(cluster, f"with {pods} pods")


def _show(cluster: RealCluster, what: str) -> None:
    time.sleep(SETTLE_SECONDS)
    node = cluster.bed.nodes[0]
    pid = node.inner(cluster.processes[node.name])
    print(
        f"agent {what}: RSS {memory_of(pid, 'VmRSS'):.0f} MB "
        f"(of its own {memory_of(pid, 'RssAnon'):.0f}, peak {memory_of(pid, 'VmHWM'):.0f})"
    )


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench agent")
    parser.add_argument("--pods", type=int, default=10)
    args = parser.parse_args(argv)
    if why := missing_need():
        print(f"agent: not measured, {why}")
        return
    with (
        tempfile.TemporaryDirectory(prefix="edgek-bench-") as folder,
        real_cluster(Path(folder), nodes=1) as cluster,
    ):
        measure(cluster, pods=args.pods)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
