"""The server role: ``edgek server`` finds it here and runs it."""

import asyncio
import gc

from edgek.roles import Role, Settings
from server.config import OPTIONS


async def run(settings: Settings, stop: asyncio.Event) -> None:
    gc.disable()  # modules are no garbage; server/run.py turns it on when all is there
    from server.run import run_server  # late: ``edgek server --help`` needs none of it

    await run_server(settings, stop)


ROLE = Role(name="server", help="Run the control plane.", options=OPTIONS, run=run)
