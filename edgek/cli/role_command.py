"""``edgek server`` and ``edgek agent``: a click command made from a role's options.

The role itself is loaded only when its command is. It runs on one event loop until SIGINT or
SIGTERM; a second signal kills it the ordinary way. Exit codes: 2 for a setting that cannot be,
1 for a role that could not start or go on, each with one line on stderr.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterable, MutableMapping
from typing import Any

import click

from edgek.cli.logs import set_up_logs
from edgek.cli.settings import load_settings
from edgek.roles import COMMON, Option, Role, Settings, StartError, UsageError, find_role

log = logging.getLogger(__name__)

LAST_SECONDS = 5.0
_TYPES: dict[type, click.ParamType[Any]] = {str: click.STRING, int: click.INT, float: click.FLOAT}


def role_command(name: str) -> click.Command:
    try:
        role = find_role(name)
    except UsageError as err:
        raise click.ClickException(str(err)) from err
    return build_command(role)


def build_command(role: Role) -> click.Command:
    options = all_options(role)

    def run(**flags: Any) -> None:
        try:
            settings = load_settings(options, flags=flags, environ=os.environ)
            forget_secrets(options, os.environ)
            set_up_logs(debug=settings["debug"])
            run_role(role, settings)
        except UsageError as err:
            _fail(role.name, str(err), code=2)
        except StartError as err:
            _fail(role.name, str(err), code=1)

    return click.Command(
        role.name, callback=run, params=[_click_option(o) for o in options], help=role.help
    )


def forget_secrets(options: Iterable[Option], environ: MutableMapping[str, str]) -> None:
    """What has been read must not reach the programs we start (crun, mount, nft...)."""
    for option in options:
        if option.secret:
            for name in (option.env, *option.other_envs):
                environ.pop(name, None)


def all_options(role: Role) -> tuple[Option, ...]:
    """The role's own and the common ones it does not list itself."""
    own = {o.name for o in role.options}
    return (*role.options, *(o for o in COMMON if o.name not in own))


def run_role(role: Role, settings: Settings, *, last_seconds: float = LAST_SECONDS) -> None:
    """Serves until a signal comes; raises what the role raises."""

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop_once, loop, stop)
        await role.run(settings, stop)

    _run(main(), last_seconds)


def _stop_once(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    stop.set()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)


def _run(main: Coroutine[Any, Any, None], last_seconds: float) -> None:
    """When ``main`` has ended, threads get a last moment and are left then: one may wait for a
    file system whose server has gone, and would keep the process for ever."""
    code = 1
    last = threading.Timer(last_seconds, lambda: _leave(code))
    last.daemon = True
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            try:
                runner.run(main)
                code = 0
            finally:
                last.start()
    finally:
        last.cancel()


def _leave(code: int) -> None:
    left = [thread.name for thread in threading.enumerate() if not thread.daemon]
    log.warning("threads do not end and are left threads=%s", left)
    logging.shutdown()
    os._exit(code)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed: twice the requests on the same core."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _click_option(option: Option) -> click.Option:
    extra: dict[str, Any] = {"is_flag": True} if option.type is bool else {
        "type": _TYPES[option.type],
        "multiple": option.multiple,
        "metavar": option.metavar or None,
    }  # fmt: skip
    return click.Option([f"--{option.name}", option.key], default=None, help=_help(option), **extra)


def _help(option: Option) -> str:
    """Defaults are shown here and not left to click, whose default must stay None: only so can
    a flag that was given be told from one that was not."""
    parts = [option.help, f"[env: {option.env}]"]
    if option.default not in (None, "", (), False) and not option.secret:
        parts.append(f"[default: {option.default}]")
    return "  ".join(p for p in parts if p)


def _fail(name: str, message: str, *, code: int) -> None:
    click.echo(f"edgek {name}: {' '.join(message.split())}", err=True)
    raise SystemExit(code)
