"""Which sandbox has which address: a pure allocator and its small locked file.

``Leases`` decides; ``LeaseFile`` keeps it under a lock that other processes (the CNI program)
honour as well. A lease outlives a reboot, so a pod that starts again has its old address. A
lease whose sandbox is gone becomes *idle*: still that name's, but given to another as soon as
nothing else is free; so nothing leaks, whatever was missed.

The file is replaced atomically but not fsynced: it is rebuilt from the kernel's routes, and
after a power loss there are no sandboxes that could contradict it. That spares flash.
"""

import contextlib
import fcntl
import ipaddress
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from netplug.model import NetplugError


@dataclass(frozen=True, kw_only=True)
class Leases:
    """name -> address, and where the search for the next one starts."""

    held: Mapping[str, str]
    idle: Mapping[str, str]
    last: str = ""

    @classmethod
    def none(cls) -> "Leases":
        return cls(held={}, idle={})


def acquire(leases: Leases, name: str, pod_cidr: str) -> tuple[Leases, str]:
    """The name's own address, held or idle, else the next free one, else an idle one's."""
    network = ipaddress.IPv4Network(pod_cidr)
    own = leases.held.get(name) or leases.idle.get(name)
    if own is None or ipaddress.IPv4Address(own) not in network:
        own = _next_free(leases, network)
    idle = {n: ip for n, ip in leases.idle.items() if ip != own and n != name}
    last = own if leases.held.get(name) != own else leases.last
    return replace(leases, held={**leases.held, name: own}, idle=idle, last=last), own


def _next_free(leases: Leases, network: ipaddress.IPv4Network) -> str:
    taken = {int(ipaddress.IPv4Address(ip)) for ip in leases.held.values()}
    idle = {int(ipaddress.IPv4Address(ip)) for ip in leases.idle.values()}
    first, count = int(network[0]) + 1, network.num_addresses - 2
    # Onwards from the last one: an address just released is still in others' caches.
    start = 0
    if leases.last and ipaddress.IPv4Address(leases.last) in network:
        start = int(ipaddress.IPv4Address(leases.last)) - first + 1
    for unwanted in (taken | idle, taken):
        for step in range(count):
            number = first + (start + step) % count
            if number not in unwanted:
                return str(ipaddress.IPv4Address(number))
    raise NetplugError(f"no free address in {network}: {len(taken)} in use")


def release(leases: Leases, name: str) -> Leases:
    return replace(
        leases,
        held={n: ip for n, ip in leases.held.items() if n != name},
        idle={n: ip for n, ip in leases.idle.items() if n != name},
    )


def retire(leases: Leases, name: str) -> Leases:
    """The sandbox is gone for now: its address is the name's own as long as there are others."""
    kept = {name: leases.held[name]} if name in leases.held else {}
    return replace(release(leases, name), idle={**release(leases, name).idle, **kept})


def reconcile(leases: Leases, alive: Mapping[str, str], names: Collection[str]) -> Leases:
    """After a restart: what the kernel has is held; what it has not is idle.

    ``alive``: addresses the kernel routes to sandboxes, by name; ``names``: all sandboxes that
    exist. One that exists without a route keeps what the file says.
    """
    known = {**leases.idle, **leases.held}
    held = {n: ip for n, ip in known.items() if n in names} | dict(alive)
    used = set(held.values())
    idle = {n: ip for n, ip in known.items() if n not in held and ip not in used}
    return replace(leases, held=held, idle=idle)


class LeaseFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def locked(self) -> "Iterator[LeaseFile]":
        """Excludes other threads and processes (each open file has a lock of its own)."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # For reading, which is enough to lock it: the disk may be read-only.
        lock = os.open(self._lock_path(), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self
        finally:
            os.close(lock)

    def _lock_path(self) -> Path:
        return self._path.with_suffix(".lock")

    def read(self) -> Leases:
        try:
            data = json.loads(self._path.read_text())
            return Leases(
                held=_addresses(data["held"]), idle=_addresses(data["idle"]), last=data["last"]
            )
        except FileNotFoundError:
            return Leases.none()
        except (ValueError, KeyError, TypeError, AttributeError):
            return Leases.none()  # torn by a power loss; reconcile() finds what lives

    def write(self, leases: Leases) -> None:
        data = {"held": dict(leases.held), "idle": dict(leases.idle), "last": leases.last}
        scratch = self._path.with_suffix(".new")
        try:
            scratch.write_text(json.dumps(data))
            scratch.replace(self._path)
        except OSError as err:
            raise NetplugError(f"write {self._path}: {err.strerror}") from err

    def settle(self, leases: Leases, *, was: Leases) -> None:
        """Writes what has come free, if it can. On a disk that is full or read-only an address
        stays taken until ``reconcile``; a pod must go all the same, and a node come up."""
        if leases != was:
            with contextlib.suppress(NetplugError):
                self.write(leases)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
        self._lock_path().unlink(missing_ok=True)


def _addresses(data: Mapping[str, str]) -> dict[str, str]:
    return {str(name): str(ipaddress.IPv4Address(ip)) for name, ip in data.items()}
