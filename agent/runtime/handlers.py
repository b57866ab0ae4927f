"""Which OCI runtimes this machine has: what a RuntimeClass can name as its handler.

The well-known ones that are installed, and those that the machine's containers.conf declares in
``[engine.runtimes]``. Podman is told the same table, so that it knows the containers again.
"""

import os
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from agent.runtime.machine import Machine

DEFAULT = "crun"
KNOWN = ("crun", "runc", "youki", "runsc", "kata", "krun", "crun-vm", "crun-wasm")
_PROGRAMS = {"kata": "kata-runtime"}
CONFIGS = (
    Path("/usr/share/containers/containers.conf"),
    Path("/etc/containers/containers.conf"),
    Path("/etc/containers/containers.conf.d"),
)


def find_handlers(configs: Iterable[Path] = CONFIGS) -> dict[str, str]:
    """Name -> program, the default first."""
    found = {n: p for n in KNOWN if (p := shutil.which(_PROGRAMS.get(n, n)))}
    for path in configs:
        for file in sorted(path.glob("*.conf")) if path.is_dir() else [path]:
            for name, programs in _declared(file).items():
                there = next((p for p in programs if os.access(p, os.X_OK)), None)
                found |= {name: there} if there else {}
    return found


def _declared(file: Path) -> Mapping[str, list[str]]:
    try:
        data: dict[str, Any] = tomllib.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    table = data.get("engine", {}).get("runtimes", {})
    return {
        name: [str(p) for p in programs]
        for name, programs in table.items()
        if isinstance(programs, list) and name.replace("-", "").replace(".", "").isalnum()
    }


def plan_node_handlers(handlers: Iterable[str], *, machine: Machine) -> list[dict[str, Any]]:
    """node.status.runtimeHandlers: the nameless one is what pods get that name none."""
    features = {
        "recursiveReadOnlyMounts": machine.recursive_read_only,
        "userNamespaces": machine.user_namespaces,
    }
    return [{"name": name, "features": features} for name in ("", *handlers)]
