"""Semantic versions: semver('1.2.3'), comparison and parts (apiserver pkg/cel/library/semverlib.go,
version 1: with normalization)."""

import re
from dataclasses import dataclass
from typing import ClassVar

from server.cel.errors import CelError
from server.cel.overload import Overload, overload
from server.cel.values import UINT_MAX, Opaque

S = "kubernetes.Semver"
_NUMBER = r"(0|[1-9]\d{0,19})"
_PATTERN = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?", re.ASCII
)
_LONGEST = 1024


@dataclass(frozen=True, kw_only=True)
class Semver(Opaque):
    """``order`` compares as the standard says: a pre-release comes before its release."""

    type_name: ClassVar[str] = S
    core: tuple[int, int, int]
    order: tuple[tuple[int, int, str], ...]


def _pre_release(text: str) -> tuple[tuple[int, int, str], ...]:
    parts = text.split(".")
    if any(not p or (p.isdecimal() and len(p) > 1 and p[0] == "0") for p in parts):
        raise CelError(f"Invalid Semver: {text}")
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts)


def parse(text: str, normalize: bool = False) -> Semver:
    """``normalize`` forgives a v in front, missing parts and leading zeros."""
    match = (
        _PATTERN.fullmatch(_normal(text) if normalize else text) if len(text) <= _LONGEST else None
    )
    if match is None:
        raise CelError("No Major.Minor.Patch elements found")
    major, minor, patch = (int(n) for n in match.groups()[:3])
    if max(major, minor, patch) > UINT_MAX:
        raise CelError("value out of range")
    before = _pre_release(match[4]) if match[4] else ((2, 0, ""),)
    return Semver(core=(major, minor, patch), order=before)


def _normal(text: str) -> str:
    text = text.strip().removeprefix("v")
    core, rest = re.fullmatch(r"([^+-]*)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    parts = [p.lstrip("0") or "0" if p else p for p in core.split(".")]
    return ".".join([*parts, *["0"] * (3 - len(parts))]) + rest


def _is_semver(text: str, normalize: bool = False) -> bool:
    try:
        parse(text, normalize)
    except CelError:
        return False
    return True


def _compare(a: Semver, b: Semver) -> int:
    left, right = (a.core, a.order), (b.core, b.order)
    return (left > right) - (left < right)


OVERLOADS: tuple[Overload, ...] = (
    overload(f"semver(string) -> {S}", parse),
    overload(f"semver(string, bool) -> {S}", parse),
    overload("isSemver(string) -> bool", _is_semver),
    overload("isSemver(string, bool) -> bool", _is_semver),
    overload(f"{S}.major() -> int", lambda v: v.core[0]),
    overload(f"{S}.minor() -> int", lambda v: v.core[1]),
    overload(f"{S}.patch() -> int", lambda v: v.core[2]),
    overload(f"{S}.isGreaterThan({S}) -> bool", lambda a, b: _compare(a, b) > 0),
    overload(f"{S}.isLessThan({S}) -> bool", lambda a, b: _compare(a, b) < 0),
    overload(f"{S}.compareTo({S}) -> int", _compare),
)
