"""The machine's own figures, and the kernel's call."""

import asyncio
import time
from pathlib import Path

import pytest

from agent.pressure.disk import Walk
from agent.pressure.psi import MemoryStalls
from agent.pressure.reading import Reader
from agent.runtime.machine import Machine
from agent.stats.cgroups import CgroupReader


def reader(root: Path, proc: Path, *, limit: int = 0) -> Reader:
    return Reader(
        node_fs=root,
        image_fs=root,
        cgroups=CgroupReader(machine=Machine(), base=root / "cgroup"),
        pod_cgroup="/edgek",
        allocatable_memory=limit,
        proc=proc,
    )


def test_memory_is_what_the_working_set_leaves_and_pids_what_the_kernel_permits(
    tmp_path: Path,
) -> None:
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "meminfo").write_text(
        "MemTotal: 1000 kB\nMemFree: 300 kB\nMemAvailable: 700 kB\nInactive(file): 200 kB\n"
    )
    (tmp_path / "sys/kernel/pid_max").write_text("32768\n")
    (tmp_path / "sys/kernel/threads-max").write_text("1000\n")
    (tmp_path / "loadavg").write_text("0.00 0.01 0.05 1/250 4711\n")
    seen = reader(tmp_path, tmp_path).read()
    assert (seen["memory.available"].available, seen["memory.available"].capacity) == (
        500 * 1024, 1000 * 1024,
    )  # fmt: skip
    assert (seen["pid.available"].available, seen["pid.available"].capacity) == (750, 1000)
    assert "allocatableMemory.available" not in seen


def test_the_pods_cgroup_counts_against_its_limit(tmp_path: Path) -> None:
    cgroup = tmp_path / "cgroup/edgek"
    cgroup.mkdir(parents=True)
    (cgroup / "memory.current").write_text("800\n")
    (cgroup / "memory.stat").write_text("inactive_file 300\n")
    seen = reader(tmp_path, tmp_path / "none", limit=1000).read()
    assert seen["allocatableMemory.available"].available == 500
    assert "memory.available" not in seen  # there is no such file here


def test_this_machine_is_read_in_a_moment(tmp_path: Path) -> None:
    real = reader(tmp_path, Path("/proc"))
    assert {"memory.available", "nodefs.available", "pid.available"} <= real.read().keys()
    began = time.process_time()
    for _ in range(20):
        real.read()
    assert (time.process_time() - began) / 20 < 0.003


async def test_a_machine_without_psi_has_no_calls_and_no_error(tmp_path: Path) -> None:
    told: list[int] = []
    stalls = MemoryStalls(lambda: told.append(1), path=tmp_path / "none")
    assert not stalls.works
    await asyncio.sleep(0)
    stalls.close()
    assert told == []


@pytest.mark.skipif(not Path("/proc/pressure/memory").exists(), reason="this kernel has no PSI")
async def test_the_kernel_takes_our_trigger_and_is_quiet_while_nothing_stalls() -> None:
    told: list[int] = []
    stalls = MemoryStalls(lambda: told.append(1))
    assert stalls.works
    await asyncio.sleep(0.05)
    stalls.close()
    stalls.close()
    assert told == []


def test_a_walk_counts_what_is_on_disk_once_and_follows_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").write_bytes(b"x" * 100_000)
    (tmp_path / "again").hardlink_to(tmp_path / "a/file")
    (tmp_path / "away").symlink_to("/usr")
    walk = Walk().add(tmp_path)
    assert 100_000 <= walk.size < 300_000
    assert walk.inodes == 3
    assert Walk().add(tmp_path / "none") == Walk()
