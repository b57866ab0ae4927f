"""The server under test: a process of its own, on a free port, over a database on a real disk.

``start_server`` gives a client of the admin and a bearer token of equal power, because wrk
speaks no client certificates. The process ends with the context, whatever happened in it.
"""

import asyncio
import os
import shutil
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edgek.client.client import Client
from edgek.client.http import Access, HttpTransport
from edgek.client.kubeconfig import load_kubeconfig
from edgek.kinds.cluster_role_binding import CLUSTER_ROLE_BINDING
from edgek.kinds.service_account import SERVICE_ACCOUNT

START_SECONDS = 30.0
_COMMAND = str(Path(sys.executable).with_name("edgek"))


@dataclass(frozen=True, kw_only=True)
class Server:
    pid: int
    port: int
    access: Access
    client: Client
    token: str
    ready_seconds: float

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def rss(self) -> float:
        """Resident megabytes (VmRSS, base 2) now."""
        return memory_of(self.pid)

    def cpu_seconds(self) -> float:
        """Processor time used since the start, user and system."""
        return cpu_of(self.pid)


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int, field: str = "VmRSS") -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"{field} of process {pid}")


def client_context(access: Access) -> ssl.SSLContext:
    """For benchmark clients: encrypted as any client, trusts the certificate as it is."""
    context = ssl.create_default_context(cadata=access.ca.decode())
    context.check_hostname = False
    return context


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def start_server(*flags: str) -> AsyncIterator[Server]:
    """Raises RuntimeError with the server's log where it does not come up."""
    folder = Path(tempfile.mkdtemp(prefix="edgek-bench-", dir="/var/tmp"))
    port, kubeconfig = free_port(), folder / "kubeconfig.yaml"
    argv = (
        "server", "--disable-agent", "--bind-address", "127.0.0.1",
        "--https-listen-port", str(port), "--data-dir", str(folder / "data"),
        "--write-kubeconfig", str(kubeconfig), *flags,
    )  # fmt: skip
    log = folder / "log"
    began = time.monotonic()
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            _COMMAND, *argv, stdout=out, stderr=asyncio.subprocess.STDOUT
        )
    try:
        await _ready(process, port, log)
        seconds = time.monotonic() - began
        access = load_kubeconfig(kubeconfig).access
        transport = HttpTransport(access)
        client = Client(transport, field_manager="bench")
        try:
            yield Server(
                pid=process.pid, port=port, access=access, client=client,
                token=await _token(client), ready_seconds=seconds,
            )  # fmt: skip
        finally:
            await transport.close()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
        if process.returncode:
            print(f"the server died ({process.returncode}): {_tail(log)}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)


async def _ready(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    """Asks /readyz until it says ok: a benchmark may poll, the server does not."""
    context = ssl._create_unverified_context()
    deadline = time.monotonic() + START_SECONDS
    while process.returncode is None and time.monotonic() < deadline:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        if answer.startswith(b"HTTP/1.1 200"):
            return
        await asyncio.sleep(0.01)
    raise RuntimeError(f"the server did not come up: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


async def _token(client: Client) -> str:
    meta = {"name": "bench", "namespace": "default"}
    await client.create(SERVICE_ACCOUNT, {"metadata": meta})
    subject = {"kind": "ServiceAccount", **meta}
    role = {"apiGroup": CLUSTER_ROLE_BINDING.group, "kind": "ClusterRole", "name": "cluster-admin"}
    await client.create(
        CLUSTER_ROLE_BINDING,
        {"metadata": {"name": "bench"}, "roleRef": role, "subjects": [subject]},
    )
    request = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": meta,
        "spec": {"expirationSeconds": 86400},
    }
    answer = await client.create(SERVICE_ACCOUNT, request, subresource="token", name="bench")
    token: str = answer["status"]["token"]
    return token
