"""The list of managers: order, identity, the cap, and what is taken from a body."""

from typing import Any

import pytest

from edgek.schema.fieldset import from_paths
from server.fieldmanager.entries import (
    Writer,
    capped,
    decoded,
    identity,
    in_order,
    to_start_from,
)


def entry(manager: str, order: int, *fields: str, version: str = "v1", **more: str) -> Any:
    writer = Writer(manager, version, f"2026-01-01T{order:02}:00:00Z")
    return {**writer.entry(from_paths(*(("f:" + f,) for f in fields))), **more}


LIVE = [entry("kubectl", 1, "a")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            [("m1", "v1", "a"), ("m2", "v1", "b"), ("m3", "v1", "c"), ("m4", "v1", "d")],
            [("ancient-changes", "v1", "ab"), ("m3", "v1", "c"), ("m4", "v1", "d")],
        ),
        (
            [("m1", "v1", "a"), ("m2", "v2", "b"), ("m3", "v1", "c"), ("m4", "v1", "d"),
             ("m5", "v1", "e")],
            [("m2", "v2", "b"), ("ancient-changes", "v1", "acd"), ("m5", "v1", "e")],
        ),
        (
            [("m2", "v2", "b"), ("ancient-changes", "v1", "acd"), ("m5", "v1", "e"),
             ("m6", "v3", "f"), ("m7", "v2", "g")],
            [("ancient-changes", "v1", "acde"), ("m6", "v3", "f"), ("ancient-changes", "v2", "bg")],
        ),
        (
            [("m1", "v1", "a"), ("m2", "v2", "b"), ("m3", "v3", "c"), ("m4", "v4", "d")],
            [("m1", "v1", "a"), ("m2", "v2", "b"), ("m3", "v3", "c"), ("m4", "v4", "d")],
        ),
    ],
)  # fmt: skip
def test_the_oldest_updaters_of_a_version_become_one(before: Any, after: Any) -> None:
    """Upstream's own table (capmanagers_test.go)."""
    entries = [entry(m, n, *fields, version=v) for n, (m, v, fields) in enumerate(before)]
    got = in_order(capped(entries, most=3))
    told = [(e["manager"], e["apiVersion"], "".join(sorted(k[2:] for k in e["fieldsV1"])))
            for e in got]  # fmt: skip
    assert told == after
    assert capped(got, most=3) == got, "once more changes nothing"


def test_appliers_come_first_then_the_oldest() -> None:
    entries = [
        entry("b", 2, "a"), entry("a", 2, "a"), entry("c", 1, "a"),
        entry("z", 3, "a", operation="Apply"), entry("a", 2, "a", subresource="status"),
    ]  # fmt: skip
    told = [(e["manager"], e.get("subresource")) for e in in_order(entries)]
    assert told == [("z", None), ("c", None), ("a", None), ("a", "status"), ("b", None)]


def test_an_applier_is_the_same_in_every_version() -> None:
    one = entry("m", 1, "a", operation="Apply")
    assert identity(one) == identity({**one, "apiVersion": "v2", "time": "later"})
    two = entry("m", 1, "a")
    assert identity(two) != identity({**two, "apiVersion": "v2"})


@pytest.mark.parametrize("given", [[], [{}]])
def test_an_empty_list_forgets_all(given: Any) -> None:
    assert to_start_from({"metadata": {"managedFields": LIVE}}, given, subresource="") == ()


@pytest.mark.parametrize(
    "given",
    [
        None,
        [{"manager": "x"}],
        [{"manager": "x", "operation": "Sell", "apiVersion": "v1", "fieldsType": "FieldsV1"}],
        [{"manager": "x", "operation": "Update", "apiVersion": "v1"}],
        [{**LIVE[0], "fieldsType": "FieldsV2"}],
        [{**LIVE[0], "fieldsV1": {"nonsense": {}}}],
        [7],
        7,
    ],
)
def test_what_makes_no_sense_leaves_the_stored_entries(given: Any) -> None:
    live = {"metadata": {"managedFields": LIVE}}
    assert to_start_from(live, given, subresource="") is LIVE


def test_entries_of_a_body_count_but_not_through_a_subresource() -> None:
    live = {"metadata": {"managedFields": LIVE}}
    other = [entry("other", 2, "b")]
    assert to_start_from(live, other, subresource="") == other
    assert to_start_from(live, other, subresource="status") is LIVE


def test_entries_of_a_body_are_written_our_way() -> None:
    given = {**LIVE[0], "fieldsV1": {"f:a": {".": {}}, "future": {}} | {"q:x": {}}}
    assert decoded([given]) is None, "a path element without a colon"
    del given["fieldsV1"]["future"]
    (kept,) = decoded([given]) or ()
    assert kept["fieldsV1"] == {"f:a": {}}
