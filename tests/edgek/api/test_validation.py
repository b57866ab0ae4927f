"""Names and field errors, as Go prints them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1035_label,
    is_dns1123_label,
    is_dns1123_subdomain,
    is_label_value,
    is_path_segment,
    is_qualified_name,
    validate_labels,
)

PATH = FieldPath("spec")


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (is_dns1123_subdomain, ["a", "a-b.c9", "1"], ["", "A", "a_b", "-a", "a.", "a..b", "a\n"]),
        (is_dns1123_label, ["a", "1-b", "a" * 63], ["", "a.b", "a-", "a" * 64]),
        (is_dns1035_label, ["a1"], ["1a", "", "a."]),
        (is_label_value, ["", "A_b.c-1"], ["-a", "a b", "a" * 64, "ä"]),
        (is_path_segment, ["system:node", "a b"], [".", "..", "a/b", "50%"]),
        (
            is_qualified_name,
            ["a", "A.b_c", "example.com/a"],
            ["", "/a", "a/", "Ex.com/a", "a/b/c", "a" * 64, "a b"],
        ),
    ],
)
def test_names(rule: Any, good: list[str], bad: list[str]) -> None:
    assert [n for n in good if rule(n)] == []
    assert [n for n in bad if not rule(n)] == []


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True))
def test_a_label_is_also_a_subdomain_a_label_value_and_a_key(name: str) -> None:
    for rule in (is_dns1123_label, is_dns1123_subdomain, is_label_value, is_qualified_name):
        assert rule(name) == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", '"a"'),
        ('say "x"', '"say \\"x\\""'),
        (5, "5"),
        (True, "true"),
        (None, "null"),
        ({"a": "b"}, '{"a":"b"}'),
        (["a"], '["a"]'),
    ],
)
def test_values_are_shown_as_go_shows_them(value: Any, shown: str) -> None:
    errors = FieldErrors()
    errors.invalid(PATH, value, "is bad")
    assert [str(e) for e in errors] == [f"spec: Invalid value: {shown}: is bad"]


def test_each_kind_of_error_has_its_sentence() -> None:
    errors = FieldErrors()
    assert not errors
    errors.required(PATH.child("a"), "say it")
    errors.duplicate(PATH.child("b").index(1), "x")
    errors.forbidden(PATH.key("c"), "no")
    errors.not_found(PATH, "y")
    errors.not_supported(PATH, "z", ("B", "A"))
    errors.too_long(PATH, 5)
    errors.too_many(PATH, 7, 6)
    assert errors
    assert [str(e) for e in errors] == [
        "spec.a: Required value: say it",
        'spec.b[1]: Duplicate value: "x"',
        "spec[c]: Forbidden: no",
        'spec: Not found: "y"',
        'spec: Unsupported value: "z": supported values: "A", "B"',
        "spec: Too long: may not be more than 5 bytes",
        "spec: Too many: 7: must have at most 6 items",
    ]


def test_labels_are_checked_by_key_and_value() -> None:
    errors = FieldErrors()
    validate_labels({"a b": "ok", "ok": "c d"}, FieldPath("metadata.labels"), errors)
    assert [e.field for e in errors] == ["metadata.labels", "metadata.labels"]
