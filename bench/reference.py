"""What this machine gives right now, with none of our code: the yardstick of the ratios.

``hello_tls`` is a bare aiohttp low-level server (uvloop, TLS, one process) that answers a few
bytes: the most that any server built on it can do. ``commits`` is SQLite alone: transactions of
one row each, WAL, ``synchronous=FULL``.
"""

import asyncio
import sqlite3
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.process import free_port
from edgek.pki.certificates import Profile, new_ca, new_pair


@dataclass(frozen=True, kw_only=True)
class Hello:
    url: str
    pid: int


@asynccontextmanager
async def hello_tls(size: int = 400) -> AsyncIterator[Hello]:
    """A server in another process that answers ``size`` bytes to everything."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.reference", str(port), str(size),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        yield Hello(url=f"https://127.0.0.1:{port}/", pid=process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def commits(seconds: float = 2.0) -> float:
    """Durable transactions of one 500-byte row a second, on the disk the server uses."""
    with tempfile.TemporaryDirectory(prefix="edgek-bench-", dir="/var/tmp") as folder:
        db = sqlite3.connect(f"{folder}/reference.db", isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE t(name TEXT PRIMARY KEY, value BLOB)")
        began, done, value = time.perf_counter(), 0, b"x" * 500
        while time.perf_counter() - began < seconds:
            db.execute("INSERT INTO t VALUES(?, ?)", (str(done), value))
            done += 1
        rate = done / (time.perf_counter() - began)
        db.close()
    return rate


def _context() -> ssl.SSLContext:
    now = datetime.now(UTC)
    pair = new_pair(
        new_ca("bench", now=now),
        Profile(common_name="bench", names=("127.0.0.1",), server=True),
        now=now,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(pair.certificate + pair.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def _serve(port: int, size: int) -> None:
    from aiohttp import web

    body = b"x" * size

    async def hello(_: web.BaseRequest) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    runner = web.ServerRunner(web.Server(hello, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=_context()).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
