"""What an agent does not load: each of these is megabytes on a small board."""

import subprocess
import sys

HEAVY = (
    "aiohttp", "cryptography", "podman", "requests", "yaml", "sqlite3", "importlib.metadata",
    "urllib.request", "http.client", "xml", "server",
)  # fmt: skip


def test_an_agents_modules_need_nothing_heavy() -> None:
    code = (
        "import sys, edgek.cli.main; from edgek.roles import find_role; find_role('agent');"
        "import agent.app, edgek.client.websocket; from netplug.links import Links;"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
