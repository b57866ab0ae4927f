"""Lists of which a schema says that they are sets or maps (apiserver pkg/cel/common/values.go)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgek.schema.structural import read_structural
from edgek.schema.to_schema import to_cel_schema
from server.cel import Environment, compile_expression

_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_SET = _TEXTS | {"x-kubernetes-list-type": "set"}
_MAP: dict[str, Any] = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name", "proto"],
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "proto": {"type": "string"},
            "tags": _SET,
        },
    },
}
_SPEC = {
    "type": "object",
    "properties": {
        "list": _TEXTS,
        "atomic": _TEXTS | {"x-kubernetes-list-type": "atomic"},
        "set": _SET,
        "map": _MAP,
        "sets": {"type": "array", "items": {"type": "object", "properties": {"set": _SET}}},
        "byName": {"type": "object", "additionalProperties": _SET},
    },
}
_HERE = to_cel_schema(read_structural(_SPEC))
_ENVIRONMENT = Environment(variables={"self": _HERE, "oldSelf": _HERE})


def _value(rule: str, new: Any, old: Any) -> Any:
    return compile_expression(rule, _ENVIRONMENT).evaluate({"self": new, "oldSelf": old})


def _item(name: str, proto: str = "", *tags: str) -> dict[str, Any]:
    return {"name": name, "proto": proto, "tags": list(tags)}


A, B = {"set": ["a", "b"]}, {"set": ["b", "a"]}


@pytest.mark.parametrize(
    ("rule", "new", "old", "expected"),
    [
        ("self.list == oldSelf.list", {"list": ["a", "b"]}, {"list": ["b", "a"]}, False),
        ("self.atomic == oldSelf.atomic", {"atomic": ["a", "b"]}, {"atomic": ["b", "a"]}, False),
        ("self.set == oldSelf.set", A, B, True),
        ("self.set != oldSelf.set", A, B, False),
        ("self.set == ['b', 'a']", A, B, True),
        ("['b', 'a'] == self.set", A, B, False),
        ("self.set == oldSelf.set", A, {"set": ["a"]}, False),
        ("self.set == oldSelf.set", A, {"set": ["a", "c"]}, False),
        ("self == oldSelf", A, B, True),
        ("self.sets == oldSelf.sets", {"sets": [A]}, {"sets": [B]}, True),
        ("oldSelf.sets[0] in self.sets", {"sets": [A]}, {"sets": [B]}, True),
        ("self.sets.all(s, s == oldSelf.sets[0])", {"sets": [A]}, {"sets": [B]}, True),
        ("self.sets.map(s, s.set)[0] == oldSelf.set", {"sets": [A]}, B, True),
        (
            "self.byName == oldSelf.byName",
            {"byName": {"x": ["a", "b"]}},
            {"byName": {"x": ["b", "a"]}},
            True,
        ),
        ("self.set + oldSelf.set", A, {"set": ["c", "b"]}, ["a", "b", "c"]),
        ("(self.set + ['c']) + ['c', 'd']", A, A, ["a", "b", "c", "d"]),
        ("self.set + ['c'] == ['c', 'b', 'a']", A, A, True),
        ("self.list + oldSelf.list", {"list": ["a"]}, {"list": ["a"]}, ["a", "a"]),
        (
            "self.map == oldSelf.map",
            {"map": [_item("a"), _item("a", "tcp", "x", "y")]},
            {"map": [_item("a", "tcp", "y", "x"), _item("a")]},
            True,
        ),
        ("self.map == oldSelf.map", {"map": [_item("a")]}, {"map": [_item("b")]}, False),
        (
            "self.map == oldSelf.map",
            {"map": [_item("a", "", "x")]},
            {"map": [_item("a", "", "y")]},
            False,
        ),
        (
            "self.map + oldSelf.map",
            {"map": [_item("a", "", "x"), _item("b")]},
            {"map": [_item("c"), _item("a", "", "y")]},
            [_item("a", "", "y"), _item("b"), _item("c")],
        ),
        ("oldSelf.?set.orValue([]) == self.set", A, B, True),
    ],
)
def test_the_schema_of_the_left_side_decides(rule: str, new: Any, old: Any, expected: Any) -> None:
    assert _value(rule, new, old) == expected


_LISTS = st.lists(st.text("abc", min_size=1, max_size=2), unique=True, max_size=6)


@given(_LISTS, _LISTS)
def test_a_set_behaves_as_one(a: list[str], b: list[str]) -> None:
    new, old = {"set": a}, {"set": b}
    assert _value("self.set == oldSelf.set", new, old) is (set(a) == set(b))
    joined = _value("self.set + oldSelf.set", new, old)
    assert joined == a + [item for item in b if item not in a]
    assert new == {"set": a}


@given(_LISTS, _LISTS)
def test_the_items_of_a_map_are_found_by_their_keys(a: list[str], b: list[str]) -> None:
    new, old = {"map": [_item(n, "", "new") for n in a]}, {"map": [_item(n) for n in b]}
    joined = _value("self.map + oldSelf.map", new, old)
    assert [item["name"] for item in joined] == a + [n for n in b if n not in a]
    assert all(bool(item["tags"]) is (item["name"] not in b) for item in joined)
    assert _value("self.map == oldSelf.map", new, {"map": new["map"][::-1]}) is True
