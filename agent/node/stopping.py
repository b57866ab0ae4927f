"""Does the agent end because the machine does? Asked once, when we are told to end.

systemd stops services early in a shutdown and says by then that the system is stopping. So nothing
has to listen for it all the time (an inhibitor lock over D-Bus, as the kubelet has one, would be a
library and a connection in memory), and a plain restart of the agent leaves pods alone.
"""

import asyncio
import logging

from edgek.aio.notify import notify

log = logging.getLogger(__name__)

ASK = ("systemctl", "is-system-running")
SECONDS = 10.0
MARGIN = 15.0
"""Of what we tell systemd: containers that are killed at the end of their grace take a moment."""


async def machine_stops(ask: tuple[str, ...] = ASK) -> bool:
    """False where that cannot be known: pods then run on, as over a restart."""
    try:
        process = await asyncio.create_subprocess_exec(
            *ask, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as err:  # no systemd: whoever stops the machine calls ``edgek node shutdown``
        log.debug("cannot ask whether the machine stops err=%s", err)
        return False
    try:
        async with asyncio.timeout(SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    return said.strip() == b"stopping"


def extend_patience(seconds: float) -> None:
    """systemd kills what takes longer to stop than TimeoutStopSec, unless it hears of it."""
    notify(f"EXTEND_TIMEOUT_USEC={int((seconds + MARGIN) * 1e6)}")
