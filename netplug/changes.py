"""The kernel tells when addresses, routes or links change: a netlink socket that is listened to.

What it says is not read, only that it said something: who wants to know looks anew. That is less
than pyroute2 would do, and costs one descriptor and no memory.
"""

import errno
import socket

LINK, IPV4_ADDRESS, IPV4_ROUTE, IPV6_ADDRESS = 0x1, 0x10, 0x40, 0x100
"""RTMGRP_* of linux/rtnetlink.h."""
_GROUPS = LINK | IPV4_ADDRESS | IPV4_ROUTE | IPV6_ADDRESS


class Changes:
    """``fileno`` becomes readable at a change; ``drain`` then takes all that waits. Serves the
    network namespace it was made in."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, 0)  # NETLINK_ROUTE
        self._socket.bind((0, _GROUPS))

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> None:
        while True:
            try:
                self._socket.recv(65536)
            except BlockingIOError:
                return
            except OSError as err:
                if err.errno != errno.ENOBUFS:  # more came than fits, which is a change too
                    return

    def close(self) -> None:
        self._socket.close()
