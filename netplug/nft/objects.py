"""A table as values, and their nftables text.

An element's key and value are tuples of words and numbers, joined by dots in nftables; a
verdict is ``("goto", chain)``. Traps of nft 1.0.6 that the text keeps clear of: a semicolon
before each closing brace on a line; ``destroy`` does not exist; deleting an element that is
absent fails the whole transaction.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Word: TypeAlias = str | int
Key: TypeAlias = tuple[Word, ...]
Content: TypeAlias = Mapping[Key, Key]
"""Elements of one map; in a set every value is empty."""
Elements: TypeAlias = Mapping[str, Content]


@dataclass(frozen=True, kw_only=True)
class Chain:
    name: str
    rules: tuple[str, ...]
    hook: str = ""
    """"type nat hook prerouting priority -100"; "" for a chain that others jump to."""


@dataclass(frozen=True, kw_only=True)
class Map:
    name: str
    spec: str
    """"type ipv4_addr . inet_service : verdict"; without a colon it is a set."""
    options: tuple[str, ...] = ()
    learned: bool = False
    """Filled by rules, not by us: never compared and not read back."""

    @property
    def word(self) -> str:
        return "map" if " : " in self.spec else "set"


@dataclass(frozen=True, kw_only=True)
class Table:
    name: str
    maps: tuple[Map, ...]
    chains: tuple[Chain, ...]

    def map(self, name: str) -> Map:
        return next(m for m in self.maps if m.name == name)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One transaction: removals, then additions. Rules never change this way: nft 1.0.6 cannot
    add one that looks up a ``typeof`` map it did not define in the same run."""

    table: Table
    remove: Elements = field(default_factory=dict)
    add: Elements = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.remove or self.add)


def render_replace(table: Table, elements: Elements) -> str:
    """The whole table at once; the two lines in front make it work with and without one."""
    name = f"ip {table.name}"
    out = [f"table {name}", f"delete table {name}", f"table {name} {{"]
    for each in table.maps:
        out.append(f"  {each.word} {each.name} {{")
        out += [f"    {line};" for line in (each.spec, *each.options)]
        out.append("  }")
    # Chains first by name, rules later: they may refer to each other in any order.
    for chain in table.chains:
        out.append(f"  chain {chain.name} {{")
        if chain.hook:
            out.append(f"    {chain.hook}; policy accept;")
        out.append("  }")
    for chain in table.chains:
        out.append(f"  chain {chain.name} {{")
        out += [f"    {rule}" for rule in chain.rules]
        out.append("  }")
    out.append("}")
    out += _elements("add", table.name, elements, with_values=True)
    return "\n".join(out) + "\n"


def render_change(change: Change) -> str:
    table = change.table.name
    out: list[str] = []
    out += _elements("delete", table, change.remove, with_values=False)
    out += _elements("add", table, change.add, with_values=True)
    return "\n".join(out) + "\n"


def _elements(verb: str, table: str, elements: Elements, *, with_values: bool) -> Iterable[str]:
    for name, content in elements.items():
        if content:
            body = ", ".join(
                _join(key) + (f" : {_value(value)}" if with_values and value else "")
                for key, value in content.items()
            )
            yield f"{verb} element ip {table} {name} {{ {body} }}"


def _join(words: Key) -> str:
    return " . ".join(map(str, words))


def _value(value: Key) -> str:
    return " ".join(map(str, value)) if value[0] == "goto" else _join(value)
