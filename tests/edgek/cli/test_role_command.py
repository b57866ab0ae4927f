"""Exit codes and lines of ``edgek ROLE``; signals end it in good order."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edgek.cli.main import main
from edgek.cli.role_command import build_command, forget_secrets
from edgek.roles import Option, Role, Settings, StartError, UsageError


def role(run) -> click.Command:
    options = (
        Option(name="config", default="/nowhere/config.yaml"),
        Option(name="token", secret=True, default="hush", help="The secret."),
        Option(name="port", type=int, default=6443),
        Option(name="tls-san", multiple=True),
    )
    return build_command(Role(name="server", help="Serve.", options=options, run=run))


async def fine(settings: Settings, stop: asyncio.Event) -> None:
    pass


def invoke(run, *args: str, env: dict | None = None):
    return CliRunner().invoke(role(run), list(args), env=env)


def test_flags_reach_the_role():
    seen = {}

    async def run(settings: Settings, stop: asyncio.Event) -> None:
        seen.update(settings)

    result = invoke(run, "--tls-san", "a", "--tls-san", "b", "--debug", env={"EDGEK_PORT": "7"})
    assert result.exit_code == 0, result.output
    assert (seen["tls_san"], seen["port"], seen["debug"]) == (("a", "b"), 7, True)


@pytest.mark.parametrize(("error", "code"), [(UsageError, 2), (StartError, 1)])
def test_a_role_that_cannot_run_gives_one_line_and_its_exit_code(error: type, code: int):
    async def run(settings: Settings, stop: asyncio.Event) -> None:
        raise error("port 6443\nis taken")

    result = invoke(run)
    assert (result.exit_code, result.stderr) == (code, "edgek server: port 6443 is taken\n")


def test_an_unknown_flag_is_a_usage_error_that_suggests_the_known_one():
    result = invoke(fine, "--prot", "1")
    assert result.exit_code == 2
    assert "No such option" in result.stderr
    assert "--port" in result.stderr


def test_help_shows_names_and_defaults_but_no_secret():
    result = invoke(fine, "--help")
    assert "EDGEK_PORT" in result.output
    assert "6443" in result.output
    assert "hush" not in result.output


def test_a_signal_sets_stop_and_the_role_ends_by_itself():
    async def run(settings: Settings, stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), 5)

    assert invoke(run).exit_code == 0


STUCK = """
import asyncio, os, signal, threading
from edgek.cli.role_command import run_role
from edgek.roles import Role

async def run(settings, stop):
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.wait()

run_role(Role(name="agent", help="", options=(), run=run), {}, last_seconds=0.1)
"""


def test_a_thread_that_hangs_keeps_no_role_from_ending():
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, timeout=30)
    assert ended.returncode == 0
    assert b"threads do not end and are left" in ended.stderr
    assert time.monotonic() - began < 10


def test_a_config_file_problem_is_told_before_anything_starts(tmp_path: Path):
    (tmp_path / "c.yaml").write_text("tokn: x")
    result = invoke(fine, "--config", str(tmp_path / "c.yaml"))
    assert result.exit_code == 2
    assert result.stderr == (
        f"edgek server: {tmp_path}/c.yaml: unknown setting 'tokn'; did you mean 'token'?\n"
    )


def test_the_command_says_its_version():
    assert CliRunner().invoke(main, ["--version"]).output.startswith("edgek ")


def test_programs_that_a_role_starts_inherit_no_secret() -> None:
    environ = {"EDGEK_TOKEN": "hush", "EDGEK_NODE_NAME": "n", "PATH": "/bin"}
    options = (Option(name="token", secret=True), Option(name="node-name"))
    forget_secrets(options, environ)
    assert environ == {"EDGEK_NODE_NAME": "n", "PATH": "/bin"}
