"""A real cluster on one machine: a server and nodes, each in namespaces of its own.

Everything is the product as installed: ``edgek server`` and ``edgek agent`` as processes, real
Podman, real nftables, real kubectl. Processes log below the bed's directory; a failed wait shows
the end of those logs.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.images import image_archive
from tests.support.testbed import Space, Testbed

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv/bin"
SECONDS = 60.0


@dataclass(kw_only=True)
class RealCluster:
    bed: Testbed
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    # --- processes ---------------------------------------------------------------------------

    def start_server(self) -> None:
        self._start(self.bed.server, "server", "--disable-agent")
        self.wait("the server answers", lambda: self._try("get", "--raw", "/readyz") == "ok")

    def start_agent(self, node: Space, **more: str) -> None:
        token = (self.bed.server.dir / "var/lib/edgek/server/node-token").read_text().strip()
        more = {"node_ip": node.ip} | more
        options = [f"--{k.replace('_', '-')}={v}" for k, v in more.items() if v or k != "node_ip"]
        self._start(
            node, "agent", "--server", f"https://{self.bed.server.ip}:6443",
            "--cgroup-root", node.cgroup, *options,
            environment={"EDGEK_TOKEN": token},
        )  # fmt: skip

    def _start(self, space: Space, *argv: str, environment: dict[str, str] | None = None) -> None:
        env = {**os.environ, **(environment or {})}
        with (space.dir / "edgek.log").open("ab") as log:
            self.processes[space.name] = space.popen(
                BIN / "edgek", *argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def stop(self, space: Space, how: int = signal.SIGTERM) -> None:
        process = self.processes.pop(space.name)
        os.kill(space.inner(process), how)
        process.wait(20)

    # --- looking -----------------------------------------------------------------------------

    def kubectl(self, *argv: str, stdin: str = "", ok: bool = True, timeout: float = 60) -> str:
        done = self.bed.server.run(
            *self._kubectl(*argv), input=stdin, capture_output=True, check=False, timeout=timeout
        )
        text: str = done.stdout if done.returncode == 0 else done.stdout + done.stderr
        assert (done.returncode == 0) == ok, f"kubectl {argv}: {text}\n{self.logs()}"
        return text

    def _kubectl(self, *argv: str) -> list[str | Path]:
        config = "/etc/edgek/edgek.yaml"
        home = f"HOME={self.bed.server.dir}"
        return ["env", home, BIN / "kubectl", "--kubeconfig", config, *argv]

    def kubectl_process(self, *argv: str, **how: Any) -> subprocess.Popen[Any]:
        return self.bed.server.popen(*self._kubectl(*argv), **how)

    def end(self, process: subprocess.Popen[Any]) -> None:
        """Kills what ``kubectl_process`` started: the program, not only nsenter around it."""
        if process.poll() is None:
            os.kill(self.bed.server.inner(process), signal.SIGKILL)
        process.communicate(timeout=10)

    def _try(self, *argv: str) -> str:
        with contextlib.suppress(AssertionError, subprocess.SubprocessError):
            return self.kubectl(*argv)
        return ""

    def json(self, *argv: str) -> Any:
        return json.loads(self.kubectl("get", *argv, "-o", "json"))

    def status(self, pod: str) -> dict[str, Any]:
        found: dict[str, Any] = self.json("pod", pod)["status"]
        return found

    def container(self, pod: str, name: str, which: str = "containerStatuses") -> Any:
        """A container's status; empty where there is none."""
        return next((s for s in self.status(pod).get(which) or () if s["name"] == name), {})

    def pods(self, selector: str) -> list[Any]:
        items: list[Any] = self.json("pods", "-l", selector)["items"]
        return items

    def curl(self, space: Space, url: str, *more: str) -> str:
        """The answer, or "" where there was none."""
        command = ["curl", "-sS", "--max-time", "5", *more, url]
        done = space.run(*command, capture_output=True, check=False)
        return str(done.stdout) if done.returncode == 0 else ""

    def wait(self, what: str, test: Callable[[], Any], seconds: float = SECONDS) -> Any:
        deadline = time.monotonic() + seconds
        while not (got := self._timed(test)):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self.logs()}")
        return got

    @staticmethod
    def _timed(test: Callable[[], Any]) -> Any:
        """Looking is a program or two: it takes no more than half of the time from what it waits
        for, on machines with few cores."""
        began = time.monotonic()
        if not (got := test()):
            time.sleep(max(0.05, time.monotonic() - began))
        return got

    def logs(self) -> str:
        parts = []
        for space in (self.bed.server, *self.bed.nodes):
            log = space.dir / "edgek.log"
            if log.exists():
                parts.append(f"--- {space.name}\n{log.read_text()[-3000:]}")
        for node in self.bed.nodes:
            if node.pid is not None:
                seen = node.run(
                    "podman", "ps", "-a", "--format", "{{.Names}} {{.Status}}",
                    capture_output=True, check=False, timeout=20,
                )  # fmt: skip
                parts.append(f"--- containers of {node.name}\n{seen.stdout}{seen.stderr}")
        return "\n".join(parts)


def start_program(space: Space, module: str, *argv: str, **how: Any) -> subprocess.Popen[Any]:
    """A program of the tests' own in a space, where it is started in / and not in the project."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return space.popen(sys.executable, "-m", module, *argv, env=env, **how)


@contextlib.contextmanager
def real_cluster(
    folder: Path, *, nodes: int, prepare: Callable[[Space], dict[str, str]] = lambda node: {}
) -> Iterator[RealCluster]:
    """Server and nodes up and Ready, images loaded. ``prepare`` puts on a node's disk what is to
    be there before its agent starts, and gives back options for it."""
    with Testbed(folder, nodes=nodes) as bed:
        cluster = RealCluster(bed=bed)
        load = ("podman", "load", "-q", "-i", image_archive())
        loading = [node.popen(*load, stdout=subprocess.DEVNULL) for node in bed.nodes]
        cluster.start_server()
        for node, loads in zip(bed.nodes, loading, strict=True):
            assert loads.wait(SECONDS) == 0
            cluster.start_agent(node, **prepare(node))
        for node in bed.nodes:
            ready = f"nodes/{node.name}"
            cluster.wait(f"{node.name} registers", lambda r=ready: cluster._try("get", r))
            cluster.kubectl("wait", "--for=condition=Ready", ready, "--timeout=50s")
        yield cluster
    for process in cluster.processes.values():
        process.wait(20)
