"""Peers that are gone without a word: a laptop that was shut, a network that was unplugged.

While nothing is on its way to the peer the kernel's keepalive finds that out; while something is,
it is up to its retransmissions, which go on for a quarter of an hour and more. TCP_USER_TIMEOUT
would be shorter, but it also takes a peer for gone that is there and reads nothing for that long
(tcp_probe_timer in net/ipv4/tcp_timer.c), as a pager left open does. The difference is whether
acknowledgements come, and that is what is asked for here.
"""

import socket
import struct

GONE_SECONDS = 120.0
_INFO = struct.Struct("=8B13I")
"""struct tcp_info as far as tcpi_last_ack_recv, the same on every Linux."""
_RETRANSMITS, _PROBES = 2, 3
_UNACKED, _LAST_ACK = 8 + 4, 8 + 12


def has_vanished(sock: socket.socket | None, *, after: float = GONE_SECONDS) -> bool:
    """Whether the peer has acknowledged nothing for so long, though it was asked to."""
    if sock is None or not hasattr(socket, "TCP_INFO"):
        return False
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
    except OSError:  # no TCP, or closed
        return False
    return len(info) == _INFO.size and is_silent(info, after=after)


def is_silent(info: bytes, *, after: float) -> bool:
    """From a ``tcp_info``. A peer that has no room answers each probe, and their count begins
    anew; one may just be on its way. Pure."""
    fields = _INFO.unpack_from(info)
    sent_again = fields[_UNACKED] > 0 and fields[_RETRANSMITS] > 0
    return bool((sent_again or fields[_PROBES] > 1) and fields[_LAST_ACK] >= after * 1000)
