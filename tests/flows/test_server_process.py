"""The server as a process: how it starts, ends, dies, comes back and refuses to start."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgek.api import errors
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.client.transport import WatchEvent
from edgek.kinds import CONFIG_MAP
from tests.support.server_process import ServerProcess, failing_start, server_process

pytestmark = pytest.mark.timeout(120)

IDLE_SECONDS = float(os.environ.get("EDGEK_TEST_IDLE_SECONDS", "60"))
"""How long silence is listened to; the minute is the promise, less is for quick tries."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    async with server_process(tmp_path) as started:
        yield started


def config_map(name: str, **data: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
        "data": data,
    }


async def test_a_server_told_to_stop_ends_at_once_though_watches_are_open(
    server: ServerProcess,
) -> None:
    async with server.client() as client, contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(client.watch(CONFIG_MAP)) for _ in range(20)]
        waiting = [asyncio.create_task(until_the_end(events)) for events in streams]
        began = time.monotonic()
        assert await server.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < 5
        await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert b"Traceback" not in server.log
    assert b"ERROR" not in server.log


async def until_the_end(events: AsyncIterator[WatchEvent]) -> None:
    with contextlib.suppress(errors.ApiError, OSError):  # cut off, as connections are
        async for _ in events:
            pass


# --- kill -9 -------------------------------------------------------------------------------------


@dataclass
class Acknowledged:
    """What the server has said is done: all of it must be there after any crash."""

    created: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    revision: int = 0
    writes: int = 0

    def note(self, obj: Obj) -> None:
        self.writes += 1
        self.revision = max(self.revision, int(obj["metadata"]["resourceVersion"]))


async def write_until_it_dies(client: Client, who: str, done: Acknowledged) -> None:
    with contextlib.suppress(errors.ApiError, OSError):
        counter = Key("default", f"counter-{who}")
        if counter.name not in done.counts:
            done.note(await client.create(CONFIG_MAP, config_map(counter.name, n="0")))
            done.counts[counter.name] = 0
        for n in range(10_000):
            name = f"{who}-{done.writes}-{n}"
            done.note(await client.create(CONFIG_MAP, config_map(name)))
            done.created.add(name)
            n = done.counts[counter.name] + 1
            done.note(await client.patch(CONFIG_MAP, counter, {"data": {"n": str(n)}}))
            done.counts[counter.name] = n
            if n % 3 == 0:
                done.deleted.add(name)  # asked for: from now on it may be gone
                done.created.discard(name)
                await client.delete(CONFIG_MAP, Key("default", name))


async def writes_cut_short(server: ServerProcess, done: Acknowledged) -> None:
    """kill -9 in the middle of many writers' work."""
    async with server.client() as client:
        writers = [
            asyncio.create_task(write_until_it_dies(client, f"w{n}", done)) for n in range(4)
        ]
        enough = done.writes + random.randrange(1, 250)
        while done.writes < enough:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await server.end(signal.SIGKILL)
        await asyncio.gather(*writers)


async def check_all_is_there(server: ServerProcess, done: Acknowledged) -> None:
    async with server.client() as client:
        found = {o["metadata"]["name"]: o for o in (await all_of(client))}
        assert done.created <= found.keys()
        for name, count in done.counts.items():
            # The last write may have happened without its answer having come.
            assert int(found[name]["data"]["n"]) - count in (0, 1)
        probe = await client.create(CONFIG_MAP, config_map(f"probe-{done.revision}"))
        assert int(probe["metadata"]["resourceVersion"]) > done.revision


async def all_of(client: Client) -> list[Obj]:
    return (await client.list(CONFIG_MAP, namespace="default")).items


def identity_files(server: ServerProcess) -> dict[str, bytes]:
    own = server.data_dir / "server"
    kept = [server.kubeconfig, *(p for p in own.rglob("*") if p.is_file() and "db" not in p.parts)]
    return {str(p): p.read_bytes() for p in kept}


async def test_a_killed_server_has_kept_every_write_it_acknowledged(
    server: ServerProcess,
) -> None:
    done = Acknowledged()
    before = identity_files(server)
    for _ in range(5):
        await writes_cut_short(server, done)
        await server.start()
        await check_all_is_there(server, done)
    assert done.deleted
    assert identity_files(server) == before
    assert "counter-w0" in await server.kubectl("get", "configmaps")


async def test_a_watch_goes_on_where_it_was_when_its_server_was_killed(
    server: ServerProcess,
) -> None:
    async with server.client() as client:
        await client.create(CONFIG_MAP, config_map("before"))
        last = await client.create(CONFIG_MAP, config_map("last"))
        revision = last["metadata"]["resourceVersion"]
        await server.end(signal.SIGKILL)
        await server.start()
        await client.create(CONFIG_MAP, config_map("after"))
        async with client.watch(
            CONFIG_MAP, namespace="default", resource_version=revision
        ) as events, asyncio.timeout(10):  # fmt: skip
            event = await anext(e async for e in events if e.type != "BOOKMARK")
    assert (event.type, event.obj["metadata"]["name"]) == ("ADDED", "after")


# --- idle ----------------------------------------------------------------------------------------


def written_bytes(pid: int) -> int:
    """Bytes that went towards a disk; sockets (a watch's bookmark) do not count."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(p): (s.st_mtime_ns, s.st_size)
        for p in folder.rglob("*")
        if (s := p.stat()) and p.is_file()
    }


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def settled(server: ServerProcess) -> None:
    """Returns when the controllers have written what a new cluster gets from them."""
    async with server.client() as client, asyncio.timeout(20):
        while True:
            before = (await client.list(CONFIG_MAP)).resource_version
            await asyncio.sleep(1)
            if (await client.list(CONFIG_MAP)).resource_version == before:
                return


async def test_an_idle_server_writes_nothing_for_a_minute(
    server: ServerProcess, record_property: Any
) -> None:
    await settled(server)
    async with server.client() as client, client.watch(CONFIG_MAP):  # somebody looks on
        files, written, cpu = (
            files_of(server.folder), written_bytes(server.pid), cpu_seconds(server.pid)
        )  # fmt: skip
        await asyncio.sleep(IDLE_SECONDS)
        assert written_bytes(server.pid) == written
        assert files_of(server.folder) == files
    record_property("idle_cpu_seconds", round(cpu_seconds(server.pid) - cpu, 2))


# --- starts that cannot be -----------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> ServerProcess:
    (tmp_path / "config.yaml").touch()
    return ServerProcess(folder=tmp_path)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--no-such-flag"], "No such option '--no-such-flag'"),
        (["--https-listen-port=abc"], "'abc' is not a valid integer"),
        (["--https-listen-port=70000"], "--https-listen-port"),
        (["--cluster-cidr=10.42.0.0/99"], "--cluster-cidr"),
        (["--service-cidr=10.42.0.0/24"], "overlap"),
        (["--bind-address=nowhere"], "--bind-address"),
        (["--bind-address=198.51.100.7"], "cannot listen on 198.51.100.7"),
        (["--token=K10abc::x"], "--token"),
        (["--token-file=/no/such/file"], "--token-file: cannot read /no/such/file"),
        (["--config=/no/such/file"], "/no/such/file"),
        (["--write-kubeconfig-mode=99"], "--write-kubeconfig-mode"),
        (["--data-dir=/dev/null/x"], "--data-dir"),
        (["--data-dir=/proc/edgek"], "--data-dir"),
    ],
)
async def test_a_setting_that_cannot_be_is_one_line_and_exit_code_2(
    place: ServerProcess, argv: list[str], line: str
) -> None:
    code, text = await failing_start(*place.argv, *argv)
    assert (code, line in text) == (2, True), text
    assert "Traceback" not in text
    assert len(text.strip().splitlines()) <= 4  # click's usage, a hint, an empty line, the error


@pytest.mark.parametrize(
    ("yaml", "line"),
    [
        ("cluster-cidr: [1\n", "is not valid YAML"),
        ("- a\n- b\n", "expected lines of 'name: value'"),
        ("clustercidr: 10.0.0.0/8\n", "did you mean 'cluster-cidr'?"),
        ("cluster-cidr: 10.0.0.0/8x\n", "cluster-cidr"),
    ],
)
async def test_a_config_file_that_cannot_be_is_named(
    place: ServerProcess, yaml: str, line: str
) -> None:
    (place.folder / "config.yaml").write_text(yaml)
    code, text = await failing_start(*place.argv)
    assert (code, line in text, len(text.splitlines())) == (2, True, 1), text


async def test_a_port_in_use_is_said_and_leaves_the_other_servers_kubeconfig_alone(
    place: ServerProcess,
) -> None:
    place.kubeconfig.write_text("another server's")
    with socket.create_server(("127.0.0.1", place.port)):
        code, text = await failing_start(*place.argv)
    assert (code, len(text.splitlines())) == (2, 1), text
    assert f"127.0.0.1:{place.port} is in use by another process" in text
    assert place.kubeconfig.read_text() == "another server's"


async def test_a_second_server_on_one_data_directory_ends_and_the_first_goes_on(
    server: ServerProcess,
) -> None:
    second = ServerProcess(folder=server.folder)
    before = identity_files(server)
    code, text = await failing_start(*second.argv)
    assert (code, len(text.splitlines())) == (1, 1), text
    assert "is another edgek server using it?" in text
    assert identity_files(server) == before
    async with server.client() as client:
        assert await client.create(CONFIG_MAP, config_map("still-here"))


async def test_a_token_of_another_cluster_is_refused(server: ServerProcess) -> None:
    await server.end()
    other = "K10" + "0" * 64 + "::server:topsecret"
    code, text = await failing_start(*server.argv, f"--token={other}")
    assert (code, "--token" in text, len(text.splitlines())) == (2, True, 1), text
    assert "topsecret" not in text


async def test_a_datastore_that_is_damaged_is_named(server: ServerProcess) -> None:
    await server.end()
    database = server.data_dir / "server" / "db" / "state.db"
    database.write_bytes(b"this is no database" * 1000)
    code, text = await failing_start(*server.argv)
    assert (code, str(database) in text, len(text.splitlines())) == (1, True, 1), text


async def test_damaged_events_are_given_up_rather_than_the_start(server: ServerProcess) -> None:
    async with server.client() as client:
        await client.create(CONFIG_MAP, config_map("kept"))
    await server.end()
    (server.data_dir / "server" / "db" / "events.db").write_bytes(b"this is no database" * 1000)
    await server.start()
    assert b"the events so far are lost" in server.log
    async with server.client() as client:
        assert "kept" in [o["metadata"]["name"] for o in await all_of(client)]
