"""Readers of metadata, conditions and times change nothing and forgive what is missing."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgek.api.conditions import find_condition, is_true, with_condition
from edgek.api.meta import (
    Key,
    controller_of,
    get_path,
    hash_of,
    is_controlled_by,
    key_of,
    owner_reference,
    with_path,
)
from edgek.api.time import format_micro_time, format_time, human_duration, parse_time

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "r", "uid": "u1"}}


def test_keys_name_objects() -> None:
    assert key_of({"metadata": {"namespace": "a", "name": "b"}}) == Key("a", "b")
    assert str(Key("a", "b")) == "a/b"
    assert str(key_of({"metadata": {"name": "n"}})) == "n"


def test_owners_are_recognised_by_uid() -> None:
    child = {"metadata": {"ownerReferences": [owner_reference(OWNER)]}}
    assert is_controlled_by(child, OWNER)
    again = {**OWNER, "metadata": {"name": "r", "uid": "u2"}}
    assert not is_controlled_by(child, again)
    loose = {"metadata": {"ownerReferences": [owner_reference(OWNER, controller=False)]}}
    assert controller_of(loose) is None


@pytest.mark.parametrize(
    ("path", "found"),
    [(("a", 0, "b"), 1), (("a", 5, "b"), "no"), (("a", "x"), "no"), (("n",), "no"), (("z",), "no")],
)
def test_paths_that_lead_nowhere_give_the_default(path: tuple, found: object) -> None:
    assert get_path({"a": [{"b": 1}], "n": None}, *path, default="no") == found


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=4),
    st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("abc"), st.none())),
)
def test_with_path_sets_and_leaves_the_original_alone(path: list, obj: dict) -> None:
    before = repr(obj)
    assert get_path(with_path(obj, tuple(path), 1), *path) == 1
    assert repr(obj) == before


@given(st.text(), st.integers(1, 16))
def test_hashes_are_short_stable_name_parts(text: str, length: int) -> None:
    found = hash_of(text, length=length)
    assert found == hash_of(text, length=length)
    assert len(found) == length
    assert not set(found) & set("aeiou013")


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    first = with_condition(None, {"type": "Ready", "status": "False"}, now="t1")
    same = with_condition(first, {"type": "Ready", "status": "False", "reason": "X"}, now="t2")
    other = with_condition(same, {"type": "Ready", "status": "True"}, now="t3")
    times = [find_condition(c, "Ready")["lastTransitionTime"] for c in (first, same, other)]
    assert times == ["t1", "t1", "t3"]
    assert is_true(other, "Ready")
    assert not is_true(same, "Ready")
    assert len(with_condition(other, {"type": "New", "status": "True"}, now="t4")) == 2
    assert len(other) == 1


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_times_survive_writing(moment: datetime) -> None:
    assert parse_time(format_time(moment)) == moment.replace(microsecond=0)
    assert parse_time(format_micro_time(moment)) == moment


def test_times_are_told_in_utc() -> None:
    moment = datetime(2026, 1, 1, 2, 0, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(moment) == "2026-01-01T00:00:00Z"
    with pytest.raises(ValueError, match="has no zone"):
        parse_time("2026-01-01T00:00:00")


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=-2), "<invalid>"),
        (timedelta(seconds=-1), "0s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(minutes=2), "2m"),
        (timedelta(minutes=9, seconds=59), "9m59s"),
        (timedelta(minutes=179), "179m"),
        (timedelta(hours=3), "3h"),
        (timedelta(hours=7, minutes=5), "7h5m"),
        (timedelta(hours=47), "47h"),
        (timedelta(days=7, hours=23), "7d23h"),
        (timedelta(days=8), "8d"),
        (timedelta(days=729), "729d"),
        (timedelta(days=731), "2y1d"),
        (timedelta(days=365 * 9), "9y"),
    ],
)
def test_ages_are_short(span: timedelta, text: str) -> None:
    assert human_duration(span) == text
