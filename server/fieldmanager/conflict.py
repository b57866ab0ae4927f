"""The 409 of an apply that would change what others own, in upstream's words.

As apimachinery util/managedfields/internal/conflict.go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from edgek.api.errors import Conflict
from edgek.api.meta import Obj
from edgek.schema.fieldpath import Path, path_text
from edgek.schema.fieldset import Fields, paths
from server.fieldmanager.entries import UPDATE


@dataclass(frozen=True, slots=True)
class FieldConflict:
    """One field that ``entry``'s manager owns."""

    entry: Obj
    path: Path


def conflicts_of(owned: Sequence[tuple[Obj, Fields]]) -> list[FieldConflict]:
    return [FieldConflict(entry, path) for entry, fields in owned for path in paths(fields)]


def conflict_error(conflicts: Sequence[FieldConflict]) -> Conflict:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {_manager(c.entry)}",
            "field": path_text(c.path),
        }
        for c in conflicts
    ]
    return Conflict(_message(conflicts), details={"causes": causes})


def _message(conflicts: Sequence[FieldConflict]) -> str:
    if len(conflicts) == 1:
        only = conflicts[0]
        return (
            f"Apply failed with 1 conflict: conflict with {_manager(only.entry)}: "
            f"{path_text(only.path)}"
        )
    by_manager: dict[str, list[str]] = {}
    for conflict in conflicts:
        by_manager.setdefault(_manager(conflict.entry), []).append(path_text(conflict.path))
    lines = []
    for manager in sorted(by_manager):
        lines.append(f"conflicts with {manager}:")
        lines += [f"- {path}" for path in by_manager[manager]]
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


def _manager(entry: Mapping[str, Any]) -> str:
    # NB: never the time: upstream's identifier of a manager does not carry it.
    text = orjson.dumps(entry.get("manager", "")).decode()
    if sub := entry.get("subresource"):
        text += f" with subresource {orjson.dumps(sub).decode()}"
    if entry.get("operation") == UPDATE:
        text += f" using {entry.get('apiVersion', '')}"
    return text
