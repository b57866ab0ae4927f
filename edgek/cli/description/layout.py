"""Labelled fields as text: values of one level stand in one column, what is deeper is indented."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgek.cli.printers import aligned

NONE = "<none>"


@dataclass(frozen=True)
class Fields:
    """A section: (label, value) in order. A value is text, a list of lines, a section, a table."""

    pairs: Sequence[tuple[str, "Value"]]


@dataclass(frozen=True)
class Table:
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


Value = str | list[str] | Fields | Table


def render(fields: Fields, *, indent: str = "") -> list[str]:
    flat = [label for label, value in fields.pairs if isinstance(value, str | list)]
    width = max((len(label) + 3 for label in flat), default=0)
    return [line for pair in fields.pairs for line in _render_pair(*pair, indent, width)]


def _render_pair(label: str, value: Value, indent: str, width: int) -> list[str]:
    if isinstance(value, Fields):
        return [f"{indent}{label}:", *render(value, indent=indent + "  ")]
    if isinstance(value, Table):
        return _render_table(label, value, indent)
    lines = value if isinstance(value, list) else [value]
    first, *rest = lines or [NONE]
    begin = f"{label}:".ljust(width)
    return [(indent + begin + first).rstrip(), *(indent + " " * width + line for line in rest)]


def _render_table(label: str, table: Table, indent: str) -> list[str]:
    if not table.rows:
        return [f"{indent}{label}:  {NONE}"]
    ruler = ["-" * len(word) for word in table.header]
    lines = aligned([table.header, ruler, *table.rows])
    return [f"{indent}{label}:", *(f"{indent}  {line}" for line in lines)]


def pairs_text(mapping: Mapping[str, Any] | None, *, joint: str = "=") -> list[str]:
    """Labels, annotations: one a line, sorted; [] where there are none."""
    return [f"{k}{joint}{v}" for k, v in sorted((mapping or {}).items())]


def joined(parts: Iterable[Any]) -> str:
    return ", ".join(map(str, parts)) or NONE
