"""Usage read from files as kernels of both cgroup versions wrote them."""

from pathlib import Path

import pytest

from agent.runtime.machine import Machine
from agent.stats import node, parse
from agent.stats.cgroups import CgroupReader, container_path
from agent.stats.usage import Cpu, Details, Io, Memory, Network

POD = "/edgek/burstable/pod1"
CONTROLLERS = frozenset({"cpu", "cpuacct", "memory", "pids", "blkio"})

# A container that reads a file of 8 MiB, on 6.1; v1 and v2 of the same moment in the figures that
# matter.
V2 = {
    "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n"
    "core_sched.force_idle_usec 0\nnr_periods 40\nnr_throttled 7\nthrottled_usec 300000\n",
    "memory.current": "12582912\n",
    "memory.max": "max\n",
    "memory.peak": "13000000\n",
    "memory.swap.current": "4096\n",
    "memory.stat": "anon 2097152\nfile 8388608\nfile_mapped 1048576\ninactive_anon 0\n"
    "inactive_file 6291456\nactive_file 2097152\npgfault 900\npgmajfault 3\n",
    "memory.events": "low 0\nhigh 0\nmax 4\noom 1\noom_kill 1\noom_group_kill 0\n",
    "pids.current": "5\n",
    "cpu.weight": "100\n",
    "cpu.max": "20000 100000\n",
    "memory.low": "0\n",
    "memory.swap.max": "1024\n",
    "cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=250000\n",
    "io.stat": "8:0 rbytes=8192 wbytes=4096 rios=2 wios=1 dbytes=0 dios=0\n"
    "259:0 rbytes=100 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n7:0 \n",
}
V1 = {
    "cpuacct/cpuacct.usage": "2500000000\n",
    "cpuacct/cpuacct.stat": "user 200\nsystem 50\n",
    "cpu/cpu.stat": "nr_periods 40\nnr_throttled 7\nthrottled_time 300000000\n",
    "cpu/cpu.shares": "1024\n",
    "cpu/cpu.cfs_quota_us": "-1\n",
    "cpu/cpu.cfs_period_us": "100000\n",
    "memory/memory.usage_in_bytes": "12582912\n",
    "memory/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/memory.max_usage_in_bytes": "13000000\n",
    "memory/memory.stat": "cache 1\nrss 1\ninactive_file 1\ntotal_cache 8388608\n"
    "total_rss 2097152\ntotal_mapped_file 1048576\ntotal_swap 4096\ntotal_pgfault 900\n"
    "total_pgmajfault 3\ntotal_inactive_file 6291456\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    "pids/pids.current": "5\n",
    "blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Read 8192\n8:0 Write 4096\n"
    "8:0 Sync 8192\n8:0 Total 12288\n259:0 Read 100\nTotal 12388\n",
    "blkio/blkio.throttle.io_serviced_recursive": "8:0 Read 2\n8:0 Write 1\n259:0 Read 1\n"
    "Total 4\n",
}


def reader(base: Path, *, v2: bool) -> CgroupReader:
    for name, text in (V2 if v2 else V1).items():
        controller, _, file = name.rpartition("/")
        directory = base / controller / POD.lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text(text)
    return CgroupReader(machine=Machine(cgroup_v2=v2, controllers=CONTROLLERS), base=base)


@pytest.mark.parametrize("v2", [True, False])
def test_both_versions_of_cgroups_tell_the_same_usage(tmp_path: Path, v2: bool) -> None:
    usage = reader(tmp_path, v2=v2).usage(POD)
    assert usage is not None
    assert usage.cpu == Cpu(
        usage_ns=2_500_000_000,
        user_ns=2_000_000_000,
        system_ns=500_000_000,
        periods=40,
        throttled_periods=7,
        throttled_ns=300_000_000,
    )
    assert usage.memory == Memory(
        usage=12582912,
        working_set=6291456,
        rss=2097152,
        cache=8388608,
        mapped=1048576,
        swap=4096,
        limit=0,
        peak=13000000,
        page_faults=900,
        major_page_faults=3,
    )
    assert usage.io is not None
    first, *others = usage.io
    assert first == Io(device="8:0", read_bytes=8192, write_bytes=4096, reads=2, writes=1)
    assert [(io.device, io.read_bytes, io.reads) for io in others] == [("259:0", 100, 1)]
    assert (usage.pids, usage.oom_kills) == (5, 1)


def test_limits_and_waits_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    found = reader(tmp_path, v2=True).usage(POD, detailed=True)
    assert found is not None
    assert found.details == Details(
        cpu_shares=2597, cpu_quota_us=20000, cpu_period_us=100000, swap_limit=1024,
        pressure={"cpu": (1_500_000, 250_000)},
    )  # fmt: skip
    old = reader(tmp_path / "v1", v2=False).usage(POD, detailed=True)
    assert old is not None
    assert old.details == Details(cpu_shares=1024, cpu_period_us=100000)


@pytest.mark.parametrize("v2", [True, False])
def test_eviction_is_told_the_working_set_alone(tmp_path: Path, v2: bool) -> None:
    assert reader(tmp_path, v2=v2).working_set(POD) == 6291456


@pytest.mark.parametrize("v2", [True, False])
def test_a_cgroup_that_is_gone_has_no_usage(tmp_path: Path, v2: bool) -> None:
    gone = container_path(POD, "0123abcd")
    found = reader(tmp_path, v2=v2)
    assert (found.usage(gone), found.working_set(gone)) == (None, None)


def test_without_the_memory_controller_the_rest_is_told(tmp_path: Path) -> None:
    found = reader(tmp_path, v2=True)
    for file in tmp_path.rglob("memory.*"):
        file.unlink()
    usage = found.usage(POD)
    assert usage is not None
    assert usage.memory is None
    assert usage.pids == 5


def test_the_node_counts_all_but_idle_time(tmp_path: Path) -> None:
    cpu = parse.node_cpu("cpu  100 20 30 4000 500 6 7 8 9 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n")
    assert cpu.usage_ns == (100 + 20 + 30 + 6 + 7 + 8) * 10_000_000


def test_the_nodes_memory_in_use_is_what_is_neither_free_nor_old_cache() -> None:
    meminfo = parse.parse_meminfo(
        "MemTotal:        1000 kB\nMemFree:          400 kB\nInactive(file):   250 kB\n"
        "AnonPages:         90 kB\nHugePages_Total:       2\n"
    )
    memory = parse.node_memory(meminfo, {"pgfault": 5})
    assert (memory.usage, memory.working_set) == (600 * 1024, 350 * 1024)
    assert (memory.rss, memory.limit, memory.page_faults) == (90 * 1024, 1000 * 1024, 5)


def test_this_machine_is_read_as_it_is() -> None:
    usage = node.node_usage()
    assert usage.cpu is not None
    assert usage.cpu.usage_ns > 0
    assert usage.memory is not None
    assert 0 < usage.memory.working_set <= usage.memory.usage <= usage.memory.limit
    assert usage.pids is not None
    assert 0 < usage.pids <= node.max_pids()
    disk = node.filesystem(Path("/"))
    assert 0 < disk.used < disk.capacity


NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop ...
    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0
ek0123456789ab:  500       5    1    2    0     0          0         0   700      7    3    4    0
"""


def test_a_pod_has_received_what_its_link_has_sent() -> None:
    text = NET_DEV.rstrip() + " 0 0 0\n"
    inside = parse.from_inside(parse.parse_net_dev(text)["ek0123456789ab"])
    assert inside == Network(
        name="eth0",
        rx_bytes=700, rx_packets=7, rx_errors=3, rx_dropped=4,
        tx_bytes=500, tx_packets=5, tx_errors=1, tx_dropped=2,
    )  # fmt: skip


def test_the_nodes_own_interface_is_that_of_the_default_route() -> None:
    header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    local = "eth1\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    default = "eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    assert parse.default_interface(header + local + default) == "eth0"
    assert parse.default_interface(header + local) == ""
