"""What the rules say of a pod that breaks them, and the words they share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from edgek.api.meta import Obj, get_path


class Violation(NamedTuple):
    """``reason`` is short; ``detail`` says where and what, or nothing."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


Check = Callable[[Obj, Obj], Violation | None]
"""``check(metadata, spec)`` of a pod or a pod template."""


def all_containers(spec: Mapping[str, Any]) -> list[Obj]:
    fields = ("initContainers", "containers", "ephemeralContainers")
    return [container for field in fields for container in spec.get(field) or ()]


def security(holder: Mapping[str, Any], *path: str) -> Any:
    """A field of the securityContext of a pod's spec or of a container; None where absent."""
    return get_path(holder, "securityContext", *path)


def plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def named(containers: Sequence[Obj]) -> str:
    """``container "a"`` or ``containers "a", "b"``."""
    names = [str(c.get("name") or "") for c in containers]
    return f"{plural('container', len(names))} {quoted(names)}"


def setters(spec: Obj, containers: Sequence[Obj], is_bad: Callable[[Obj], bool]) -> str:
    """``pod and containers "a", "b"``: those of the pod and its containers that are bad."""
    bad = [c for c in containers if is_bad(c)]
    return " and ".join([*(["pod"] if is_bad(spec) else []), *([named(bad)] if bad else [])])


def is_windows(spec: Obj) -> bool:
    return bool(get_path(spec, "os", "name") == "windows")


def has_own_users(spec: Obj) -> bool:
    """In a user namespace of its own the pod's root is nobody on the node."""
    return spec.get("hostUsers") is False
