"""Real file servers of Debian's packages, in a space of their own on a test bed's network.

``gluster`` is glusterd with one volume of one brick; ``ceph`` the smallest cluster there is: a
monitor, a manager, a store in memory and a metadata server. All they write lies below the bed,
their processes end with the space: nothing of the machine's own is touched.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.testbed import NET, Space, Testbed, wait_for

VOLUME = "shared"
GLUSTER_STATE = ("var/lib/glusterd", "var/log/glusterfs")


class FileServer:
    def __init__(self, bed: Testbed, name: str, address: str) -> None:
        self.space = Space(bed, name, address)
        self.ip = address

    def run(self, *argv: str | Path, **how: Any) -> str:
        done = self.space.run(*argv, capture_output=True, check=False, timeout=30, **how)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return str(done.stdout)

    def start(self, *argv: str | Path) -> None:
        """A program in the foreground, with its log in the space's directory."""
        log = (self.space.dir / f"{argv[0]}.log").open("ab")
        with log:
            self.space.popen(*argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                             start_new_session=True)  # fmt: skip

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
def _space(bed: Testbed, name: str, host: int) -> Iterator[FileServer]:
    server = FileServer(bed, name, f"{NET}.{host}")
    server.space.crash()  # what a killed run left
    shutil.rmtree(server.space.dir, ignore_errors=True)
    server.space.boot()
    try:
        wait_for(f"{name} has an address", lambda: server.ip in server.run("ip", "addr"))
        yield server
    finally:
        with contextlib.suppress(OSError):
            server.signal(signal.SIGCONT)
        server.space.crash()
        shutil.rmtree(server.space.dir, ignore_errors=True)


@contextlib.contextmanager
def gluster(bed: Testbed) -> Iterator[FileServer]:
    """Serves the volume ``VOLUME``; files lie in ``space.dir / "brick"``."""
    with _space(bed, "gluster", 3) as server:
        server.cover(*GLUSTER_STATE)
        brick = server.space.dir / "brick"
        brick.mkdir(exist_ok=True)
        server.run("mkdir", "-p", "/run/gluster")
        server.run("glusterd", "--pid-file=/run/glusterd.pid")
        command = ("gluster", "--mode=script", "volume")
        server.run(*command, "create", VOLUME, f"{server.ip}:{brick}", "force")
        server.run(*command, "start", VOLUME)
        yield server
