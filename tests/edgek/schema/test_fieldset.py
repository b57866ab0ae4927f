"""The algebra of field sets, held against Python's own sets of paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgek.schema import fieldset
from edgek.schema.fieldpath import Path, key_element, normalized, path_text, value_element
from edgek.schema.fieldset import Fields

ELEMENTS = ("f:a", "f:b", 'k:{"name":"x"}', 'v:"x"', "i:0")
PATHS = st.sets(st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=3).map(tuple), max_size=8)


def made(paths: set[Path]) -> Fields:
    return fieldset.from_paths(*sorted(paths))


def told(fields: Fields) -> set[Path]:
    found = list(fieldset.paths(fields))
    assert len(found) == len(set(found)), "each field is told once"
    return set(found)


@given(PATHS)
def test_a_set_holds_the_paths_it_was_made_of(paths: set[Path]) -> None:
    fields = made(paths)
    assert told(fields) == paths
    assert all(fieldset.has(fields, path) for path in paths)
    assert normalized(fields) == fields, "and is written as upstream writes it"


@given(PATHS, PATHS)
def test_union_difference_and_intersection_are_those_of_the_paths(
    a: set[Path], b: set[Path]
) -> None:
    one, two = made(a), made(b)
    assert told(fieldset.union(one, two)) == a | b
    assert told(fieldset.difference(one, two)) == a - b
    assert told(fieldset.intersection(one, two)) == a & b
    assert fieldset.contains(one, two) == (b <= a)
    assert (one, two) == (made(a), made(b)), "nothing given is changed"


@given(PATHS, PATHS)
def test_recursive_difference_takes_what_is_below_too(a: set[Path], b: set[Path]) -> None:
    gone = {p for p in a if any(p[: len(q)] == q for q in b)}
    assert told(fieldset.recursive_difference(made(a), made(b))) == a - gone


@given(PATHS)
def test_leaves_have_nothing_below_them(a: set[Path]) -> None:
    parents = {p[:n] for p in a for n in range(1, len(p))}
    assert told(fieldset.leaves(made(a))) == a - parents


@given(PATHS, PATHS)
def test_a_difference_that_changes_nothing_is_the_same_set(a: set[Path], b: set[Path]) -> None:
    fields = made(a)
    left = fieldset.difference(fields, made(b))
    assert (left is fields) == (not a & b)


def test_fields_come_before_items_and_parents_before_children() -> None:
    fields = made({("f:b",), ("f:a", 'k:{"name":"x"}'), ("f:a",), ('v:"x"',), ("i:10",), ("i:9",)})
    assert [path_text(p) for p in fieldset.paths(fields)] == [
        ".a", ".b", '[="x"]', "[9]", "[10]", '.a[name="x"]',
    ]  # fmt: skip


def test_elements_are_the_bytes_that_go_writes() -> None:
    keys = {"protocol": "TCP", "containerPort": 80}
    assert key_element(keys) == 'k:{"containerPort":80,"protocol":"TCP"}'
    assert value_element("a<b>&c") == 'v:"a\\u003cb\\u003e\\u0026c"'
    assert path_text(("f:ports", key_element(keys))) == '.ports[containerPort=80,protocol="TCP"]'


def test_sets_from_outside_are_brought_into_one_form() -> None:
    given: Fields = {
        "f:a": {".": {}},
        'k:{"b": 1, "a": 2}': {},
        "x:future": {},
        'v: "y"': {"f:z": {}},
    }
    assert normalized(given) == {"f:a": {}, 'k:{"a":2,"b":1}': {}, 'v:"y"': {"f:z": {}}}


@pytest.mark.parametrize(
    "broken", [[], "x", {"f": {}}, {"fa": {}}, {"k:1": {}}, {"v:{": {}}, {"i:x": {}}, {"f:a": 1}]
)
def test_what_is_no_set_is_refused(broken: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        normalized(broken)


def test_a_bottomless_set_is_refused() -> None:
    deep: Fields = {}
    for _ in range(500):
        deep = {"f:a": deep}
    with pytest.raises(ValueError, match="nested too deeply"):
        normalized(deep)
