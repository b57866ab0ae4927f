"""Prometheus' text format (version 0.0.4), written. Reading costs nobody more than a line."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(kw_only=True)
class Family:
    """One metric and its samples: (suffix of the name, labels, value, milliseconds of the epoch or
    None)."""

    name: str
    help: str
    type: str = "gauge"
    samples: list[tuple[str, Mapping[str, str], float, int | None]] = field(default_factory=list)

    def add(
        self, value: float, labels: Mapping[str, str], *, at: float | None = None, suffix: str = ""
    ) -> None:
        """``at``: seconds of the epoch; ``suffix`` is a histogram's (_bucket, _sum, _count)."""
        stamp = int(at * 1000) if at is not None else None
        self.samples.append((suffix, labels, value, stamp))


def exposition(families: Iterable[Family]) -> str:
    """Families without samples are left out."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            lines.append(f"# HELP {family.name} {_escape(family.help)}")
            lines.append(f"# TYPE {family.name} {family.type}")
            lines += [_line(family.name + s, labels, v, t) for s, labels, v, t in family.samples]
    return "\n".join([*lines, ""])


def _line(name: str, labels: Mapping[str, str], value: float, stamp: int | None) -> str:
    inside = ",".join(f'{k}="{_quote(v)}"' for k, v in labels.items())
    text = f"{name}{{{inside}}} {_number(value)}" if inside else f"{name} {_number(value)}"
    return f"{text} {stamp}" if stamp is not None else text


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quote(text: str) -> str:
    return _escape(text).replace('"', '\\"')
