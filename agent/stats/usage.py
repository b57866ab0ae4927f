"""Usage: what a cgroup has used, as the kernel counts it. None: this machine does not count it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """Nanoseconds since the cgroup was made; ``throttled_ns`` and the periods are of a CPU
    limit."""

    usage_ns: int
    user_ns: int = 0
    system_ns: int = 0
    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes. ``limit`` 0: none is set."""

    usage: int
    working_set: int
    rss: int = 0
    cache: int = 0
    mapped: int = 0
    swap: int = 0
    limit: int = 0
    peak: int = 0
    page_faults: int = 0
    major_page_faults: int = 0


@dataclass(frozen=True, kw_only=True)
class Io:
    """Since the cgroup was made, of one device ("8:0")."""

    device: str
    read_bytes: int = 0
    write_bytes: int = 0
    reads: int = 0
    writes: int = 0


@dataclass(frozen=True, kw_only=True)
class Details:
    """What a cgroup is allowed, 0 where there is no limit, and how long it had to wait: resource ->
    (microseconds in which some of it waited, in which all of it stood)."""

    cpu_shares: int = 0
    cpu_quota_us: int = 0
    cpu_period_us: int = 0
    memory_reservation: int = 0
    swap_limit: int = 0
    pressure: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """``time`` is when it was read, seconds of the epoch. ``details`` only where asked for."""

    time: float
    cpu: Cpu | None = None
    memory: Memory | None = None
    io: tuple[Io, ...] | None = None
    details: Details | None = None
    pids: int | None = None
    oom_kills: int | None = None


@dataclass(frozen=True, kw_only=True)
class Network:
    """One interface, from where the pod stands."""

    name: str
    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


@dataclass(frozen=True, kw_only=True)
class Filesystem:
    """Bytes and inodes of a filesystem, and what is used of it."""

    capacity: int
    available: int
    used: int
    inodes: int = 0
    inodes_free: int = 0
    inodes_used: int = 0
    device: str = ""
