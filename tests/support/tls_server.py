"""The whole server on a loopback port with TLS, in the test's own loop; for real clients."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgek.aio.clock import SystemClock
from edgek.aio.tasks import Tasks
from edgek.roles import COMMON
from server.config import OPTIONS, ServerConfig, parse_config
from server.identity import ServerIdentity, prepare_identity
from server.parts import RunningApi, open_api
from server.run import control_loops, listening, prepare_cluster
from server.storage.sqlite import SqliteEngine

KUBECTL = Path(__file__).parents[2] / ".venv/bin/kubectl"
CLIENTS = KUBECTL.parents[1] / "clients"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def settings(folder: Path, **more: Any) -> dict[str, Any]:
    found = {o.key: () if o.multiple else o.default for o in (*COMMON, *OPTIONS)}
    return {
        **found,
        "data_dir": str(folder / "data"),
        "write_kubeconfig": str(folder / "kubeconfig.yaml"),
        "bind_address": "127.0.0.1",
        "advertise_address": "192.0.2.10",
        "https_listen_port": free_port(),
        "disable_agent": True,
        **more,
    }


@dataclass(frozen=True, kw_only=True)
class Kubectl:
    """Real kubectl against the server, or another program that reads a kubeconfig; a home of its
    own, so nothing of the machine leaks in."""

    kubeconfig: Path
    home: Path
    program: Path = KUBECTL
    environment: dict[str, str] = field(default_factory=dict)
    """Variables beyond those of this process."""

    async def __call__(
        self, *argv: str, stdin: str = "", ok: bool = True, timeout: float = 30
    ) -> str:
        """Standard output, with standard error behind it. ``ok`` False: it must fail."""
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home)}
        env |= self.environment
        process = await asyncio.create_subprocess_exec(
            str(self.program), *argv, env=env,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(timeout):
                output, _ = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        text = output.decode()
        assert (process.returncode == 0) == ok, (
            f"{self.program.name} {argv}: {process.returncode}\n{text}"
        )
        return text

    async def until(self, text: str, *argv: str, seconds: float = 15) -> str:
        """Asks until the answer has the text: what a controller writes a moment later."""
        async with asyncio.timeout(seconds):
            while text not in (found := await self(*argv)):
                pass
        return found


@dataclass(frozen=True, kw_only=True)
class TlsServer:
    running: RunningApi
    config: ServerConfig
    identity: ServerIdentity
    kubectl: Kubectl

    def client(self, name: str) -> Kubectl:
        """Another of the fetched programs, such as "helm" or "kubectl-1.27"."""
        return replace(self.kubectl, program=CLIENTS / name)


@asynccontextmanager
async def tls_server(folder: Path, *, loops: bool = True, **more: Any) -> AsyncIterator[TlsServer]:
    """``loops``: with controllers and scheduler."""
    config = parse_config(settings(folder, **more))
    clock = SystemClock()
    identity = prepare_identity(config, now=clock.now())
    running = open_api(config, identity, clock, engine=SqliteEngine(":memory:"))
    kubectl = Kubectl(kubeconfig=config.write_kubeconfig, home=folder)
    try:
        async with (
            Tasks("test-server") as tasks,
            listening(config, running.api, identity.tls_context()),
        ):
            await prepare_cluster(running, config)
            if loops:
                loop = control_loops(
                    running.api, config, identity, clock, used_tokens=running.used_tokens
                )
                tasks.spawn(loop, name="loops")
            if running.audit_log is not None:
                tasks.spawn(running.audit_log.run(), name="audit-log")
            yield TlsServer(running=running, config=config, identity=identity, kubectl=kubectl)
    finally:
        await running.api.close()
