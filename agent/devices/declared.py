"""What ``devices.yaml`` may say, and what is wrong with it. Pure.

::

    edgek.io/gpio:
      paths: [/dev/gpiochip0]          # of these together one device is made
      shared: 10                       # that ten containers may have at a time
      permissions: rw
      groups: [gpio]
    edgek.io/serial:
      paths: ["/dev/ttyUSB*"]
      each: true                       # every one that is found is a device of its own
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgek.api.validation import is_qualified_name

MAX_DEVICES, MAX_PATHS, MAX_SHARED = 100, 100, 1000
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class DevicesError(ValueError):
    """What is wrong with the file, with the place in it."""


@dataclass(frozen=True, kw_only=True)
class HostMount:
    path: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One extended resource. ``count``: how many devices there are to be, 0 for as many as are
    found; ``groups`` are ids of groups that containers are put in to be allowed to use it."""

    name: str
    paths: tuple[str, ...]
    each: bool = False
    count: int = 0
    shared: int = 1
    permissions: str = "rw"
    groups: tuple[int, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[HostMount, ...] = ()


def parse_devices(content: Any, *, group_id: Callable[[str], int]) -> tuple[Declared, ...]:
    """``group_id`` raises KeyError for a group the machine has not. Raises DevicesError."""
    if content is None:
        return ()
    if not isinstance(content, dict):
        raise DevicesError("must be a map from names of resources to what they are made of")
    if len(content) > MAX_DEVICES:
        raise DevicesError(f"must have no more than {MAX_DEVICES} resources")
    return tuple(_one(str(name), entry, group_id) for name, entry in content.items())


def _one(name: str, entry: Any, group_id: Callable[[str], int]) -> Declared:
    _check(not is_qualified_name(name) and "/" in name, name, "must be a name like edgek.io/gpio")
    domain = name.partition("/")[0]
    own = domain != "kubernetes.io" and not domain.endswith(".kubernetes.io")
    _check(own, name, "the domain kubernetes.io is not for devices")
    _check(isinstance(entry, dict), name, "must be a map with paths in it")
    known = tuple(_READERS)
    for key in entry:
        _check(
            key in known, f"{name}: {key}", f"there is no such field; there are {', '.join(known)}"
        )
    _check("paths" in entry, name, "paths are missing")
    values = {key: _READERS[key](f"{name}: {key}", entry[key]) for key in entry}
    if "groups" in values:
        values["groups"] = tuple(_group(name, g, group_id) for g in values["groups"])
    return Declared(name=name, **values)


def _check(fine: bool, where: str, problem: str) -> None:
    if not fine:
        raise DevicesError(f"{where}: {problem}")


def _paths(where: str, value: Any) -> tuple[str, ...]:
    _check(
        isinstance(value, list) and 0 < len(value) <= MAX_PATHS, where, "must be a list of paths"
    )
    for i, path in enumerate(value):
        fine = isinstance(path, str) and path.startswith("/dev/") and ".." not in path.split("/")
        _check(fine, f"{where}[{i}]", "must be a path or a pattern below /dev")
    return tuple(value)


def _flag(where: str, value: Any) -> bool:
    _check(isinstance(value, bool), where, "must be true or false")
    return bool(value)


def _number(least: int) -> Callable[[str, Any], int]:
    def read(where: str, value: Any) -> int:
        fine = isinstance(value, int) and not isinstance(value, bool)
        _check(fine and least <= value <= MAX_SHARED, where,
               f"must be a whole number from {least} to {MAX_SHARED}")  # fmt: skip
        return int(value)

    return read


def _permissions(where: str, value: Any) -> str:
    fine = isinstance(value, str) and value and set(value) <= set("rwm")
    _check(bool(fine), where, "must be of the letters r, w and m")
    return str(value)


def _groups(where: str, value: Any) -> tuple[Any, ...]:
    fine = isinstance(value, list) and all(isinstance(g, str | int) for g in value)
    _check(fine, where, "must be a list of names or ids of groups")
    return tuple(value)


def _group(name: str, group: Any, group_id: Callable[[str], int]) -> int:
    if isinstance(group, int):
        return group
    try:
        return group_id(group)
    except KeyError:
        raise DevicesError(f"{name}: groups: this machine has no group {group!r}") from None


def _env(where: str, value: Any) -> dict[str, str]:
    fine = isinstance(value, dict) and all(_ENV.fullmatch(str(k)) for k in value)
    _check(fine, where, "must be a map of variables")
    return {str(k): str(v) for k, v in value.items()}


def _mounts(where: str, value: Any) -> tuple[HostMount, ...]:
    _check(isinstance(value, list), where, "must be a list of mounts")
    found = []
    for i, entry in enumerate(value):
        place = f"{where}[{i}]"
        _check(
            isinstance(entry, dict) and "path" in entry, place, "must be a map with a path in it"
        )
        unknown = set(entry) - {"path", "target", "readOnly"}
        _check(not unknown, place, "only path, target and readOnly may be there")
        path, target = str(entry["path"]), str(entry.get("target") or entry["path"])
        fine = path.startswith("/") and target.startswith("/")
        _check(
            fine and ".." not in (path + "/" + target).split("/"), place, "must be absolute paths"
        )
        read_only = _flag(f"{place}: readOnly", entry.get("readOnly", True))
        found.append(HostMount(path=path, target=target, read_only=read_only))
    return tuple(found)


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "paths": _paths,
    "each": _flag,
    "count": _number(0),
    "shared": _number(1),
    "permissions": _permissions,
    "groups": _groups,
    "env": _env,
    "mounts": _mounts,
}
