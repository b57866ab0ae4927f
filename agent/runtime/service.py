"""PodmanService: fits Podman to the machine and keeps ``podman system service`` running.

It has a socket and a containers.conf of its own under the run directory, and Podman's default
storage, so ``podman ps`` on the host shows the pods. The service is not what containers live in:
they run on under conmon while it, or the agent, is gone.
"""

import asyncio
import contextlib
import logging
import os
import re
import secrets
import shutil
import signal
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.runtime.conmon import cgroup_of_conmons
from agent.runtime.conmon import environment as conmon_environment
from agent.runtime.conmon import wrapper as conmon_wrapper
from agent.runtime.handler_service import HandlerService, end_service
from agent.runtime.handlers import find_handlers
from agent.runtime.left_commands import end_left_probes, end_left_sessions
from agent.runtime.libpod import Libpod, LibpodError
from agent.runtime.machine import CGROUP, Machine
from agent.runtime.mounts import ensure_shared, make_shared, pin_mount_namespace, unmount_below
from agent.runtime.pulls import Activity
from agent.runtime.said import Said
from edgek.aio.outage import Outage
from edgek.roles import StartError

log = logging.getLogger(__name__)

ANSWER_SECONDS = 30.0
BACKOFF = (0.2, 1.0, 5.0, 15.0)
STEADY_SECONDS = 60.0
"""A service that ran this long starts over with the shortest wait."""

DEFAULT_CAPABILITIES = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
    "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip
"""Those of containerd, which images for Kubernetes are made for; newer Podman gives fewer."""


class PodmanService:
    """``shared`` are directories where the agent mounts what containers are to see."""

    def __init__(
        self,
        machine: Machine,
        *,
        run_dir: Path = Path("/run/edgek"),
        data_dir: Path = Path("/var/lib/edgek/agent"),
        shared: tuple[Path, ...] = (),
        cgroup_root: str = "/edgek",
        on_back: Callable[[], None] = lambda: None,
        on_problem: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._machine, self._run, self._data, self._shared = machine, run_dir, data_dir, shared
        self._conmons = cgroup_of_conmons(machine, cgroup_root)
        self.on_back = on_back
        self.on_problem = on_problem
        """Told why there is no service for longer than a restart takes; "" when there is."""
        self._process: asyncio.subprocess.Process | None = None
        self._said = Said()
        self.boot = ""

    @property
    def socket(self) -> str:
        return str(self._run / "podman.sock")

    def for_handlers(self) -> HandlerService:
        """Creates containers that are to run under another OCI runtime."""
        return HandlerService(self._run, enter=self.enter, environment=self._environment())

    @property
    def _conf(self) -> str:
        return str(self._run / "containers.conf")

    @property
    def landing(self) -> Path:
        """Where layers and archives lie until they are unpacked: on disk, not in /tmp, and ours
        alone, so that what a power cut leaves there can be swept away. Beside our directory and
        not in it: crun makes mount points there that users of a pod's own must be able to
        reach."""
        return self._data.with_name("landing")

    def activity(self) -> Activity:
        """Reads files; not for the event loop."""
        received = work = 0
        for folder, _, names in os.walk(self.landing):
            for name in names:
                with contextlib.suppress(OSError):  # just unpacked and gone
                    received += os.lstat(os.path.join(folder, name)).st_size
        if self._process is not None:
            with contextlib.suppress(OSError, ValueError):
                text = Path(f"/proc/{self._process.pid}/io").read_text()
                work = int(text.partition("rchar:")[2].split("\n", 1)[0])
        return Activity(received=received, work=work)

    @property
    def enter(self) -> tuple[str, ...]:
        """What a command is prefixed with to run where Podman runs."""
        if not self._machine.hybrid:
            return ()
        # --wdns: a working directory inside; with the host's, Podman cannot tell where it is.
        return ("nsenter", f"--mount={self._pin}", "--wdns=/")

    @property
    def _pin(self) -> Path:
        return self._run / "ns" / "mnt"

    async def start(self) -> None:
        """Ready to be called when this returns. Raises StartError."""
        if shutil.which("podman") is None:
            raise StartError("podman is not installed: apt-get install podman")
        if shutil.which("crun") is None:
            raise StartError("crun is not installed: apt-get install crun")
        self._prepare_files()
        for directory in self._shared:
            directory.mkdir(parents=True, exist_ok=True)
            await (make_shared if self._machine.hybrid else ensure_shared)(directory)
        if self._machine.hybrid:
            await make_shared(self._run)
            await pin_mount_namespace(
                self._pin, hide=CGROUP / "unified", behind=self._run / "unified",
                peers=self._shared,
            )  # fmt: skip
        if missing := "; ".join(self._machine.shortcomings()):
            log.warning("this machine does not offer everything missing=%r", missing)
        _end_stale(self._run / "podman.pid", self.socket)
        await asyncio.to_thread(end_left_probes)
        await self._spawn()

    async def run(self) -> None:
        """Restarts the service whenever it ends; returns only by cancellation."""
        loop = asyncio.get_running_loop()
        failures = 0
        outage = Outage(log, "start of podman's service")
        while True:
            began = loop.time()
            assert self._process is not None, "start first"
            code = await self._process.wait()
            if loop.time() - began > STEADY_SECONDS:
                failures = 0
            log.warning("podman's service ended; starting it again code=%s", code)
            while True:
                await asyncio.sleep(BACKOFF[min(failures, len(BACKOFF) - 1)])
                failures += 1
                try:
                    await self._spawn()
                    outage.over()
                    self.on_problem("")
                    break
                except StartError as err:
                    outage.failed(err)
                    self.on_problem(f"container runtime is down: {err}")
            self.on_back()

    async def stop(self) -> None:
        """Ends the service. Containers run on."""
        process = self._process
        if process is not None and process.returncode is None:
            await end_service(process)
        await self._said.close()

    def kill(self) -> None:
        """For a service that hangs: ``run`` starts another. Containers run on."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def teardown(self) -> None:
        """After ``stop`` and with no container left: no mount and no file remains."""
        for directory in (*self._shared, self._run):
            await unmount_below(directory)
        shutil.rmtree(self._run, ignore_errors=True)

    def _prepare_files(self) -> None:
        self._run.mkdir(parents=True, exist_ok=True)
        self._run.chmod(0o700)  # Podman's socket is as good as root
        for directory in (self._run / "ns", self._run / "unified"):
            directory.mkdir(parents=True, exist_ok=True)
        self._data.mkdir(parents=True, exist_ok=True)
        if stat.S_IMODE(self._data.stat().st_mode) != 0o700:
            self._data.chmod(0o700)  # pods' secrets are in there
        # Not under /run, which Debian may mount noexec.
        self.landing.mkdir(exist_ok=True)
        if stat.S_IMODE(self.landing.stat().st_mode) != 0o711:
            self.landing.chmod(0o711)
        wrapper = self._data / "conmon"
        text = conmon_wrapper(
            shutil.which("conmon") or "/usr/bin/conmon", cgroup=self._conmons,
            flock=shutil.which("flock") or "", lock=self._run / "cleanup.lock",
        )  # fmt: skip
        _write(wrapper, text, mode=0o755)
        if self._conmons is not None:
            with contextlib.suppress(OSError):  # a tree that is not ours: conmon stays beside us
                self._conmons.mkdir(parents=True, exist_ok=True)
        conf = containers_conf(
            self._machine, conmon=wrapper, handlers=find_handlers(), landing=self.landing
        )
        _write(self._run / "containers.conf", conf, mode=0o644)
        self.boot = _boot_name(self._run / "boot")

    async def _spawn(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        # What a service that was killed was about to unpack.
        await asyncio.to_thread(_empty, self.landing)
        await self._said.close()
        self._said = Said()
        stderr = await self._said.listen()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.enter, "podman", "system", "service", "--log-level=error", "--time=0",
                f"unix://{self.socket}",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                stderr=stderr, env=self._environment(), cwd="/",
                start_new_session=True,
            )  # fmt: skip
        except OSError as err:
            raise StartError(f"podman cannot be started: {err}") from err
        finally:
            os.close(stderr)
        _write(self._run / "podman.pid", str(self._process.pid), mode=0o600)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.gather(self._answers(self._process), end_left_sessions(self._conf))
        except TimeoutError:
            self._process.kill()
            raise StartError(f"podman does not answer at {self.socket}; try: podman info") from None

    def _environment(self) -> dict[str, str]:
        """Nothing of our settings (a token!) may show in another program's environment. Podman
        would give systemd's socket on to containers.
        TMPDIR counts for layers whatever containers.conf says, and for whole archives, which are
        too large for a /tmp in memory."""
        ours = ("EDGEK_", "NOTIFY_SOCKET", "TMPDIR")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        environment |= {"CONTAINERS_CONF": self._conf, "TMPDIR": str(self.landing)}
        return environment | conmon_environment(cgroup=self._conmons)

    async def _answers(self, process: asyncio.subprocess.Process) -> None:
        raw = Libpod(self.socket)
        while process.returncode is None:
            try:
                await raw.call("GET", "/_ping", timeout=ANSWER_SECONDS)
                return
            except (OSError, LibpodError, asyncio.IncompleteReadError, ValueError):
                await asyncio.sleep(0.01)  # a socket not yet there gives nothing to wait for
        said = await self._said.last_words()
        raise StartError(
            f"podman's service ended at once with code {process.returncode}"
            f"{f': {said}' if said else '; try: podman info'}"
        )


def containers_conf(
    machine: Machine,
    *,
    conmon: Path,
    handlers: Mapping[str, str] | None = None,
    landing: Path = Path("/var/tmp"),
) -> str:
    """Replaces the system's containers.conf for our service alone: registries.conf, policy.json,
    certs.d and storage.conf stay the system's. Pure."""
    capabilities = ", ".join(f'"{c}"' for c in DEFAULT_CAPABILITIES)
    runtimes = "\n".join(f'"{name}" = ["{path}"]' for name, path in (handlers or {}).items())
    limits = f'"nofile={machine.nofile}:{machine.nofile}", "nproc={machine.nproc}:{machine.nproc}"'
    return f"""# Written by edgek at each start.
[containers]
default_ulimits = [{limits}]
pids_limit = 0
default_capabilities = [{capabilities}]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
exit_command_delay = 5
image_copy_tmp_dir = "{landing}"
conmon_path = ["{conmon}"]
[engine.runtimes]
{runtimes}
"""


def _boot_name(path: Path) -> str:
    """Lives in /run, so it is new after a reboot, also that of a node which is a namespace."""
    if not path.exists():
        _write(path, secrets.token_hex(8), mode=0o644)
    return path.read_text()


def _write(path: Path, text: str, *, mode: int) -> None:
    """Atomic: a start that was killed half way must not leave half a file. What is there already
    is not written again: an agent must come up on a disk that is full or read-only too."""
    with contextlib.suppress(OSError):
        if path.read_text() == text and stat.S_IMODE(path.stat().st_mode) == mode:
            return
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_mount():
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):  # a disk that is read-only now
                path.unlink()


def _end_stale(pid_file: Path, socket: str) -> None:
    """The service of an agent that was killed: it would keep our socket's name."""
    try:
        pid = int(pid_file.read_text())
        cmdline = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (OSError, ValueError):
        return
    if re.search(r"podman\0system\0service\0", cmdline) and socket in cmdline:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
