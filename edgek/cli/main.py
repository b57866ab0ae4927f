"""``edgek``: the table of subcommands.

A verb is one file in this package with a ``command``; it is imported only when it runs or when
``edgek --help`` prints its line, so that ``edgek get`` costs what ``get`` needs.
"""

from importlib import import_module

import click

from edgek import __version__

ROLES = ("server", "agent")
VERBS: tuple[tuple[str, str], ...] = (
    ("apply", "edgek.cli.apply"),
    ("get", "edgek.cli.get"),
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


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="edgek %(version)s")
def main() -> None:
    """Kubernetes for small hardware: run it, and use it."""
