"""Run by test_runtime.py inside a node of the test bed, where Podman's storage is its own:
the contract on real Podman, and what only the real one can show.
"""

# ruff: noqa: ASYNC221, ASYNC240  (a test may block its own loop for a moment)

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.runtime.cgroups import Cgroups
from agent.runtime.machine import look_at_machine
from agent.runtime.podman import PodmanRuntime
from agent.runtime.runtime import Container, ContainerSpec, Namespaces, Resources, RuntimeFailure
from agent.runtime.service import PodmanService
from edgek.aio.tasks import cancel_and_wait
from tests.contracts.runtime import SECONDS, Exited, RuntimeContract
from tests.support.images import BUSYBOX

CGROUP_ROOT = os.environ["EDGEK_TEST_CGROUP"]


class PodmanBench:
    def __init__(self, service: PodmanService, directory: Path) -> None:
        self.service, self.directory = service, directory
        self.machine = look_at_machine()
        self.cgroups = Cgroups(machine=self.machine, root=CGROUP_ROOT)
        self.runtime = self.fresh_runtime()

    def fresh_runtime(self) -> PodmanRuntime:
        return PodmanRuntime(
            self.service.socket, machine=self.machine, boot=self.service.boot,
            enter=self.service.enter,
        )  # fmt: skip

    def spec(
        self,
        name: str,
        *,
        exits: int | None = None,
        after: float = 0.0,
        ignores_term: bool = False,
        image: str = "",
    ) -> ContainerSpec:
        ends = exits is not None
        script = f"sleep {after}; exit {exits}" if ends else self._lasting(ignores_term)
        return ContainerSpec(
            name=name,
            image=image or BUSYBOX,
            namespaces=Namespaces(net="host", ipc="host", uts="host"),
            cgroup_parent=self.cgroups.pod_path("Burstable", "uid-1"),
            log_path=str(self.directory / f"{name}.log"),
            entrypoint=("sh", "-c", script),
            labels={"io.edgek.pod-uid": "uid-1"},
        )

    @staticmethod
    def _lasting(ignores_term: bool) -> str:
        trap = "trap '' TERM" if ignores_term else "trap 'exit 143' TERM"
        return f"{trap}; echo heard; while :; do sleep 100 & wait $!; done"

    async def hears(self, name: str) -> None:
        log = self.directory / f"{name}.log"
        async with asyncio.timeout(SECONDS):
            while not (log.exists() and "heard" in log.read_text()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def run(self, spec: ContainerSpec) -> Container:
        container_id = await self.runtime.create(spec)
        await self.runtime.start(container_id)
        container = await self.runtime.inspect(container_id)
        assert container is not None
        return container


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[PodmanBench]:
    service = PodmanService(look_at_machine())
    await service.start()
    # Into the storage of this node, through the same namespace as the service.
    loaded = subprocess.run(
        [*service.enter, "podman", "load", "-q", "-i", os.environ["EDGEK_TEST_IMAGES"]],
        capture_output=True, check=False,
    )  # fmt: skip
    assert loaded.returncode == 0, loaded.stderr
    bench = PodmanBench(service, tmp_path)
    try:
        yield bench
    finally:
        for container in await bench.runtime.containers():
            await bench.runtime.remove(container.id)
        await bench.runtime.close()
        await service.stop()
        assert await bench.cgroups.remove(bench.cgroups.pod_path("Burstable", "uid-1"))
        assert await bench.cgroups.remove(CGROUP_ROOT)
        assert not list(Path("/run/edgek/unified").glob("*/*/*"))


class TestPodman(RuntimeContract):
    pass


async def test_exec_sees_output_codes_and_time(bench: PodmanBench) -> None:
    container = await bench.run(bench.spec("a"))
    exec_ = bench.runtime.exec
    result = await exec_(container.id, ("sh", "-c", "echo out; echo err >&2; exit 4"), timeout=5)
    assert (result.exit_code, result.output) == (4, b"out\nerr\n")
    for program, why in (("absent", "not found"), ("/etc/passwd", "ermission denied")):
        with pytest.raises(RuntimeFailure, match=why):
            await exec_(container.id, (program,), timeout=5)
    for slow in (("sleep", "77"), ("sh", "-c", "(sleep 77 & sleep 77; true) | sleep 77; true")):
        with pytest.raises(TimeoutError):
            await exec_(container.id, slow, timeout=0.5)
    left = await exec_(container.id, ("sh", "-c", "ps | grep '[s]leep 77'"), timeout=5)
    assert left.output == b""
    much = await exec_(container.id, ("sh", "-c", "yes | head -c 200000"), timeout=5)
    assert len(much.output) == 16 * 1024


async def test_what_podman_adds_to_the_environment_is_left_out(bench: PodmanBench) -> None:
    show = ("env",)
    plain = await bench.run(bench.spec("a"))
    told = (await bench.runtime.exec(plain.id, show, timeout=5)).output
    assert b"TERM=" not in told
    assert b"container=" not in told
    terminal = await bench.run(replace(bench.spec("b"), tty=True))
    assert b"TERM=xterm\n" in (await bench.runtime.exec(terminal.id, show, timeout=5)).output


async def test_a_session_carries_streams_eof_and_code(bench: PodmanBench) -> None:
    container = await bench.run(bench.spec("a"))
    argv = ("sh", "-c", "cat; echo problem >&2; exit 9")
    stream = await bench.runtime.exec_stream(container.id, argv, stdin=True, tty=False)
    await stream.write(b"over there\n")
    await stream.close_stdin()
    out = {1: b"", 2: b""}
    while (frame := await stream.read()) is not None:
        out[frame[0]] += frame[1]
    assert out == {1: b"over there\n", 2: b"problem\n"}
    assert await stream.exit_code() == 9
    await stream.close()


async def test_a_terminal_has_its_size_and_hangs_up_when_closed(bench: PodmanBench) -> None:
    container = await bench.run(bench.spec("a"))
    argv = ("sh", "-c", "read x; stty size; echo $TERM; exec sleep 78")
    stream = await bench.runtime.exec_stream(container.id, argv, stdin=True, tty=True)
    await stream.resize(101, 33)
    await stream.write(b"go\n")
    seen = b""
    async with asyncio.timeout(10):
        while b"33 101\r\nxterm" not in seen:
            frame = await stream.read()
            assert frame is not None
            seen += frame[1]
    await stream.close()
    probe = ("sh", "-c", "while ps | grep -q '[s]leep 78'; do sleep 0.05; done")
    assert (await bench.runtime.exec(container.id, probe, timeout=5)).exit_code == 0


async def test_attach_reads_what_the_container_says(bench: PodmanBench) -> None:
    spec = replace(bench.spec("a"), entrypoint=("sh", "-c", "read x; echo got $x"), stdin=True)
    container = await bench.run(spec)
    stream = await bench.runtime.attach(container.id, stdin=True, tty=False)
    await stream.write(b"word\n")
    async with asyncio.timeout(10):
        assert await stream.read() == (1, b"got word\n")
    await stream.close()


async def test_a_killed_process_is_seen_at_once(bench: PodmanBench) -> None:
    exited = Exited(bench.runtime)
    container = await bench.run(bench.spec("a"))
    os.kill(container.pid, signal.SIGKILL)
    await exited.wait(container.id)
    ended = await bench.runtime.inspect(container.id)
    assert ended is not None
    assert (ended.state, ended.exit_code) == ("exited", 137)


async def test_where_conmon_was_killed_the_end_is_still_told(bench: PodmanBench) -> None:
    container = await bench.run(bench.spec("a"))
    conmon = subprocess.run(
        ["pgrep", "-f", f"conmon.*{container.id}"], capture_output=True, text=True, check=True
    )
    for pid in conmon.stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    exited = Exited(bench.runtime)
    os.kill(container.pid, signal.SIGKILL)
    await exited.wait(container.id)
    ended = await bench.runtime.inspect(container.id)
    assert ended is not None
    assert (ended.state, ended.exit_code) == ("exited", 137)
    assert [c.state for c in await bench.runtime.containers()] == ["exited"]
    await bench.runtime.remove(container.id)
    assert await bench.runtime.containers() == []


async def test_a_killed_service_comes_back_and_containers_run_on(bench: PodmanBench) -> None:
    container = await bench.run(bench.spec("a"))
    bench.service.on_back = bench.runtime.came_back
    supervision = asyncio.create_task(bench.service.run())
    exits = bench.runtime.exits()
    os.kill(int(Path("/run/edgek/podman.pid").read_text()), signal.SIGKILL)
    async with asyncio.timeout(20):
        assert await anext(aiter(exits)) == ""
    found = (await bench.runtime.containers())[0]
    assert (found.id, found.state, found.pid) == (container.id, "running", container.pid)
    await cancel_and_wait(supervision)


async def test_a_new_agent_finds_containers_and_their_exits(bench: PodmanBench) -> None:
    container = await bench.run(bench.spec("a"))
    second = bench.fresh_runtime()
    try:
        exited = Exited(second)
        assert [c.id for c in await second.containers()] == [container.id]
        os.kill(container.pid, signal.SIGKILL)
        await exited.wait(container.id)
    finally:
        await second.close()


async def test_a_container_of_an_earlier_boot_counts_as_lost(bench: PodmanBench) -> None:
    await bench.runtime.create(bench.spec("a"))
    bench.service.boot = "another"
    after = bench.fresh_runtime()
    try:
        found = (await after.containers())[0]
        assert (found.state, found.exit_code) == ("exited", 137)
    finally:
        await after.close()


async def test_running_out_of_memory_is_told(bench: PodmanBench) -> None:
    if not bench.machine.has("memory"):
        pytest.skip("needs the memory controller")
    exited = Exited(bench.runtime)
    hog = ("sh", "-c", "x=x; while :; do x=$x$x; done")
    resources = Resources(memory_limit_bytes=16 * 1024 * 1024)
    container = await bench.run(replace(bench.spec("a"), entrypoint=hog, resources=resources))
    await exited.wait(container.id)
    ended = await bench.runtime.inspect(container.id)
    assert ended is not None
    assert (ended.oom_killed, ended.exit_code) == (True, 137)


async def test_a_command_that_is_not_there_fails_the_start(bench: PodmanBench) -> None:
    container_id = await bench.runtime.create(replace(bench.spec("a"), entrypoint=("/absent",)))
    with pytest.raises(RuntimeFailure, match="/absent") as caught:
        await bench.runtime.start(container_id)
    assert caught.value.reason == "RunContainerError"


async def test_namespaces_are_joined_by_path(bench: PodmanBench) -> None:
    pins = {kind: Path("/run/edgek") / kind for kind in ("net", "uts", "ipc")}
    for pin in pins.values():
        pin.touch()
    flags = [f"--{kind}={pin}" for kind, pin in pins.items()]
    subprocess.run(["unshare", *flags, "hostname", "pod-a"], check=True)
    try:
        paths = {kind: str(pin) for kind, pin in pins.items()}
        spec = replace(bench.spec("a"), namespaces=Namespaces(**paths))
        container = await bench.run(spec)
        result = await bench.runtime.exec(container.id, ("hostname",), timeout=5)
        assert result.output == b"pod-a\n"
        for kind, pin in pins.items():
            inside = Path(f"/proc/{container.pid}/ns/{kind}").stat().st_ino
            assert inside == pin.stat().st_ino
    finally:
        for pin in pins.values():
            subprocess.run(["umount", pin], check=True)


async def test_a_pods_cgroup_limits_and_goes(bench: PodmanBench) -> None:
    path = bench.cgroups.pod_path("Burstable", "uid-1")
    bench.cgroups.create(path, Resources(memory_limit_bytes=64 * 1024 * 1024, pids_limit=50))
    container = await bench.run(bench.spec("a"))
    assert bench.cgroups.pods() == {"uid-1": path}
    assert f"{path}/libpod-{container.id}" in Path(f"/proc/{container.pid}/cgroup").read_text()
    assert not await bench.cgroups.remove(path)
    await bench.runtime.remove(container.id)
    assert await bench.cgroups.remove(path)
    assert bench.cgroups.pods() == {}
