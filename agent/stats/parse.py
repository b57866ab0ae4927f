"""Kernel files to values: cgroup v1 and v2, and /proc. Pure; the formats are the kernel's
Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst and filesystems/proc.rst."""

from collections.abc import Mapping

from agent.stats.usage import Cpu, Details, Io, Memory, Network

_UNLIMITED = 1 << 62
"""v1 says "no limit" as the largest multiple of a page."""
_TICK_NS = 10_000_000
"""USER_HZ is 100 on every architecture Linux runs Podman on."""


def parse_pairs(text: str) -> dict[str, int]:
    """``key value`` lines, as memory.stat, cpu.stat and memory.events have them."""
    pairs = (line.split() for line in text.splitlines())
    return {p[0]: int(p[1]) for p in pairs if len(p) == 2 and p[1].lstrip("-").isdecimal()}


def parse_number(text: str | None) -> int:
    """0 for a file that is not there, for "max" and for v1's "no limit"."""
    number = int(text) if text and text.strip().isdecimal() else 0
    return number if number < _UNLIMITED else 0


# -- cgroup v2 ---------------------------------------------------------------------------------


def cpu_v2(stat: str) -> Cpu:
    found = parse_pairs(stat)
    return Cpu(
        usage_ns=found.get("usage_usec", 0) * 1000,
        user_ns=found.get("user_usec", 0) * 1000,
        system_ns=found.get("system_usec", 0) * 1000,
        periods=found.get("nr_periods", 0),
        throttled_periods=found.get("nr_throttled", 0),
        throttled_ns=found.get("throttled_usec", 0) * 1000,
    )


def memory_v2(current: str, stat: str) -> Memory:
    found = parse_pairs(stat)
    usage = parse_number(current)
    return Memory(
        usage=usage,
        working_set=working_set(usage, found.get("inactive_file", 0)),
        rss=found.get("anon", 0),
        cache=found.get("file", 0),
        mapped=found.get("file_mapped", 0),
        page_faults=found.get("pgfault", 0),
        major_page_faults=found.get("pgmajfault", 0),
    )


def io_v2(stat: str) -> tuple[Io, ...]:
    """``8:0 rbytes=1 wbytes=2 rios=3 ...``, one line a device."""
    found = []
    for line in stat.splitlines():
        device, *words = line.split() or [""]
        pairs = (word.partition("=") for word in words)
        sums = {key: int(value) for key, _, value in pairs if value.isdecimal()}
        if sums:
            found.append(
                Io(
                    device=device,
                    read_bytes=sums.get("rbytes", 0), write_bytes=sums.get("wbytes", 0),
                    reads=sums.get("rios", 0), writes=sums.get("wios", 0),
                )
            )  # fmt: skip
    return tuple(found)


def limits_v2(weight: str, cpu_max: str, memory_low: str, swap_max: str) -> Details:
    """cpu.weight is told as the shares it was made of, as cadvisor does."""
    quota, _, period = cpu_max.strip().partition(" ")
    number = parse_number(weight)
    return Details(
        cpu_shares=2 + (number - 1) * 262142 // 9999 if number else 0,
        cpu_quota_us=parse_number(quota),
        cpu_period_us=parse_number(period),
        memory_reservation=parse_number(memory_low),
        swap_limit=parse_number(swap_max),
    )


def parse_pressure(text: str) -> tuple[int, int]:
    """``some avg10=0.00 avg60=0.00 avg300=0.00 total=12`` and ``full ...``: the totals."""
    totals = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        totals[kind] = parse_number(rest.rpartition("total=")[2])
    return totals.get("some", 0), totals.get("full", 0)


# -- cgroup v1 ---------------------------------------------------------------------------------


def cpu_v1(usage: str, ticks: str, stat: str) -> Cpu:
    """cpuacct.usage, cpuacct.stat and cpu.stat."""
    split, limits = parse_pairs(ticks), parse_pairs(stat)
    return Cpu(
        usage_ns=parse_number(usage),
        user_ns=split.get("user", 0) * _TICK_NS,
        system_ns=split.get("system", 0) * _TICK_NS,
        periods=limits.get("nr_periods", 0),
        throttled_periods=limits.get("nr_throttled", 0),
        throttled_ns=limits.get("throttled_time", 0),
    )


def memory_v1(usage_in_bytes: str, stat: str) -> Memory:
    """The ``total_`` figures have the cgroups below in them, as v2's have."""
    found = parse_pairs(stat)
    usage = parse_number(usage_in_bytes)
    return Memory(
        usage=usage,
        working_set=working_set(usage, found.get("total_inactive_file", 0)),
        rss=found.get("total_rss", 0),
        cache=found.get("total_cache", 0),
        mapped=found.get("total_mapped_file", 0),
        swap=found.get("total_swap", 0),
        page_faults=found.get("total_pgfault", 0),
        major_page_faults=found.get("total_pgmajfault", 0),
    )


def io_v1(service_bytes: str, serviced: str) -> tuple[Io, ...]:
    """``8:0 Read 4096`` lines and a total, of blkio.throttle.io_service*_recursive."""
    moved, times = _by_operation(service_bytes), _by_operation(serviced)
    return tuple(
        Io(
            device=device,
            read_bytes=sums.get("Read", 0), write_bytes=sums.get("Write", 0),
            reads=times.get(device, {}).get("Read", 0),
            writes=times.get(device, {}).get("Write", 0),
        )
        for device, sums in moved.items()
    )  # fmt: skip


def _by_operation(text: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2].isdecimal():
            found.setdefault(words[0], {})[words[1]] = int(words[2])
    return found


def limits_v1(shares: str, quota: str, period: str, soft: str, memsw: str) -> Details:
    return Details(
        cpu_shares=parse_number(shares),
        cpu_quota_us=parse_number(quota),
        cpu_period_us=parse_number(period),
        memory_reservation=parse_number(soft),
        swap_limit=parse_number(memsw),
    )


def working_set(usage: int, inactive_file: int) -> int:
    """As cadvisor's setMemoryStats: what cannot be had back without hurting anybody."""
    return max(usage - inactive_file, 0)


# -- /proc -------------------------------------------------------------------------------------


def parse_meminfo(text: str) -> dict[str, int]:
    """In bytes."""
    found = {}
    for line in text.splitlines():
        key, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdecimal():
            found[key] = int(words[0]) * (1024 if words[-1] == "kB" else 1)
    return found


def node_memory(meminfo: Mapping[str, int], vmstat: Mapping[str, int]) -> Memory:
    """As libcontainer's statsFromMeminfo for a root cgroup without figures of its own."""
    usage = max(meminfo.get("MemTotal", 0) - meminfo.get("MemFree", 0), 0)
    return Memory(
        usage=usage,
        working_set=working_set(usage, meminfo.get("Inactive(file)", 0)),
        rss=meminfo.get("AnonPages", 0),
        cache=meminfo.get("Cached", 0),
        mapped=meminfo.get("Mapped", 0),
        swap=max(meminfo.get("SwapTotal", 0) - meminfo.get("SwapFree", 0), 0),
        limit=meminfo.get("MemTotal", 0),
        page_faults=vmstat.get("pgfault", 0),
        major_page_faults=vmstat.get("pgmajfault", 0),
    )


def node_cpu(stat: str) -> Cpu:
    """The first line of /proc/stat: all but idle and iowait. Guests are in user already."""
    words = stat.splitlines()[0].split()[1:] if stat else []
    user, nice, system, _, _, irq, softirq, steal = ([*map(int, words[:8])] + [0] * 8)[:8]
    return Cpu(
        usage_ns=(user + nice + system + irq + softirq + steal) * _TICK_NS,
        user_ns=(user + nice) * _TICK_NS,
        system_ns=(system + irq + softirq) * _TICK_NS,
    )


def parse_net_dev(text: str) -> dict[str, Network]:
    """/proc/net/dev, by interface."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        numbers = [int(word) for word in rest.split()]
        if len(numbers) >= 16:
            found[name.strip()] = Network(
                name=name.strip(),
                rx_bytes=numbers[0], rx_packets=numbers[1],
                rx_errors=numbers[2], rx_dropped=numbers[3],
                tx_bytes=numbers[8], tx_packets=numbers[9],
                tx_errors=numbers[10], tx_dropped=numbers[11],
            )  # fmt: skip
    return found


def from_inside(host: Network, *, name: str = "eth0") -> Network:
    """A pod's own interface, from what the host's end of its link has counted."""
    return Network(
        name=name,
        rx_bytes=host.tx_bytes, rx_packets=host.tx_packets,
        rx_errors=host.tx_errors, rx_dropped=host.tx_dropped,
        tx_bytes=host.rx_bytes, tx_packets=host.rx_packets,
        tx_errors=host.rx_errors, tx_dropped=host.rx_dropped,
    )  # fmt: skip


def default_interface(routes: str) -> str:
    """The link of the default route in /proc/net/route, "" where there is none."""
    for line in routes.splitlines()[1:]:
        words = line.split()
        if len(words) > 7 and words[1] == words[7] == "00000000":
            return words[0]
    return ""
