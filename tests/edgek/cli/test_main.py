"""The command table: what a command costs, and what a wrong one says."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from edgek.cli.main import VERBS, main

CLIENT = """
import sys
from importlib import import_module
import_module(sys.argv[1])
import edgek.client.client, edgek.client.http, edgek.client.kubeconfig, aiohttp
print(*sys.modules)
"""
HEAVY = ("server", "agent", "netplug", "podman", "pyroute2", "cryptography", "sqlite3",
         "kubernetes_validate", "edgek.schema.facts", "edgek.pki")  # fmt: skip


@pytest.mark.parametrize("module", [m for n, m in VERBS if n not in ("token", "uninstall")])
def test_a_client_command_loads_no_server_and_no_engine(module: str) -> None:
    argv = [sys.executable, "-c", CLIENT, module]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in HEAVY if name in loaded] == []


def test_help_lists_every_command_in_one_line_each() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    listed = result.stdout.split("Commands:\n")[1].splitlines()
    names = [line.split()[0] for line in listed]
    assert names == ["server", "agent", *(name for name, _ in VERBS)]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["nope"], "error: No such command 'nope'; see: edgek --help"),
        (["scale", "x"], "error: Missing option '--replicas'; see: edgek scale --help"),
        (["logs", "x", "--since", "soon"],
         "error: Invalid value for '--since': 'soon' is not a duration such as 90s or 5m; "
         "see: edgek logs --help"),
        (["rollout", "nope"], "error: No such command 'nope'; see: edgek rollout --help"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line_and_code_2(argv: list[str], line: str) -> None:
    result = CliRunner().invoke(main, argv, prog_name="edgek")
    assert (result.exit_code, result.stderr) == (2, f"{line}\n")
