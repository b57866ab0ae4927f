"""Usage in the kubelet's forms: Summary, Prometheus' text, the report to the server."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.runtime.runtime import Container
from agent.stats.cadvisor_details import Machine
from agent.stats.cadvisor_metrics import cadvisor_families
from agent.stats.disk import PodDisk
from agent.stats.exposition import Family, exposition
from agent.stats.own_metrics import Own, own_families
from agent.stats.rates import Rated
from agent.stats.report import report
from agent.stats.resource_metrics import resource_families
from agent.stats.snapshot import ContainerStats, PodStats, Snapshot
from agent.stats.summary import About, summary
from agent.stats.usage import Cpu, Details, Filesystem, Io, Memory, Network, Usage
from agent.stats.volumes import VolumeAt, measure, volume_families

NOW = 1_767_225_600.5
POD = "/edgek/burstable/pod1"
MAIN = f"{POD}/libpod-abc"
LINK = Network(
    name="eth0", rx_bytes=10, rx_packets=1, rx_errors=0, rx_dropped=0,
    tx_bytes=20, tx_packets=2, tx_errors=0, tx_dropped=0,
)  # fmt: skip

AT = VolumeAt(pod_uid="u1", namespace="shop", volume="big", claim="claim", path=Path("/x"))
FULL = Filesystem(capacity=1000, available=1, used=999)


def usage(cpu_ns: int, *, limit: int = 0) -> Usage:
    memory = Memory(usage=300, working_set=200, rss=100, limit=limit)
    cpu = Cpu(usage_ns=cpu_ns)
    return Usage(
        time=NOW, cpu=cpu, memory=memory, io=(Io(device="8:0", reads=5),), pids=3, oom_kills=1
    )


def snapshot() -> Snapshot:
    pod = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "u1"},
        "status": {"startTime": "2026-01-01T00:00:00Z"},
    }
    container = Container(
        id="abc", name="a", state="running", labels={}, image="i:1",
        started_at=datetime.fromtimestamp(NOW - 100, UTC),
    )  # fmt: skip
    main = ContainerStats(name="main", container=container, path=MAIN, usage=usage(7_000_000_000))
    stats = PodStats(
        pod=pod, path=POD, usage=usage(8_000_000_000, limit=1000), containers=(main,), network=LINK
    )
    return Snapshot(node=usage(90_000_000_000), pods=(stats,), interfaces={"e": LINK}, link="e")


def rated() -> Rated:
    paths = {"/": 89_000_000_000, POD: 6_000_000_000, MAIN: 6_000_000_000}
    return Rated(snapshot=snapshot(), before={p: (NOW - 10, ns) for p, ns in paths.items()})


def parsed(families: list[Family]) -> dict[tuple[str, frozenset[Any]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition(families))
        for sample in family.samples
    }


def test_the_summary_is_as_clients_of_the_kubelet_read_it() -> None:
    disk = PodDisk(time=NOW, total=60, inodes=5, layers={"main": 10}, logs={"main": 20},
                   volumes={"data": 30})  # fmt: skip
    about = About(
        node_name="n", booted=datetime.fromtimestamp(NOW - 1000, UTC), max_pids=1000,
        node_fs=Filesystem(capacity=100, available=40, used=60, inodes=10, inodes_used=4),
        disks={"u1": disk}, volumes={AT: FULL},
    )  # fmt: skip
    found = summary(rated(), about)
    assert found["node"]["cpu"] == {
        "time": "2026-01-01T00:00:00Z",
        "usageCoreNanoSeconds": 90_000_000_000,
        "usageNanoCores": 100_000_000,
    }
    [pod] = found["pods"]
    assert pod["podRef"] == {"name": "web", "namespace": "shop", "uid": "u1"}
    assert pod["memory"]["availableBytes"] == 800
    assert pod["memory"]["workingSetBytes"] == 200
    assert pod["ephemeral-storage"]["usedBytes"] == 60
    claimed, data = pod["volume"]
    assert claimed["pvcRef"] == {"name": "claim", "namespace": "shop"}
    assert (claimed["capacityBytes"], claimed["availableBytes"]) == (1000, 1)
    assert (data["name"], data["usedBytes"]) == ("data", 30)
    assert pod["network"]["interfaces"][0]["txBytes"] == 20
    [main] = pod["containers"]
    assert main["cpu"]["usageNanoCores"] == 100_000_000
    assert "availableBytes" not in main["memory"]  # without a limit there is no "available"
    assert (main["rootfs"]["usedBytes"], main["logs"]["usedBytes"]) == (10, 20)


def test_the_short_summary_has_cpu_and_memory_alone() -> None:
    about = About(node_name="n", booted=datetime.fromtimestamp(NOW, UTC), max_pids=1)
    found = summary(rated(), about, only_cpu_and_memory=True)
    assert "fs" not in found["node"]
    assert "network" not in found["pods"][0]
    assert found["pods"][0]["containers"][0]["memory"]["workingSetBytes"] == 200


def test_prometheus_reads_what_cadvisor_would_write() -> None:
    found = parsed(cadvisor_families(snapshot(), Machine(cpus=4, memory=1 << 30)))
    pod = {"namespace": "shop", "pod": "web"}
    main = {**pod, "container": "main", "id": MAIN, "image": "i:1", "name": "abc"}
    own = {**pod, "container": "", "id": POD, "image": "", "name": ""}
    labels = frozenset({**main, "cpu": "total"}.items())
    assert found["container_cpu_usage_seconds_total", labels] == 7
    assert found["container_memory_working_set_bytes", frozenset(main.items())] == 200
    link = frozenset({**own, "interface": "eth0"}.items())
    assert found["container_network_transmit_bytes_total", link] == 20
    assert found["machine_cpu_cores", frozenset()] == 4
    started = found["container_start_time_seconds", frozenset(main.items())]
    assert started == NOW - 100


def test_dashboards_find_disks_limits_and_waits() -> None:
    seen = snapshot()
    waits = Details(cpu_shares=2, cpu_period_us=100000, pressure={"memory": (3_000_000, 500_000)})
    seen = replace(seen, node=replace(seen.node, details=waits), pods=(
        replace(seen.pods[0], usage=replace(seen.pods[0].usage, details=waits)),))  # fmt: skip
    ids = {"boot_id": "b", "machine_id": "m", "system_uuid": "s"}
    disk = replace(FULL, device="/dev/sda1")
    found = parsed(cadvisor_families(
        seen, Machine(cpus=4, memory=1, ids=ids, filesystems=(disk, disk))))  # fmt: skip
    node = {"container": "", "id": "/", "image": "", "name": "", "namespace": "", "pod": ""}
    own = frozenset({**node, "id": POD, "namespace": "shop", "pod": "web"}.items())
    on_disk = frozenset({**node, "device": "/dev/sda1"}.items())
    assert found["container_fs_limit_bytes", on_disk] == 1000
    assert found["container_spec_cpu_shares", own] == 2
    assert ("container_spec_cpu_quota", own) not in found
    assert ("container_spec_cpu_shares", frozenset(node.items())) not in found
    assert found["container_pressure_memory_waiting_seconds_total", own] == 3
    assert found["container_pressure_memory_stalled_seconds_total", frozenset(node.items())] == 0.5
    assert found["machine_memory_bytes", frozenset(ids.items())] == 1
    reads = [labels for name, labels in found if name == "container_fs_reads_total"]
    assert len(reads) == 3
    assert all(dict(labels)["device"] for labels in reads)


def test_prometheus_reads_the_resource_metrics() -> None:
    found = parsed(resource_families(snapshot()))
    pod = {"namespace": "shop", "pod": "web"}
    assert found["pod_cpu_usage_seconds_total", frozenset(pod.items())] == 8
    main = frozenset({**pod, "container": "main"}.items())
    assert found["container_memory_working_set_bytes", main] == 200
    assert found["node_cpu_usage_seconds_total", frozenset()] == 90
    assert found["resource_scrape_error", frozenset()] == 0


def test_the_agent_tells_of_its_own_process() -> None:
    own = Own(node_name="n", version="v1", cpus=1, memory=1, pods=2, containers={"running": 3})
    found = parsed(own_families(own))
    assert found["kubelet_running_pods", frozenset()] == 2
    assert found["kubelet_running_containers", frozenset({("container_state", "running")})] == 3
    assert found["process_resident_memory_bytes", frozenset()] > 1 << 20


def test_labels_are_quoted() -> None:
    family = Family(name="a", help='one\\two "x"\nthree')
    family.add(1.5, {"l": 'a"b\\c\nd'}, at=2.0)
    [(key, value)] = parsed([family]).items()
    assert (key, value) == (("a", frozenset({("l", 'a"b\\c\nd')})), 1.5)


def test_a_report_has_whole_pods_only() -> None:
    one = rated()
    found = report(one)
    assert found["window"] == pytest.approx(10)
    assert found["pods"][0]["containers"] == {"main": {"cpu": 100_000_000, "memory": 200}}
    new = replace(one, before={"/": one.before["/"]})
    # It began a hundred seconds ago and has used seven.
    assert report(new)["pods"][0]["containers"]["main"]["cpu"] == 70_000_000
    [pod] = one.snapshot.pods
    uncounted = replace(pod.containers[0], usage=replace(pod.usage, memory=None))
    half = replace(one.snapshot, pods=(replace(pod, containers=(uncounted,)),))
    assert report(replace(one, snapshot=half))["pods"] == []


async def test_claimed_volumes_are_measured_and_those_that_are_gone_left_out(
    tmp_path: Path,
) -> None:
    here, gone = replace(AT, path=tmp_path), replace(AT, claim="b", path=tmp_path / "gone")
    found = await measure([here, gone])
    assert list(found) == [here]
    told = parsed(volume_families(found))
    labels = frozenset({("namespace", "shop"), ("persistentvolumeclaim", "claim")})
    used, capacity = (told[f"kubelet_volume_stats_{n}_bytes", labels] for n in ("used", "capacity"))
    assert 0 < used < capacity
