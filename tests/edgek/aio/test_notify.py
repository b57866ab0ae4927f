"""What systemd hears of us."""

import socket
from pathlib import Path

import pytest

from edgek.aio.notify import READY, notify


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_reaches_the_socket_systemd_named(
    abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{'@' if abstract else ''}{tmp_path}/notify"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0"))
        systemd.settimeout(5)
        notify(READY, "STATUS=serving")
        assert systemd.recv(4096) == b"READY=1\nSTATUS=serving"


@pytest.mark.parametrize("name", ["", "/nowhere/notify"])
def test_nobody_listening_is_no_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify(READY)
