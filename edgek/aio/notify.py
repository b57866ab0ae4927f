"""notify: tells systemd how far this process is (sd_notify), for units of ``Type=notify``.

One datagram to the socket that $NOTIFY_SOCKET names; without systemd nothing happens. Never
raises and never waits: that somebody listens is no condition of our work.
"""

import contextlib
import os
import socket

READY = "READY=1"


def notify(*words: str) -> None:
    """``notify(READY)``, ``notify("STATUS=waiting for the server")``."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path  # @ is the abstract namespace
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock,
    ):
        sock.sendto("\n".join(words).encode(), address)
