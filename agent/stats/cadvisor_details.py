"""/metrics/cadvisor, what is not of every cgroup: disks, limits, waits (PSI), the machine. Pure but
for the names of disks.

As cadvisor's metrics/prometheus.go and prometheus_machine.go. Dashboards choose disks by their
names (``device=~"(/dev/)?(mmcblk.p.+|sd.+|...)"``), so the kernel's numbers are told as such.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agent.stats.exposition import Family
from agent.stats.node import device_name
from agent.stats.usage import Details, Filesystem, Usage

Row = tuple[Mapping[str, str], Usage]
"""The labels of a cgroup, and what it used."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """``ids``: boot_id, machine_id and system_uuid. ``filesystems``: the node's and the images'."""

    cpus: int
    memory: int
    swap: int = 0
    ids: Mapping[str, str] = field(default_factory=dict)
    filesystems: Sequence[Filesystem] = ()


_DISK = (
    ("reads_bytes_total", "read_bytes", "Cumulative count of bytes read"),
    ("reads_total", "reads", "Cumulative count of reads completed"),
    ("writes_bytes_total", "write_bytes", "Cumulative count of bytes written"),
    ("writes_total", "writes", "Cumulative count of writes completed"),
)


def disk_families(rows: Iterable[Row]) -> Iterator[Family]:
    found = [(labels, usage, io) for labels, usage in rows for io in usage.io or ()]
    names = {number: device_name(number) for number in {io.device for _, _, io in found}}
    for key, of, text in _DISK:
        family = Family(name=f"container_fs_{key}", type="counter", help=text)
        for labels, usage, io in found:
            family.add(getattr(io, of), _with(labels, device=names[io.device]), at=usage.time)
        yield family


_FILESYSTEM = (
    ("inodes_free", "inodes_free", "Number of available Inodes"),
    ("inodes_total", "inodes", "Number of Inodes"),
    ("limit_bytes", "capacity",
     "Number of bytes that can be consumed by the container on this filesystem."),
    ("usage_bytes", "used",
     "Number of bytes that are consumed by the container on this filesystem."),
)  # fmt: skip


def filesystem_families(node: Row, filesystems: Iterable[Filesystem]) -> Iterator[Family]:
    """Of the node alone, as where a kubelet asks its runtime for the usage of containers."""
    labels, usage = node
    by_device = {filesystem.device: filesystem for filesystem in filesystems}
    for key, of, text in _FILESYSTEM:
        family = Family(name=f"container_fs_{key}", help=text)
        for device, filesystem in sorted(by_device.items()):
            family.add(getattr(filesystem, of), _with(labels, device=device), at=usage.time)
        yield family


Limit = Callable[[Details], float | None]
_LIMITS: tuple[tuple[str, str, Limit], ...] = (
    ("cpu_period", "CPU period of the container.", lambda d: d.cpu_period_us or None),
    ("cpu_quota", "CPU quota of the container.", lambda d: d.cpu_quota_us or None),
    ("cpu_shares", "CPU share of the container.", lambda d: d.cpu_shares or None),
    ("memory_reservation_limit_bytes", "Memory reservation limit for the container.",
     lambda d: d.memory_reservation),
    ("memory_swap_limit_bytes", "Memory swap limit for the container.", lambda d: d.swap_limit),
)  # fmt: skip


def limit_families(rows: Iterable[Row]) -> Iterator[Family]:
    """Of pods and containers; the node has no limit."""
    found = [(labels, usage) for labels, usage in rows if labels["pod"]]
    for key, text, read in _LIMITS:
        family = Family(name=f"container_spec_{key}", help=text)
        for labels, usage in found:
            if usage.details is not None and (value := read(usage.details)) is not None:
                family.add(value, labels, at=usage.time)
        yield family


_PRESSURE = {
    "cpu": "CPU congestion", "memory": "memory congestion", "io": "IO congestion",
}  # fmt: skip
_WAITS = (("waiting", "have waited"), ("stalled", "have stalled"))


def pressure_families(rows: Iterable[Row]) -> Iterator[Family]:
    """Where the kernel counts it: cgroup v2, and for the node /proc/pressure."""
    kept = list(rows)
    for kind, why in _PRESSURE.items():
        for which, (word, text) in enumerate(_WAITS):
            family = Family(
                name=f"container_pressure_{kind}_{word}_seconds_total", type="counter",
                help=f"Total time duration tasks in the container {text} due to {why}.",
            )  # fmt: skip
            for labels, usage in kept:
                totals = usage.details.pressure.get(kind) if usage.details is not None else None
                if totals is not None:
                    family.add(totals[which] / 1e6, labels, at=usage.time)
            yield family


def machine_families(about: Machine) -> Iterator[Family]:
    for key, text, value in (
        ("machine_cpu_cores", "Number of logical CPU cores.", about.cpus),
        ("machine_memory_bytes", "Amount of memory installed on the machine.", about.memory),
        ("machine_swap_bytes", "Amount of swap memory available on the machine.", about.swap),
    ):
        family = Family(name=key, help=text)
        family.add(value, about.ids)
        yield family
    error = Family(
        name="machine_scrape_error",
        help="1 if there was an error while getting machine metrics, 0 otherwise.",
    )
    error.add(0, {})
    yield error


def _with(labels: Mapping[str, str], *, device: str) -> dict[str, str]:
    return dict(sorted({**labels, "device": device}.items()))
