"""Peers that are gone without a word, told from ones that take their time."""

import socket
import struct

import pytest

from edgek.aio.vanished import has_vanished, is_silent


def info(*, retransmits: int = 0, probes: int = 0, unacked: int = 0, last_ack: int = 0) -> bytes:
    numbers = [0] * 13
    numbers[4], numbers[12] = unacked, last_ack
    return struct.pack("=8B13I", 1, 0, retransmits, probes, 0, 0, 0, 0, *numbers)


@pytest.mark.parametrize(
    ("found", "silent"),
    [
        (info(retransmits=5, unacked=3, last_ack=61_000), True),
        (info(retransmits=5, unacked=3, last_ack=59_000), False),
        (info(probes=2, last_ack=90_000), True),
        (info(probes=1, last_ack=119_000), False),  # a reader that pauses, asked just now
        (info(last_ack=3_600_000), False),  # nothing is on its way to it
        (info(unacked=1, last_ack=3_600_000), False),  # sent this moment
    ],
    ids=["sent-again", "not-for-long", "probed", "pausing", "idle", "just-sent"],
)
def test_who_acknowledges_nothing_that_was_sent_again_is_gone(found: bytes, silent: bool) -> None:
    assert is_silent(found, after=60) == silent


def test_a_reader_that_pauses_is_there() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as writer,
        listening.accept()[0],
    ):
        writer.settimeout(0.5)  # two of the kernel's probes
        with pytest.raises(TimeoutError):
            writer.sendall(b"x" * (64 << 20))
        assert not has_vanished(writer, after=0)
    assert not has_vanished(writer)  # closed
    assert not has_vanished(None)
    with socket.socket(socket.AF_UNIX) as local:
        assert not has_vanished(local, after=0)
