"""Fields of typed values: which there are, what changed, merging and taking away."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgek.schema import Schema, builtin_types
from edgek.schema.fieldset import Fields, contains, union
from edgek.schema.merge import merge, remove, with_named
from edgek.schema.reconcile import reconciled
from edgek.schema.typed import compare, created, extract
from edgek.schema.typed_errors import told, typed_problems

TEXT = Schema(type="string")
NUMBER = Schema(type="int64")
ITEM = Schema(
    type="object",
    fields={
        "name": TEXT,
        "size": NUMBER,
        "port": Schema(type="string", default="http"),
        "tags": Schema(type="list", items=TEXT, list_type="set"),
    },
)
THING = Schema(
    type="object",
    fields={
        "text": TEXT,
        "number": NUMBER,
        "labels": Schema(type="map", items=TEXT),
        "whole": Schema(type="map", items=TEXT, map_type="atomic"),
        "plain": Schema(type="list", items=NUMBER, list_type="atomic"),
        "tags": Schema(type="list", items=TEXT, list_type="set"),
        "items": Schema(
            type="list", items=ITEM, list_type="map", list_map_keys=("name", "port")
        ),
        "inner": Schema(
            type="object", fields={"text": TEXT, "labels": Schema(type="map", items=TEXT)}
        ),
        "free": Schema(type="any"),
    },
)  # fmt: skip

WORDS = st.sampled_from("abc")
FREE = st.recursive(
    st.integers(0, 2) | WORDS,
    lambda inner: st.dictionaries(WORDS, inner, max_size=2) | st.lists(inner, max_size=2),
    max_leaves=4,
)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {"name": WORDS},
        optional={"size": st.integers(0, 2), "tags": st.lists(WORDS, unique=True, max_size=2)},
    ),
    unique_by=lambda item: item["name"],
    max_size=3,
)
THINGS = st.fixed_dictionaries(
    {},
    optional={
        "text": WORDS,
        "number": st.integers(0, 2),
        "labels": st.dictionaries(WORDS, WORDS, max_size=3),
        "whole": st.dictionaries(WORDS, WORDS, max_size=2),
        "plain": st.lists(st.integers(0, 2), max_size=2),
        "tags": st.lists(WORDS, unique=True, max_size=3),
        "items": ITEMS,
        "inner": st.fixed_dictionaries(
            {}, optional={"text": WORDS, "labels": st.dictionaries(WORDS, WORDS, max_size=2)}
        ),
        "free": FREE,
    },
)


@given(THINGS, THINGS)
def test_what_is_applied_is_in_what_comes_out(live: Any, applied: Any) -> None:
    merged = merge(live, applied, THING)
    assert contains(extract(merged, THING), _kept(extract(applied, THING), merged))
    # Applied once more it changes nothing.
    assert merge(merged, applied, THING) == merged


def _kept(fields: Fields, merged: Any) -> Fields:
    """Without containers, at any depth, that were applied empty and are not in the result."""
    kept: Fields = {}
    for element, inner in fields.items():
        value = merged.get(element.removeprefix("f:")) if isinstance(merged, dict) else None
        below = _kept(inner, value)
        filled = isinstance(value, dict) and bool(value)
        if below or not (filled if inner == {} else inner):
            kept[element] = below
    return kept


@given(THINGS)
def test_a_value_merged_with_itself_or_nothing_stays(thing: Any) -> None:
    assert merge(thing, thing, THING) == thing
    assert merge({}, thing, THING) == thing
    assert merge(thing, {}, THING) == thing


@given(THINGS, THINGS)
def test_comparing_back_swaps_added_and_removed(old: Any, new: Any) -> None:
    there, back = compare(old, new, THING), compare(new, old, THING)
    assert (there.added, there.removed) == (back.removed, back.added)
    assert there.modified == back.modified
    assert (old == new) or there.changed or there.removed or _only_order(old, new)


def _only_order(old: Any, new: Any) -> bool:
    """Lists of items that differ in nothing but their order have the same fields."""
    return bool(extract(old, THING) == extract(new, THING))


@given(THINGS)
def test_nothing_changes_between_equal_values(thing: Any) -> None:
    seen = compare(thing, dict(thing), THING)
    assert (seen.added, seen.removed, seen.modified) == ({}, {}, {})


@given(THINGS)
def test_a_new_value_has_all_fields_that_it_names(thing: Any) -> None:
    made = created(thing, THING)
    assert contains(made, extract(thing, THING))
    assert made == compare({}, thing, THING).added


@given(THINGS, THINGS)
def test_what_is_taken_away_is_gone(thing: Any, other: Any) -> None:
    fields = with_named(extract(other, THING), THING)
    left = remove(thing, fields, THING) or {}
    assert contains(with_named(extract(thing, THING), THING), extract(left, THING))
    nothing = remove(thing, with_named(extract(thing, THING), THING), THING) or {}
    assert extract(nothing, THING) == {}


@given(THINGS, THINGS)
def test_disjoint_configurations_apply_in_any_order(one: Any, two: Any) -> None:
    two = {k: v for k, v in two.items() if k not in one}
    there = merge(merge({}, one, THING), two, THING)
    back = merge(merge({}, two, THING), one, THING)
    assert there == back
    assert extract(there, THING) == union(extract(one, THING), extract(two, THING))


@pytest.mark.parametrize(
    ("live", "applied", "merged"),
    [
        ("abc", "cab", "cab"),  # the applied order wins
        ("abc", "b", "abc"),
        ("abc", "ca", "bca"),
        ("abc", "d", "abcd"),
        ("abcd", "da", "bcda"),
        ("ab", "cb", "acb"),
        ("", "ba", "ba"),
    ],
)
def test_items_come_in_the_applied_order_around_those_of_others(
    live: str, applied: str, merged: str
) -> None:
    out = merge({"tags": list(live)}, {"tags": list(applied)}, THING)
    assert "".join(out["tags"]) == merged


def test_an_item_that_is_there_twice_is_replaced_as_a_whole_or_left_alone() -> None:
    twice = [{"name": "a", "size": 1}, {"name": "a", "size": 2}]
    other = merge({"items": twice}, {"items": [{"name": "b"}]}, THING)
    assert other["items"] == [*twice, {"name": "b"}]
    same = merge({"items": twice}, {"items": [{"name": "a", "tags": ["x"]}]}, THING)
    assert same["items"] == [{"name": "a", "tags": ["x"]}]


@pytest.mark.parametrize(
    ("applied", "fields"),
    [
        ({"text": "x"}, {"f:text": {}}),
        ({"labels": {"a": "b"}}, {"f:labels": {"f:a": {}}}),
        ({"labels": {}}, {"f:labels": {}}),
        ({"labels": None}, {"f:labels": {}}),
        ({"tags": []}, {}),
        ({"tags": ["x"]}, {"f:tags": {'v:"x"': {}}}),
        ({"whole": {"a": "b"}}, {"f:whole": {}}),
        ({"plain": [1]}, {"f:plain": {}}),
        ({"inner": {"text": "x"}}, {"f:inner": {"f:text": {}}}),
        (
            {"items": [{"name": "x"}]},
            {"f:items": {'k:{"name":"x","port":"http"}': {".": {}, "f:name": {}}}},
        ),
        ({"free": {"a": {"b": [1]}}}, {"f:free": {"f:a": {".": {}, "f:b": {}}}}),
        ({"free": 1}, {"f:free": {}}),
        ({"stray": {"a": 1}}, {"f:stray": {".": {}, "f:a": {}}}),
    ],
)
def test_the_fields_of_an_applied_value(applied: Any, fields: Fields) -> None:
    assert extract(applied, THING) == fields


@pytest.mark.parametrize(
    ("old", "new", "added", "removed", "modified"),
    [
        ({"text": "a"}, {"text": "b"}, {}, {}, {"f:text": {}}),
        ({}, {"labels": {"a": "b"}}, {"f:labels": {".": {}, "f:a": {}}}, {}, {}),
        ({"labels": {}}, {"labels": {"a": "b"}}, {"f:labels": {"f:a": {}}}, {}, {}),
        ({"labels": None}, {"labels": {}}, {}, {}, {"f:labels": {}}),
        ({"tags": ["a", "b"]}, {"tags": ["b"]}, {}, {"f:tags": {'v:"a"': {}}}, {}),
        ({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, {}, {}, {}),
        ({"plain": [1, 2]}, {"plain": [2, 1]}, {}, {}, {"f:plain": {}}),
        ({"free": {"a": 1}}, {"free": 2}, {}, {"f:free": {"f:a": {}}}, {"f:free": {}}),
        (
            {"items": [{"name": "x", "size": 1}]},
            {"items": [{"name": "x", "port": "http", "size": 2}]},
            {"f:items": {'k:{"name":"x","port":"http"}': {"f:port": {}}}},
            {},
            {"f:items": {'k:{"name":"x","port":"http"}': {"f:size": {}}}},
        ),
    ],
)
def test_what_differs(old: Any, new: Any, added: Any, removed: Any, modified: Any) -> None:
    seen = compare(old, new, THING)
    assert (seen.added, seen.removed, seen.modified) == (added, removed, modified)


def test_structs_of_built_in_types_are_always_there_and_nobodys() -> None:
    schema = builtin_types().of("apps", "v1", "Deployment")
    assert schema is not None
    container = {"name": "a", "resources": {"limits": {"cpu": "1"}}}
    spec = {"replicas": 1, "template": {"spec": {"containers": [container], "volumes": []}}}
    assert created({"spec": spec}, schema) == {
        "f:spec": {
            "f:replicas": {},
            "f:template": {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"a"}': {
                            ".": {},
                            "f:name": {},
                            "f:resources": {".": {}, "f:limits": {".": {}, "f:cpu": {}}},
                        }
                    },
                    "f:volumes": {},
                }
            },
        }
    }


@pytest.mark.parametrize(
    ("applied", "problem"),
    [
        ({"stray": 1}, ".stray: field not declared in schema"),
        ({"inner": {"stray": 1}}, ".inner.stray: field not declared in schema"),
        (
            {"items": [{"name": "x", "stray": 1}]},
            '.items[name="x",port="http"].stray: field not declared in schema',
        ),
        (
            {"number": "x"},
            '.number: expected numeric (int or float), got &value.valueUnstructured{Value:"x"}',
        ),
        ({"text": 3}, ".text: expected string, got &value.valueUnstructured{Value:3}"),
        ({"labels": []}, ".labels: expected map, got &value.valueUnstructured{Value:[]}"),
        ({"tags": ["x", "x"]}, '.tags: duplicate entries for key [="x"]'),
        (
            {"items": [{"name": "x"}, {"name": "x"}]},
            '.items: duplicate entries for key [name="x",port="http"]',
        ),
        (
            {"items": [None]},
            ".items: element 0: associative list with keys may not have a null element",
        ),
    ],
)
def test_what_is_wrong_with_an_applied_value(applied: Any, problem: str) -> None:
    assert told(typed_problems(applied, THING)) == problem


def test_several_problems_are_told_together() -> None:
    told_ = told(typed_problems({"a": 1, "b": 2}, THING))
    assert told_.splitlines() == [
        "errors:",
        "  .a: field not declared in schema",
        "  .b: field not declared in schema",
    ]


ATOMIC = Schema(
    type="object",
    fields={
        **THING.fields,
        "labels": Schema(type="map", items=TEXT, map_type="atomic"),
        "items": Schema(type="list", items=ITEM, list_type="atomic"),
    },
)


def test_sets_follow_a_schema_that_turns_atomic_and_back() -> None:
    value = {"labels": {"a": "b"}, "items": [{"name": "x", "size": 1}], "text": "t"}
    granular = extract(value, THING)
    whole: Fields = {"f:labels": {}, "f:items": {}, "f:text": {}}
    assert reconciled(granular, value, ATOMIC) == whole
    back = reconciled(whole, value, THING)
    assert back == {
        "f:labels": {".": {}, "f:a": {}},
        "f:items": {
            ".": {},
            'k:{"name":"x","port":"http"}': {".": {}, "f:name": {}, "f:size": {}},
        },
        "f:text": {},
    }
    assert contains(back, granular)


@given(THINGS)
def test_sets_of_the_present_schema_stay(thing: Any) -> None:
    fields = extract(thing, THING)
    assert contains(reconciled(fields, thing, THING), fields)
    assert reconciled(fields, thing, THING) is fields or _has_empty(thing)


def _has_empty(value: Any) -> bool:
    """An empty container is a leaf, and cannot be told from one that was atomic."""
    if isinstance(value, dict):
        return not value or any(map(_has_empty, value.values()))
    return isinstance(value, list) and (not value or any(map(_has_empty, value)))
