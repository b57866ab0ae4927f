"""``edgek server`` as its users run it: a process of its own, killed and started again at will."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edgek.client.client import Client
from edgek.client.http import HttpTransport
from edgek.client.kubeconfig import load_kubeconfig
from edgek.client.transport import Call
from tests.support.tls_server import Kubectl, free_port

EDGEK = Path(__file__).parents[2] / ".venv/bin/edgek"
READY = re.compile(rb"INFO server\.run: ready ")


@dataclass(kw_only=True)
class ServerProcess:
    """One data directory and port; ``start`` and ``kill`` as often as wanted."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: "asyncio.subprocess.Process | None" = None
    log: bytes = b""

    @property
    def argv(self) -> Sequence[str]:
        return (
            "--disable-agent", "--bind-address=127.0.0.1", "--advertise-address=192.0.2.10",
            f"--https-listen-port={self.port}", f"--data-dir={self.data_dir}",
            f"--write-kubeconfig={self.kubeconfig}", f"--config={self.folder / 'config.yaml'}",
        )  # fmt: skip

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig.yaml"

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(kubeconfig=self.kubeconfig, home=self.folder)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self, *more: str) -> None:
        """Returns when it says that it is ready."""
        (self.folder / "config.yaml").touch()
        self.log = b""
        self.process = await asyncio.create_subprocess_exec(
            str(EDGEK), "server", *self.argv, *more, stderr=asyncio.subprocess.PIPE
        )
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            while not READY.search(self.log):
                line = await self.process.stderr.readline()
                assert line, f"it ended: {self.log.decode()}"
                self.log += line

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends the signal; the exit code, once all its output is in ``log``."""
        assert self.process is not None
        assert self.process.stderr is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(20):
            self.log += await self.process.stderr.read()
            return await self.process.wait()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """The admin, over TLS."""
        transport = HttpTransport(load_kubeconfig(self.kubeconfig).access)
        try:
            yield Client(transport)
        finally:
            await transport.close()


@asynccontextmanager
async def server_process(folder: Path) -> AsyncIterator[ServerProcess]:
    """Started; killed at the end if still there."""
    server = ServerProcess(folder=folder)
    try:
        await server.start()
        yield server
    finally:
        if server.process is not None and server.process.returncode is None:
            server.process.kill()
            await server.process.communicate()


async def failing_start(*argv: str, timeout: float = 20) -> tuple[int, str]:
    """Exit code and stderr of an ``edgek server`` that is to end by itself."""
    process = await asyncio.create_subprocess_exec(
        str(EDGEK), "server", *argv, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(timeout):
            _, text = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode is not None
    return process.returncode, text.decode()


async def answer(client: Client, path: str) -> str:
    """The text of a GET of any path."""
    return str(await client.transport.call(Call(method="GET", path=path)))
