"""Roles: the processes edgek can be.

``server`` and ``agent`` never import each other; each publishes a ``ROLE`` under the entry point
group ``edgek.roles``. The CLI and ``edgek server`` (which runs an agent beside itself unless
told not to) find them here at run time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

GROUP = "edgek.roles"
OWN = ("server", "agent")
"""Found by their names: importlib.metadata, which knows of entry points, takes 3 MB."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One setting of a role: ``--data-dir`` = EDGEK_DATA_DIR = ``data-dir:`` in config.yaml.

    ``type`` is str, int, float or bool; ``multiple`` collects a tuple of ``type``. A ``secret``
    value never shows in logs, errors or ``--help``. ``other_envs`` are further names read from
    the environment, for those that users know (EDGEK_URL for ``--server``).
    """

    name: str
    type: type = str
    default: Any = None
    multiple: bool = False
    secret: bool = False
    metavar: str = ""
    help: str = ""
    other_envs: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")

    @property
    def env(self) -> str:
        return "EDGEK_" + self.key.upper()


CONFIG = Option(
    name="config",
    default="/etc/edgek/config.yaml",
    metavar="FILE",
    help="Read settings from this YAML file; it has the names of these flags.",
)
DEBUG = Option(name="debug", type=bool, default=False, help="Log every decision.")
COMMON = (CONFIG, DEBUG)
"""What every role has; the CLI adds them, and a role may list them as well."""

Settings = Mapping[str, Any]
"""Option.key -> value, every option of the role present, secrets as plain str."""


class UsageError(Exception):
    """A setting the user must mend; its text is the one line they see (exit code 2)."""


class StartError(Exception):
    """The role cannot start or go on; its text says why and what to do (exit code 1)."""


async def _nothing(settings: Settings) -> list[str]:
    return []


@dataclass(frozen=True, kw_only=True)
class Role:
    """``run(settings, stop)`` serves until ``stop`` is set, then ends in good order.

    Raises UsageError for a setting that cannot be, StartError when it cannot do its job.
    ``clean_up(settings)`` takes away what the role made on this machine outside its files, for
    ``edgek uninstall``: no role runs meanwhile, and half of it may be gone already. It gives
    back what could not be done.
    """

    name: str
    help: str
    options: tuple[Option, ...]
    run: Callable[[Settings, asyncio.Event], Awaitable[None]]
    clean_up: Callable[[Settings], Awaitable[list[str]]] = _nothing


def all_roles() -> list[Role]:
    """The roles of this installation."""
    from importlib.metadata import entry_points

    return [entry.load() for entry in entry_points(group=GROUP)]


def find_role(name: str) -> Role:
    """Raises UsageError where this installation lacks the role."""
    if name in OWN and find_spec(name) is not None:
        role: Role = import_module(f"{name}.__main__").ROLE
        return role
    raise UsageError(f"this installation has no {name!r} role; reinstall edgek")
