"""Connects to localhost, in whatever namespace the sockets are made. Words as Go's net has them,
because ``kubectl port-forward`` shows them.
"""

import asyncio
import os
import socket
from collections.abc import Callable

from agent.network.network import NetworkFailure
from netplug.model import NetplugError

CONNECT_SECONDS = 5.0
_LOCAL = ((socket.AF_INET, "tcp4", "127.0.0.1"), (socket.AF_INET6, "tcp6", "::1"))


async def connect_local(port: int, *, make: Callable[[int, int], socket.socket]) -> socket.socket:
    """``make`` is called in a thread. Raises NetworkFailure with what each family said."""
    failures = []
    for family, network, address in _LOCAL:
        try:
            return await _connect(make, family, (address, port))
        except (OSError, TimeoutError, NetplugError) as err:
            shown = f"[{address}]" if ":" in address else address
            failures.append(f"dial {network} {shown}:{port}: {_words(err)}")
    ipv4, ipv6 = failures
    raise NetworkFailure(
        f"failed to connect to localhost:{port} inside the pod's namespace, IPv4: {ipv4} "
        f"IPv6: {ipv6}"
    )


async def _connect(
    make: Callable[[int, int], socket.socket], family: int, address: tuple[str, int]
) -> socket.socket:
    made = await asyncio.to_thread(make, family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        async with asyncio.timeout(CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


def _words(err: Exception) -> str:
    if isinstance(err, TimeoutError):
        return "i/o timeout"
    if isinstance(err, OSError) and err.errno:
        return f"connect: {os.strerror(err.errno).lower()}"
    return str(err)
