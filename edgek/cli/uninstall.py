"""``edgek uninstall``: leaves this machine as it was before edgek came.

Every step is tried though an earlier one failed, and all of it may be done again: half of it may
be gone already. Images stay with Podman, and so does what edgek did not make.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click

from edgek.cli import installation
from edgek.cli.cluster import fail
from edgek.roles import Role, Settings, all_roles

Step = Callable[[Settings], list[str]]


def _services(settings: Settings) -> list[str]:
    return installation.stop_services()


def _processes(settings: Settings) -> list[str]:
    return installation.stop_processes(Path(settings["data_dir"]).absolute())


def _roles(settings: Settings) -> list[str]:
    return asyncio.run(clean_up(all_roles(), settings))


async def clean_up(roles: Iterable[Role], settings: Settings) -> list[str]:
    problems: list[str] = []
    for role in roles:
        try:
            problems += await role.clean_up(settings)
        except Exception as err:  # whatever it is, the files go all the same
            problems.append(f"{role.name}: {str(err) or type(err).__name__}")
    return problems


def _program(settings: Settings) -> list[str]:
    return installation.remove_program()


STEPS: tuple[tuple[str, Step], ...] = (
    ("services", _services),
    ("processes", _processes),
    ("pods, network and mounts", _roles),
    ("files", installation.remove_files),
    ("program", _program),
)
"""The order matters: who still runs would make again what goes."""


@click.command("uninstall")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--data-dir", metavar="DIR", help="The data directory, where it is not found.")
def command(yes: bool, data_dir: str | None) -> None:
    """Remove edgek from this machine: pods, network, cluster data, services."""
    if os.geteuid() != 0:
        fail("uninstall changes the whole machine: run it as root")
    settings = {**installation.installed_settings(os.environ)}
    if data_dir:
        settings["data_dir"] = data_dir
    _confirm(yes, settings)
    failed = leave(settings)
    for line in failed[:-1]:
        click.echo(f"error: {' '.join(line.split())}", err=True)
    if failed:
        fail(f"{failed[-1]} (what is left can be removed by running this again)")
    click.echo("edgek is gone from this machine")


def leave(settings: Settings, steps: Sequence[tuple[str, Step]] = STEPS) -> list[str]:
    """What could not be done, as "step: problem"."""
    return [f"{name}: {problem}" for name, step in steps for problem in step(settings)]


def _confirm(yes: bool, settings: Settings) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        fail("uninstall deletes the cluster's data: say --yes", code=2)
    click.confirm(
        f"All pods of this machine and everything in {settings['data_dir']} will be deleted. "
        "Go on?",
        abort=True,
    )
