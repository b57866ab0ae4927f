"""The guests' LAN: a bridge in a network namespace of its own, one tap for each guest.

QEMU stays in the host's namespace and gets the tap as an open file, so that nothing of the LAN
shows on the host and nothing of it can reach the host's network.
"""

import ctypes
import errno
import fcntl
import os
import struct
import subprocess
import time
from pathlib import Path

NETNS = "edgek-machines"
BRIDGE = "br0"
GATEWAY = "10.77.0.1"
_TUNSETIFF = 0x400454CA
_TAP_NO_PI_VNET_HDR = 0x0002 | 0x1000 | 0x4000
_CLONE_NEWNET = 0x40000000


def ensure_lan() -> None:
    if Path(f"/run/netns/{NETNS}").exists():
        return
    _ip("netns", "add", NETNS)
    inside = ("-n", NETNS)
    _ip(*inside, "link", "set", "lo", "up")
    _ip(*inside, "link", "add", BRIDGE, "type", "bridge", "stp_state", "0", "forward_delay", "0")
    _ip(*inside, "link", "set", BRIDGE, "up")
    _ip(*inside, "addr", "add", f"{GATEWAY}/24", "dev", BRIDGE)


def remove_lan() -> None:
    if Path(f"/run/netns/{NETNS}").exists():
        _ip("netns", "del", NETNS)


def open_tap(name: str) -> int:
    """A tap on the LAN's bridge, as a file descriptor that a child may inherit."""
    ensure_lan()
    with open("/proc/self/ns/net") as here, open(f"/run/netns/{NETNS}") as there:
        _enter(there.fileno())
        try:
            descriptor = _make_tap(name)
        finally:
            _enter(here.fileno())
    _ip("-n", NETNS, "link", "set", name, "master", BRIDGE, "up")
    os.set_inheritable(descriptor, True)
    return descriptor


def _make_tap(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    request = struct.pack("16sH22x", name.encode(), _TAP_NO_PI_VNET_HDR)
    for attempt in range(250):
        try:
            fcntl.ioctl(descriptor, _TUNSETIFF, request)
            return descriptor
        except OSError as err:  # a killed guest's tap goes away a moment after its process
            if err.errno != errno.EBUSY or attempt == 249:
                raise
            time.sleep(0.02)
    raise AssertionError("unreachable")


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
