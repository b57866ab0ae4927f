"""Messages from hand-kept field tables: no generated code, no protoc.

A table is ``{message: {number: "name type"}}`` in protobuf's words; ``*`` after the type marks a
repeated field. The wire work is edgek's own codec (edgek/schema/protobuf.py), the one that reads
kubectl's protobuf; zero values are left out both ways, as proto3 does.
"""

from collections.abc import Mapping
from typing import Any

Table = Mapping[str, Mapping[int, str]]
Message = dict[str, Any]


class Messages:
    """Tables that refer to each other by name."""

    def __init__(self, *tables: Table) -> None:
        import orjson

        from edgek.schema.facts import Facts
        from edgek.schema.protobuf import Codec

        facts = {
            name: orjson.dumps({str(number): _slot(text) for number, text in fields.items()})
            for table in tables
            for name, fields in table.items()
        }
        self._codec = Codec(Facts(types={}, messages=facts, kinds={}, release=""))

    def encode(self, name: str, message: Message) -> bytes:
        return self._codec.write_message(name, message)

    def decode(self, name: str, data: bytes) -> Message:
        """Raises ValueError for bytes that are no such message. Unknown fields are skipped."""
        return self._codec.read_message(name, data)


def _slot(text: str) -> list[Any]:
    name, kind = text.split(" ")
    return [name, kind[:-1], True] if kind.endswith("*") else [name, kind]
