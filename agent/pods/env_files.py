"""Variables from files in a volume (``env.valueFrom.fileKeyRef``), which an init container writes.

As pkg/kubelet/util/env: lines of ``NAME='value'`` as a shell reads them; nothing in a value is
expanded, and it may go over several lines. What a container has put into its volume is looked up as
a subPath is: no link leads out of it.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.pods.environment import ConfigError
from agent.pods.threads import in_thread
from agent.pods.volumes.plugin import Provided, VolumeError
from agent.pods.volumes.subpath import open_beneath
from edgek.api.meta import Obj

MAX_FILE = 1 << 20
_NOTHING = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_VARIABLE = re.compile(r"[ \t]*([^\s=]+)='([^']*)'[ \t]*(?:#[^\n]*)?(?:\n|\Z)")

FileKeys = dict[tuple[str, str, str], str | None]
"""(volume, path, key) -> the value; None where there is no such key, or no such file."""


async def read_file_keys(container: Obj, volume: Callable[[str], Provided]) -> FileKeys:
    """Raises ConfigError where a file cannot be read or makes no sense."""
    refs = list(_refs(container))
    if not refs:
        return {}
    roots = {ref["volumeName"]: volume(ref["volumeName"]).path for ref in refs}
    try:
        return await in_thread(lambda: _read_all(refs, roots))
    except TimeoutError:
        raise ConfigError("couldn't parse env file: the volume does not answer") from None
    except (OSError, VolumeError) as err:
        raise ConfigError(f"couldn't parse env file: {err}") from None


def _refs(container: Obj) -> Iterator[Obj]:
    for variable in container.get("env") or ():
        if ref := (variable.get("valueFrom") or {}).get("fileKeyRef"):
            yield ref


def _read_all(refs: list[Obj], roots: dict[str, Path]) -> FileKeys:
    found: FileKeys = {}
    for ref in refs:
        text = _read(roots[ref["volumeName"]], ref["path"])
        if text is None and not ref.get("optional"):
            raise ConfigError(f"couldn't parse env file: {ref['path']}: no such file or directory")
        value = parse_key(text, ref["key"]) if text is not None else None
        found[ref["volumeName"], ref["path"], ref["key"]] = value
    return found


def _read(root: Path, relative: str) -> str | None:
    """None where there is no such file."""
    try:
        handle = open_beneath(root, relative, make=False)
    except FileNotFoundError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ConfigError(f"couldn't parse env file: {relative} is not a file")
        with open(f"/proc/self/fd/{handle}", "rb") as file:
            data = file.read(MAX_FILE + 1)
    finally:
        os.close(handle)
    if len(data) > MAX_FILE:
        raise ConfigError(f"couldn't parse env file: {relative} is larger than 1 MiB")
    return data.decode(errors="replace")


def parse_key(text: str, key: str) -> str | None:
    """The value of one variable. What comes after it need not make sense."""
    at = 0
    while at < len(text):
        if nothing := _NOTHING.match(text, at):
            at = nothing.end()
            continue
        found = _VARIABLE.match(text, at)
        if found is None:
            line = text.count("\n", 0, at) + 1
            raise ConfigError(
                "couldn't parse env file: "
                f"invalid environment variable format at line {line}, expected NAME='value'"
            )
        if found[1] == key:
            return found[2]
        at = found.end()
    return None
