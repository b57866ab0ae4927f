"""The facts file: what OpenAPI and protobuf say of every built-in type, read bit by bit.

``facts.json.gz`` (written by scripts/make_facts.py) has one entry a line. Opening it keeps the
lines as bytes and decodes only those that are asked for: a server that serves twenty kinds
holds the types of twenty kinds.
"""

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import orjson

Gvk = tuple[str, str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """``types`` and ``messages`` by full name, as undecoded JSON; ``kinds`` by GVK."""

    types: Mapping[str, bytes]
    messages: Mapping[str, bytes]
    kinds: Mapping[Gvk, str]
    release: str
    """The Kubernetes release that all this is of, such as 1.37.0."""

    def type(self, name: str) -> dict[str, Any]:
        """Raises KeyError for a type that 1.37 does not have."""
        found: dict[str, Any] = orjson.loads(self.types[name])
        return found

    def message(self, name: str) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = orjson.loads(self.messages[name])
        return found


@dataclass(slots=True)
class _Sections:
    lines: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def read(self, text: bytes) -> None:
        section: dict[str, bytes] = {}
        for line in text.splitlines():
            if line.endswith(b":{"):
                section = self.lines.setdefault(line[1:-3].decode(), {})
            elif line.startswith(b'"'):
                name, _, value = line.partition(b'":')
                section[name[1:].decode()] = value.rstrip(b",")


def _kinds(types: Mapping[str, bytes]) -> Iterator[tuple[Gvk, str]]:
    for name, line in types.items():
        if b',"k":[[' in line:
            for group, version, kind in orjson.loads(line)["k"]:
                yield (group, version, kind), name


@cache
def load_facts() -> Facts:
    """The facts of this build; a constant, read once."""
    raw = resources.files("edgek.schema").joinpath("facts.json.gz").read_bytes()
    sections = _Sections()
    sections.read(gzip.decompress(raw))
    types = sections.lines["types"]
    return Facts(
        types=types,
        messages=sections.lines["messages"],
        kinds=dict(_kinds(types)),
        release=orjson.loads(sections.lines["about"]["kubernetes"]),
    )
