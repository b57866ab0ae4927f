"""Load by wrk: one thread, keep-alive connections, TLS.

One thread, because server and load share few cores here and wrk needs far less than its share.
"""

import asyncio
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_BAD = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_P99 = re.compile(r"99%\s+([\d.]+)(us|ms|s)")
_UNIT = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, kw_only=True)
class Load:
    per_second: float
    p99_ms: float


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("bench: wrk is missing; install it (apt-get install wrk)")


async def wrk(url: str, *, token: str = "", seconds: int, connections: int, lua: str = "") -> Load:
    """Raises RuntimeError where any answer is not a success: a fast 403 is no figure."""
    argv = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency"]
    with tempfile.TemporaryDirectory(prefix="edgek-wrk-") as folder:
        script = Path(folder) / "load.lua"
        # The token goes by file: an argument would show in the list of processes.
        header = f'wrk.headers["Authorization"] = "Bearer {token}"\n' if token else ""
        script.write_text(header + lua)
        script.chmod(0o600)
        process = await asyncio.create_subprocess_exec(
            "wrk", *argv, "-s", str(script), url, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
    text = out.decode()
    rate, bad = _RATE.search(text), _BAD.search(text)
    if rate is None or bad is not None or process.returncode:
        raise RuntimeError(f"wrk {url}: {text}")
    p99 = _P99.search(text)
    return Load(per_second=float(rate[1]), p99_ms=float(p99[1]) * _UNIT[p99[2]] if p99 else 0.0)
