"""JSONPath as printer columns use it."""

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgek.api.jsonpath import BadPath, find

OBJECT = {
    "metadata": {"annotations": {"example.com/a": "x"}},
    "spec": {"list": [1, 2, 3], "deep": {"name": "in"}},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True", "n": 2},
            {"type": "Old", "status": "False", "n": 1},
        ]
    },
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (".spec.deep.name", ["in"]),
        ("$.spec.deep.name", ["in"]),
        (".spec['deep'].name", ["in"]),
        (".spec.list[0]", [1]),
        (".spec.list[-1]", [3]),
        (".spec.list[1:]", [2, 3]),
        (".spec.list[*]", [1, 2, 3]),
        ("..name", ["in"]),
        (".metadata.annotations['example.com/a']", ["x"]),
        (r".metadata.annotations.example\.com/a", ["x"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?( @.type == 'Old' )].status", ["False"]),
        (".status.conditions[?(@.n>1)].type", ["Ready"]),
        (".status.conditions[?(@.nope)].type", []),
        (".spec.list[7]", []),
        (".spec.nope.name", []),
        (".spec.list.name", []),
    ],
)
def test_paths(path: str, values: list[Any]) -> None:
    assert find(path, OBJECT) == values


@pytest.mark.parametrize("path", [".a[", ".a[x]", ".a['b", ".a b", ".a[?(@.x==y)]"])
def test_what_is_no_path_says_so(path: str) -> None:
    with pytest.raises(BadPath):
        find(path, OBJECT)


@settings(max_examples=200, deadline=None)
@given(st.text(".[]()?@'\"*:$ab01=-\\ <>", max_size=20))
def test_any_text_is_a_path_or_none(path: str) -> None:
    with contextlib.suppress(BadPath):
        assert isinstance(find(path, OBJECT), list)
