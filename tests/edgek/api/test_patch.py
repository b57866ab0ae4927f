"""JSON patches and merge patches do what their RFCs say, and bad ones are told so."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgek.api.errors import ApiError, BadRequest, Invalid, RequestEntityTooLarge
from edgek.api.patch import MAX_OPERATIONS, json_patch, merge_patch

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(("target", "patch", "expected"), [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": "c"}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ({"a": 1}, ["c"], ["c"]),
])  # fmt: skip
def test_merge_patch_follows_the_rfc(target: Any, patch: Any, expected: Any) -> None:
    assert merge_patch(target, patch) == expected


@given(JSON, JSON)
def test_merge_patch_is_idempotent_and_leaves_its_input_alone(target: Any, patch: Any) -> None:
    before = copy.deepcopy(target)
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once
    assert target == before


def test_json_patch_applies_in_order_and_leaves_its_input_alone() -> None:
    target = {"a": [1, 2], "b~/c": 1}
    operations = [
        {"op": "test", "path": "/a/0", "value": 1},
        {"op": "add", "path": "/a/-", "value": 3},
        {"op": "move", "from": "/b~0~1c", "path": "/d"},
        {"op": "copy", "from": "/a", "path": "/e"},
        {"op": "remove", "path": "/a/0"},
    ]
    assert json_patch(target, operations) == {"a": [2, 3], "d": 1, "e": [1, 2, 3]}
    assert target == {"a": [1, 2], "b~/c": 1}


@pytest.mark.parametrize("operations", [
    [{"op": "test", "path": "/a", "value": 2}],
    [{"op": "remove", "path": "/missing"}],
    [{"op": "add", "path": "/a/b/c", "value": 1}],
    [{"op": "replace", "path": "/list/7", "value": 1}],
])  # fmt: skip
def test_a_patch_that_does_not_fit_is_unprocessable(operations: Any) -> None:
    with pytest.raises(Invalid, match="the server rejected our request"):
        json_patch({"a": 1, "list": []}, operations)


@pytest.mark.parametrize("operations", [
    {"op": "add"}, "x", [1], [{"path": "/a"}], [{"op": "frobnicate", "path": "/a"}],
    [{"op": "add", "path": "/a"}], [{"op": "add", "path": 3, "value": 1}],
    [{"op": "add", "path": "a", "value": 1}], [{"op": ["x"], "path": "/a"}],
])  # fmt: skip
def test_a_malformed_patch_is_refused(operations: Any) -> None:
    with pytest.raises((BadRequest, Invalid)):
        json_patch({"a": 1}, operations)


WORDS = st.sampled_from(["add", "copy", "move", "test", "/a", "/a/b/0", ""])
OPERATION = st.dictionaries(st.sampled_from(["op", "path", "from", "value"]), JSON | WORDS)


@given(st.lists(OPERATION, max_size=4))
def test_any_patch_applies_or_is_an_api_error(operations: Any) -> None:
    try:
        json_patch({"a": {"b": [1]}}, operations)
    except ApiError as err:
        assert err.code in (400, 413, 422)  # noqa: PT017 (both outcomes are right)


def test_copies_cannot_blow_up_the_object() -> None:
    doubling = [{"op": "copy", "from": "", "path": f"/x{i}"} for i in range(40)]
    with pytest.raises(Invalid):
        json_patch({"a": "x" * 1000}, doubling)


def test_there_is_a_limit_on_operations() -> None:
    many = [{"op": "test", "path": "/a", "value": 1}] * (MAX_OPERATIONS + 1)
    with pytest.raises(RequestEntityTooLarge):
        json_patch({"a": 1}, many)
