"""The agent role: ``edgek agent``, and beside the server in ``edgek server``."""

import asyncio

from agent.config import OPTIONS, parse_config
from edgek.roles import Role, Settings


async def run(settings: Settings, stop: asyncio.Event) -> None:
    config = parse_config(settings)
    from agent.app import run_agent  # late: ``--help`` needs none of it

    await run_agent(config, stop)


async def clean_up(settings: Settings) -> list[str]:
    # No server is needed for that, so none needs to be named.
    unjoined = {"server": "https://localhost", "token": None, "token_file": None}
    config = parse_config({**settings, **unjoined})
    from agent import uninstall

    return await uninstall.clean_up(config)


ROLE = Role(
    name="agent", help="Run this machine's pods.", options=OPTIONS, run=run, clean_up=clean_up
)
