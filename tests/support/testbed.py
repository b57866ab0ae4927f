"""Several nodes on one machine, each a namespace with a Podman storage of its own.

A node is one process (catatonit as process 1) in its own mount, network, pid, ipc and uts
namespace. Inside, /run, /etc/containers, /etc/edgek, /var/lib and /var/log are private, so agents
and Podman run there with their default paths. Nothing is pinned by name: when that one process is
killed, the kernel takes down all of the node; what is left is a directory and a cgroup, and
``down`` removes both. All nodes, and the server's space, hang on a bridge in one more namespace,
the switch, which is the outside world too (10.98.0.1). The machine's own network is not touched.

    with Testbed(tmp_path, nodes=2) as bed:
        bed.nodes[0].run("podman", "load", "-i", image_archive())
        agent = bed.nodes[0].popen(sys.executable, "-m", "edgek.cli.main", "agent", ...)
        bed.nodes[0].crash(); bed.nodes[0].boot()      # power loss: the disk stays, /run does not
        bed.nodes[0].unplug(); bed.nodes[0].plug_in()  # the cable

Agents start Podman's service themselves. Pods' cgroups belong below ``node.cgroup``
(``--cgroup-root``), which the bed removes.
"""

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

NET = "10.98.0"
CGROUP = Path("/sys/fs/cgroup")
PRIVATE = (
    "run", "etc/containers", "etc/edgek", "var/lib/containers", "var/lib/edgek", "var/lib/kubelet",
    "var/log",
)  # fmt: skip
POLICY = '{"default":[{"type":"insecureAcceptAnything"}]}\n'
NEEDS = ("podman", "crun", "conmon", "catatonit", "nsenter", "unshare", "ip")

# Runs in the fresh namespaces; $1 = the node's directory, $2 = its name, $3 = hide the v2 tree,
# the rest: PRIVATE.
INIT = r"""
set -e
dir=$1; hostname "$2"; hide=$3; shift 3
# crun refuses a hybrid tree (v1 and v2 together): hide the v2 one in here.
[ -d /sys/fs/cgroup/memory ] || hide=
if [ "$hide" = True ] && umount /sys/fs/cgroup/unified 2>/dev/null; then
    mkdir -p "$dir/run/edgek/unified"          # crun makes directories there: keep them ours
    mount --bind "$dir/run/edgek/unified" /sys/fs/cgroup/unified
fi
for place; do
    mkdir -p "/$place"
    [ "$place" = run ] || mount --bind "$dir/$place" "/$place"
done
# A live agent of this machine has mounts there, which this private namespace has copies of.
awk '$5 ~ "^/run/edgek" {print $5}' /proc/self/mountinfo | tac | while read -r m; do
    umount -l "$m"
done
mount -t tmpfs -o mode=1777 shm /dev/shm       # Podman's table of locks: one per node
mount --bind "$dir/run" /run
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
exec -a "$dir" catatonit -P                    # reaps orphans, otherwise sleeps
"""


def missing_need() -> str:
    """Why the bed cannot work here; "" when it can."""
    if os.geteuid():
        return "needs root"
    if absent := [tool for tool in NEEDS if shutil.which(tool) is None]:
        return f"needs {', '.join(absent)}"
    probe = subprocess.run(["unshare", "-mn", "true"], capture_output=True, check=False)
    return "needs the right to make namespaces" if probe.returncode else ""


def wait_for(what: str, test: Callable[[], T], seconds: float = 10) -> T:
    deadline = time.monotonic() + seconds
    while not (got := test()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.003)
    return got


def _processes() -> Iterator[tuple[int, list[bytes]]]:
    # Not by a pattern that goes below /proc/PID: glob itself stumbles over one that ends meanwhile.
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            yield int(pid), Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue


class Space:
    """Namespaces held by one process, which is found again by its argv[0], the directory."""

    def __init__(self, bed: "Testbed", name: str, address: str = "") -> None:
        self.bed, self.name, self.ip = bed, name, address
        self.dir = bed.dir / name
        self.cgroup = f"/{bed.tag}/{name}"
        self._booted: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The init's, as the machine sees it; None when it is off."""
        me = bytes(self.dir)
        return next((pid for pid, argv in _processes() if argv[0] == me), None)

    def boot(self) -> None:
        """Start, or start again after ``crash``."""
        shutil.rmtree(self.dir / "run", ignore_errors=True)
        for place in PRIVATE:
            (self.dir / place).mkdir(parents=True, exist_ok=True)
        (self.dir / "etc/containers/policy.json").write_text(POLICY)
        with (self.dir / "init.log").open("a") as log:
            self._booted = subprocess.Popen(
                ["unshare", "-mnpiu", "--mount-proc", "--fork", "--kill-child=KILL",
                 "bash", "-c", INIT, "init", self.dir, self.name, str(self.bed.hide_v2), *PRIVATE],
                start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait_for(f"{self.name} boots, see {self.dir}/init.log", lambda: self.pid)
        if self.ip:
            self._wire()

    def crash(self) -> None:
        """Power loss. When this returns every process of the space is gone."""
        if self.ip and self.bed.switch.pid:
            # A dead namespace goes away late, and until then its eth0 would still answer.
            self.bed.switch.run("ip", "link", "del", self._port, check=False, capture_output=True)
        me = bytes(self.dir)
        for pid, argv in list(_processes()):
            if argv[0] == me or (argv[0] == b"unshare" and me in argv):
                _kill_and_wait(pid)
        if self._booted is not None:
            self._booted.wait(10)
            self._booted = None

    def unplug(self) -> None:
        """The cable is out: peers time out, eth0 has no carrier."""
        self.bed.switch.run("ip", "link", "set", self._port, "down")

    def plug_in(self) -> None:
        self.bed.switch.run("ip", "link", "set", self._port, "up")

    def command(self, *argv: str | Path) -> list[str]:
        # --wdns: a working directory inside; with the outer one Podman's getwd fails.
        enter = ["nsenter", "-t", str(self.pid), "-m", "-n", "-p", "-i", "-u", "--wdns=/"]
        return [*enter, *map(str, argv)]

    def run(self, *argv: str | Path, **how: Any) -> subprocess.CompletedProcess[Any]:
        return subprocess.run(self.command(*argv), **{"check": True, "text": True, **how})

    def images(self) -> set[str]:
        """Their names; none where Podman was asked just as one of them went, which it fails on."""
        shown = self.run("podman", "images", "--format", "{{.Repository}}:{{.Tag}}",
                         check=False, capture_output=True)  # fmt: skip
        return set(shown.stdout.split()) if shown.returncode == 0 else set()

    def popen(self, *argv: str | Path, **how: Any) -> subprocess.Popen[Any]:
        """nsenter stays as the parent: signal ``inner`` and wait for what this returns."""
        return subprocess.Popen(self.command(*argv), **how)

    @staticmethod
    def inner(process: subprocess.Popen[Any]) -> int:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        return int(wait_for("nsenter's child", lambda: children.read_text().split())[0])

    @property
    def _port(self) -> str:
        return f"p{self.ip.rpartition('.')[2]}"

    def _wire(self) -> None:
        host = int(self.ip.rpartition(".")[2])
        subprocess.run(
            ["ip", "link", "add", self._port, "netns", str(self.bed.switch.pid),
             "type", "veth", "peer", "name", "eth0", "netns", str(self.pid)],
            check=True,
        )  # fmt: skip
        self.bed.switch.run("ip", "link", "set", self._port, "master", "br0", "up")
        # The same MAC after a boot: the others would keep a stale ARP entry.
        self.run(
            "ip", "-batch", "-",
            input=f"addr add {self.ip}/24 dev eth0\n"
            f"link set eth0 address 02:98:00:00:00:{host:02x} up\n"
            f"route add default via {NET}.1\n",
        )  # fmt: skip


class Testbed:
    """``nodes`` of them, 10.98.0.11 and up, and the server's space at 10.98.0.2. ``hide_v2``
    False leaves a hybrid cgroup tree as it is, for the agent to cope with."""

    __test__ = False

    def __init__(self, directory: Path, *, nodes: int = 1, hide_v2: bool = True) -> None:
        self.hide_v2 = hide_v2
        self.dir = directory.absolute()
        # The tag names cgroups, so two beds at a time must differ in more than the last part.
        self.tag = f"tb-{self.dir.parent.name}-{self.dir.name}"
        self.switch = Space(self, "switch")
        self.server = Space(self, "server", f"{NET}.2")
        self.nodes = [Space(self, f"node{n}", f"{NET}.{10 + n}") for n in range(1, nodes + 1)]

    def up(self) -> Self:
        self.down()  # what a killed run left
        self.switch.boot()
        self.switch.run(
            "ip", "-batch", "-",
            input=f"link add br0 type bridge\naddr add {NET}.1/24 dev br0\nlink set br0 up\n",
        )  # fmt: skip
        for space in (self.server, *self.nodes):
            space.boot()
        return self

    def down(self) -> None:
        for space in (*self.nodes, self.server, self.switch):
            space.crash()
        v1 = (CGROUP / "memory").is_dir()
        for top in CGROUP.glob(f"*/{self.tag}") if v1 else [CGROUP / self.tag]:
            for directory, _, _ in os.walk(top, topdown=False):
                wait_for(f"rmdir {directory}", lambda d=directory: _rmdir(d))
        for space in (*self.nodes, self.server, self.switch):
            shutil.rmtree(space.dir, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.down()


def _kill_and_wait(pid: int) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        select.select([fd], [], [], 10)  # process 1 ends after all the others
    except ProcessLookupError:
        pass
    finally:
        os.close(fd)


def _rmdir(directory: str) -> bool:
    try:
        os.rmdir(directory)  # EBUSY for a moment after the last process died
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
