"""/metrics: the agent of itself, in the kubelet's names. Reads /proc/self; otherwise pure."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.stats.exposition import Family


@dataclass(frozen=True, kw_only=True)
class Own:
    """``containers``: how many there are by state. ``pods``: those that run. ``ids``: what tells
    the machine and its boot from others, as cadvisor names them."""

    node_name: str
    version: str
    cpus: int
    memory: int
    swap: int = 0
    ids: Mapping[str, str] = field(default_factory=dict)
    desired_pods: int = 0
    pods: int = 0
    containers: Mapping[str, int] = field(default_factory=dict)


def own_families(own: Own, *, proc: Path = Path("/proc")) -> list[Family]:
    build = {"git_version": own.version, "major": "1", "minor": "37"}
    families = [
        _one("kubelet_node_name", "[ALPHA] The node's name. The count is always 1.", 1,
             {"node": own.node_name}),
        _one("kubernetes_build_info", "[ALPHA] A metric with a constant '1' value labeled by "
             "major, minor and git version.", 1, build),
        _one("kubelet_running_pods",
             "[ALPHA] Number of pods that have a running pod sandbox", own.pods),
        _one("kubelet_desired_pods", "[ALPHA] The number of pods the kubelet is being instructed "
             "to run. static is true if the pod is not from the apiserver.", own.desired_pods,
             {"static": ""}),
    ]  # fmt: skip
    running = Family(
        name="kubelet_running_containers", help="[ALPHA] Number of containers currently running"
    )
    for state, count in sorted(own.containers.items()):
        running.add(count, {"container_state": state})
    return [*families, running, *process_families(proc)]


def process_families(proc: Path) -> list[Family]:
    """As every Prometheus client library tells of its process."""
    fields = (proc / "self/stat").read_text().rpartition(")")[2].split()
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    boot = next(
        int(line.split()[1])
        for line in (proc / "stat").read_text().splitlines()
        if line.startswith("btime ")
    )
    cpu = (int(fields[11]) + int(fields[12])) / ticks
    return [
        _one("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", cpu,
             type="counter"),
        _one("process_resident_memory_bytes", "Resident memory size in bytes.",
             int(fields[21]) * page),
        _one("process_virtual_memory_bytes", "Virtual memory size in bytes.", int(fields[20])),
        _one("process_start_time_seconds",
             "Start time of the process since unix epoch in seconds.",
             boot + int(fields[19]) / ticks),
        _one("process_open_fds", "Number of open file descriptors.",
             len(os.listdir(proc / "self/fd"))),
    ]  # fmt: skip


def _one(
    name: str, help: str, value: float, labels: Mapping[str, str] | None = None, *,
    type: str = "gauge",
) -> Family:  # fmt: skip
    family = Family(name=name, help=help, type=type)
    family.add(value, labels or {})
    return family
