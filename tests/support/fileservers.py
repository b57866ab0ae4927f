"""Real file servers of Debian's packages, in a space of their own on a test bed's network.

``gluster`` is glusterd with one volume of one brick; ``ceph`` the smallest cluster that serves
files: a monitor, a store in memory and a metadata server. All they write lies below the bed, their
processes end with the space: nothing of the machine's own is touched.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from tests.support.testbed import NET, Space, Testbed, wait_for

VOLUME = "shared"
GLUSTER_STATE = ("var/lib/glusterd", "var/log/glusterfs")


S = TypeVar("S", bound="FileServer")


class FileServer:
    def __init__(self, bed: Testbed, name: str, address: str) -> None:
        self.space = Space(bed, name, address)
        self.ip = address
        self._started: list[subprocess.Popen[Any]] = []

    def run(self, *argv: str | Path, **how: Any) -> str:
        done = self.space.run(*argv, capture_output=True, check=False, timeout=30, **how)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return str(done.stdout)

    def start(self, *argv: str | Path) -> None:
        """A program in the foreground, with its log in the space's directory."""
        with (self.space.dir / f"{argv[0]}.log").open("ab") as log:
            self._started.append(
                self.space.popen(*argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 start_new_session=True)
            )  # fmt: skip

    def end(self) -> None:
        """All of it. nsenter stops itself with what it started, so it is killed by itself."""
        self.space.crash()
        for process in self._started:
            process.kill()
            process.wait(10)

    def signal(self, number: int) -> None:
        """To all of the server's programs: SIGSTOP for one that hangs, SIGCONT, SIGKILL."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def pids(self) -> list[int]:
        """Its processes, as the machine sees them; without the one that holds the space."""
        namespace = os.readlink(f"/proc/{self.space.pid}/ns/pid")
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                pid = int(path.name)
                if os.readlink(path / "ns/pid") == namespace and pid != self.space.pid:
                    found.append(pid)
        return found

    def cover(self, *places: str) -> None:
        """Gives the space a directory of its own in the place of the machine's."""
        for place in places:
            own = self.space.dir / place
            own.mkdir(parents=True, exist_ok=True)
            self.run("mount", "--bind", own, f"/{place}")


@contextlib.contextmanager
def _space(bed: Testbed, name: str, host: int, kind: type[S]) -> Iterator[S]:
    server = kind(bed, name, f"{NET}.{host}")
    server.space.crash()  # what a killed run left
    shutil.rmtree(server.space.dir, ignore_errors=True)
    server.space.boot()
    try:
        wait_for(f"{name} has an address", lambda: server.ip in server.run("ip", "addr"))
        yield server
    finally:
        server.end()
        shutil.rmtree(server.space.dir, ignore_errors=True)


@contextlib.contextmanager
def gluster(bed: Testbed) -> Iterator[FileServer]:
    """Serves the volume ``VOLUME``; files lie in ``space.dir / "brick"``."""
    with _space(bed, "gluster", 3, FileServer) as server:
        server.cover(*GLUSTER_STATE)
        brick = server.space.dir / "brick"
        brick.mkdir(exist_ok=True)
        server.run("mkdir", "-p", "/run/gluster")
        server.run("glusterd", "--pid-file=/run/glusterd.pid")
        command = ("gluster", "--mode=script", "volume")
        server.run(*command, "create", VOLUME, f"{server.ip}:{brick}", "force")
        server.run(*command, "start", VOLUME)
        yield server


FSID = "2f0c8a7e-8a53-4a0c-9e0f-3c7a6a2b9e01"
STORE = "11111111-1111-1111-1111-111111111111"
CEPH_CONF = """[global]
fsid = {fsid}
mon_host = {ip}
public_addr = {ip}
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
keyring = {dir}/keyring
run_dir = {dir}
admin_socket = {dir}/$name.asok
log_file =
mon_data = {dir}/mon
osd_data = {dir}/osd
mds_data = {dir}/mds
osd_objectstore = memstore
memstore_device_bytes = 134217728
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
"""
CAPS = {
    "mon.": {"mon": "allow *"},
    "client.admin": dict.fromkeys(("mon", "osd", "mds"), "allow *"),
    "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
    "mds.a": {"mon": "allow profile mds", "osd": "allow *", "mds": "allow *"},
}


class Ceph(FileServer):
    """``key`` is that of user ``pod``."""

    key = ""

    def ceph(self, *argv: str) -> str:
        return self.run("ceph", "-c", self.space.dir / "ceph.conf", *argv)

    def up(self) -> None:
        self._keys()
        here = self.space.dir
        where = f"[v2:{self.ip}:3300,v1:{self.ip}:6789]"
        make = ("--create", "--fsid", FSID, "--addv", "a", where)
        self.run("monmaptool", *make, here / "monmap")
        self._make("ceph-mon", "a", "--monmap", here / "monmap", "--keyring", here / "keyring")
        self._start("ceph-mon", "a")
        self.ceph("osd", "new", STORE)
        self._make("ceph-osd", "0", "--osd-uuid", STORE)
        self._start("ceph-osd", "0")
        self._start("ceph-mds", "a")
        for pool in ("meta", "data"):
            self.ceph("osd", "pool", "create", pool, "1")
        self.ceph("fs", "new", VOLUME, "meta", "data")
        self.key = self.ceph("fs", "authorize", VOLUME, "client.pod", "/", "rw").split()[-1]
        wait_for("the metadata server is active", self._active, 60)

    def _active(self) -> bool:
        return "up:active" in self.ceph("mds", "stat")

    def _keys(self) -> None:
        conf = CEPH_CONF.format(fsid=FSID, ip=self.ip, dir=self.space.dir)
        (self.space.dir / "ceph.conf").write_text(conf)
        keyring = self.space.dir / "keyring"
        keyring.touch()
        for who, caps in CAPS.items():
            rights = [word for kind, right in caps.items() for word in ("--cap", kind, right)]
            self.run("ceph-authtool", keyring, "--gen-key", "-n", who, *rights)

    def _make(self, program: str, name: str, *more: str | Path) -> None:
        (self.space.dir / program[-3:]).mkdir()
        conf = self.space.dir / "ceph.conf"
        self.run(program, "-c", conf, "--mkfs", "-i", name, *more)

    def _start(self, program: str, name: str) -> None:
        self.start(program, "-c", self.space.dir / "ceph.conf", "-i", name, "-f")


@contextlib.contextmanager
def ceph(bed: Testbed) -> Iterator[Ceph]:
    """Serves the file system ``VOLUME`` to user ``pod``."""
    with _space(bed, "ceph", 4, Ceph) as server:
        server.up()
        yield server
