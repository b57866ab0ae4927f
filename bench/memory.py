"""Resident memory of an idle server, seconds to /readyz, and what its imports cost.

    python -m bench memory [--imports 15]

The table is ``-X importtime`` of ``edgek server``'s modules: own time only, largest first. RSS
of a module is measured by importing it alone, which counts what it drags along.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Sequence

import uvloop

from bench.process import memory_of, start_server

HEAVY = (
    "asyncio", "ssl", "uvloop", "orjson", "aiohttp.web", "cryptography.x509", "sqlite3",
    "sqlite_utils", "yaml", "click", "jsonpatch", "edgek.kinds", "server.app", "server.run",
)  # fmt: skip
_PROBE = """
import sys
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
before = rss()
__import__(sys.argv[1])
print(rss() - before)
"""


async def idle() -> None:
    async with start_server() as server:
        early, cpu = server.rss(), server.cpu_seconds()
        await asyncio.sleep(5)
        print(
            f"ready after {server.ready_seconds:.2f} s, {cpu:.2f} s of CPU; "
            f"RSS {early:.0f} MB at once, "
            f"{server.rss():.0f} MB after 5 s (peak {memory_of(server.pid, 'VmHWM'):.0f} MB)"
        )


def import_costs() -> None:
    print("RSS of an import alone, MB:")
    for module in HEAVY:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, module], capture_output=True, text=True, check=True
        )
        print(f"  {float(done.stdout):6.1f}  {module}")


def import_times(count: int) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import server.run, edgek.cli.main"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = []
    for line in done.stderr.splitlines()[1:]:
        own, _, name = line.removeprefix("import time:").split("|")
        rows.append((int(own), name.strip()))
    print(f"own import time, ms ({len(rows)} modules, {sum(r[0] for r in rows) / 1e3:.0f} ms):")
    for micros, module in sorted(rows, reverse=True)[:count]:
        print(f"  {micros / 1e3:6.1f}  {module}")


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench memory")
    parser.add_argument("--imports", type=int, default=15, help="rows of the import table")
    args = parser.parse_args(argv)
    uvloop.run(idle())
    import_costs()
    import_times(args.imports)
