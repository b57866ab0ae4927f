"""What of the declared devices is there: patterns become device nodes."""

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.devices.declared import Declared

MAX_NODES = 1000


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One device: its nodes. ``id`` stays the same while it is unplugged and plugged in again."""

    id: str
    paths: tuple[str, ...]


Inventory = Mapping[str, tuple[Unit, ...]]
"""By resource name, those that are there now."""


def take_inventory(declared: Iterable[Declared]) -> dict[str, tuple[Unit, ...]]:
    """Looks below /dev, which is memory: it takes no time worth mention."""
    return {each.name: tuple(_units(each)) for each in declared}


def _units(declared: Declared) -> Iterator[Unit]:
    found = [list(_nodes(pattern)) for pattern in declared.paths]
    if declared.each:
        for path in dict.fromkeys(path for nodes in found for path in nodes):
            yield Unit(id=path, paths=(path,))
    elif all(found):  # a device of several nodes is whole or it is not there
        every = tuple(dict.fromkeys(path for nodes in found for path in nodes))
        yield Unit(id="all", paths=every)


def _nodes(pattern: str) -> Iterator[str]:
    """Device nodes that match, and those in directories that do."""
    for path in sorted(glob.glob(pattern))[:MAX_NODES]:
        if os.path.isdir(path):
            yield from (p for p in sorted(glob.glob(glob.escape(path) + "/*")) if _is_device(p))
        elif _is_device(path):
            yield path


def _is_device(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def counts(
    declared: Sequence[Declared], inventory: Inventory, most: Mapping[str, int]
) -> dict[str, tuple[int, int]]:
    """Resource -> (how many there are to be, how many there are), as capacity and allocatable
    tell it. ``most``: how many devices were ever seen."""
    found = {}
    for each in declared:
        there = len(inventory.get(each.name, ()))
        wanted = each.count or max(most.get(each.name, 0), there, 0 if each.each else 1)
        there = min(there, wanted)
        found[each.name] = (wanted * each.shared, there * each.shared)
    return found


def directories(declared: Iterable[Declared]) -> set[str]:
    """Where nodes of these devices appear and vanish; those that are there now."""
    found = {"/dev"}
    for each in declared:
        for pattern in each.paths:
            for path in (pattern, os.path.dirname(pattern)):
                found |= {p for p in glob.glob(path) if Path(p).is_dir()}
    return found
