"""Selectors choose what upstream's choose, and refuse what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgek.api.selectors import (
    FieldTerm,
    from_label_selector,
    from_match_labels,
    parse_field_selector,
    parse_selector,
)

LABELS = {"app": "web", "tier": "front", "cores": "4", "empty": ""}
names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
label_sets = st.dictionaries(names, names, max_size=4)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier=front", True),
        ("app = web , tier != back", True),
        ("app!=web", False),
        ("other!=x", True),
        ("app in (api,web)", True),
        ("app notin (api, web)", False),
        ("other notin (x)", True),
        ("app", True),
        ("!app", False),
        ("!other", True),
        ("empty=", True),
        ("empty in (,x)", True),
        ("app=", False),
        ("cores>3", True),
        ("cores>4", False),
        ("cores<5", True),
        ("app>3", False),
        ("in in (a)", False),
        ("example.com/name=x", False),
    ],
)
def test_label_selectors(text: str, matches: bool) -> None:
    assert parse_selector(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    "bad",
    ["a=b,", ",a=b", "a b", "a in b", "a in (b", "a=b=c", "!a=b", "a>x", "=b", "a=b c", "a/b/c=d",
     "-a=b", "a=" + "x" * 64, "a in (b))", "!", "(", "a!b"],
)  # fmt: skip
def test_malformed_label_selectors_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"unable to parse|Invalid value"):
        parse_selector(bad)


@given(label_sets, label_sets)
def test_text_and_structure_agree(wanted: dict, labels: dict) -> None:
    text = ",".join(f"{k}={v}" for k, v in wanted.items())
    expected = wanted.items() <= labels.items()
    assert parse_selector(text).matches(labels) is expected
    assert from_match_labels(wanted).matches(labels) is expected
    assert from_label_selector({"matchLabels": wanted}).matches(labels) is expected


@given(names, st.lists(names, min_size=1, max_size=3), label_sets)
def test_in_and_notin_are_opposites(key: str, values: list, labels: dict) -> None:
    inside = parse_selector(f"{key} in ({','.join(values)})")
    outside = parse_selector(f"{key} notin ({','.join(values)})")
    assert inside.matches(labels) is not outside.matches(labels)


def test_expressions_of_a_label_selector() -> None:
    selector = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["front", "back"]},
            {"key": "other", "operator": "DoesNotExist"},
        ],
    }
    assert from_label_selector(selector).matches(LABELS)
    assert not from_label_selector(selector).matches(LABELS | {"other": ""})


def read(obj: dict, path: str) -> str:
    return str(obj.get(path, ""))


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("metadata.name=a", True),
        ("metadata.name==a,status.phase!=Failed", True),
        ("status.phase!=Running", False),
        ("spec.nodeName=", True),
    ],
)
def test_field_selectors(text: str, matches: bool) -> None:
    obj = {"metadata.name": "a", "status.phase": "Running"}
    assert parse_field_selector(text).matches(obj, read) is matches


@given(st.text(max_size=12).filter(lambda t: t == t.strip()))
def test_any_escaped_value_comes_back(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    (term,) = parse_field_selector(f"a={escaped}").terms
    assert term == FieldTerm("a", value, True)


@pytest.mark.parametrize("bad", ["a", "=b", "a=b=c", "a=\\x", "a=\\"])
def test_malformed_field_selectors_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="invalid"):
        parse_field_selector(bad)


def test_the_demanded_value_is_known() -> None:
    selector = parse_field_selector("a=1,b!=2")
    assert (selector.exact("a"), selector.exact("b")) == ("1", None)
