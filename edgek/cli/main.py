"""``edgek``: the table of subcommands.

A verb is one file in this package with a ``command``; it is imported only when it runs or when
``edgek --help`` prints its line, so that ``edgek get`` costs what ``get`` needs. Whatever is wrong
with a command line is one line too, and exit code 2.
"""

import errno
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

import click

from edgek import __version__
from edgek.cli.cluster import cluster_options, fail

ROLES = ("server", "agent")
VERBS: tuple[tuple[str, str], ...] = (
    ("apply", "edgek.cli.apply"),
    ("get", "edgek.cli.get"),
    ("describe", "edgek.cli.describe"),
    ("delete", "edgek.cli.delete"),
    ("logs", "edgek.cli.pod_logs"),
    ("exec", "edgek.cli.exec"),
    ("port-forward", "edgek.cli.port_forward"),
    ("scale", "edgek.cli.scale"),
    ("rollout", "edgek.cli.rollout"),
    ("wait", "edgek.cli.wait"),
    ("api-resources", "edgek.cli.api_resources"),
    ("version", "edgek.cli.version"),
    ("node", "edgek.cli.node"),
    ("images", "edgek.cli.images"),
    ("token", "edgek.cli.token"),
    ("uninstall", "edgek.cli.uninstall"),
)
"""(name, module): the module's ``command`` is the click command."""


class LazyGroup(click.Group):
    """Finds subcommands in the tables above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*ROLES, *(name for name, _ in VERBS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ROLES:
            from edgek.cli.role_command import role_command

            return role_command(cmd_name)
        module = dict(VERBS).get(cmd_name)
        if module is None:
            return None
        command: click.Command = import_module(module).command
        return command

    def main(self, *args: Any, **extra: Any) -> Any:
        run: Callable[[], Any] = partial(super().main, *args, **{**extra, "standalone_mode": False})
        if not extra.get("standalone_mode", True):
            return run()
        try:
            code = run()
            sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as err:
            err.show()
            sys.exit(err.exit_code)
        except click.ClickException as err:
            fail(_usage(err), code=err.exit_code)
        except click.Abort:
            sys.exit(130)
        except OSError as err:
            _end_of_output(err)
        sys.exit(code if isinstance(code, int) else 0)


def _usage(err: click.ClickException) -> str:
    message = err.format_message().rstrip(".")
    context = getattr(err, "ctx", None)
    return f"{message}; see: {context.command_path} --help" if context else message


def _end_of_output(err: OSError) -> NoReturn:
    """Who reads our output may leave (``| head``): silence, and the code that click gives."""
    if err.errno != errno.EPIPE:
        raise err
    # What is still buffered would fail once more when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="edgek %(version)s")
@cluster_options
def main() -> None:
    """Kubernetes for small hardware: run it, and use it."""
