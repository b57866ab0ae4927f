"""Expectations: no second plan until the cache has shown the first one's writes."""

import pytest

from edgek.aio.clock import FakeClock
from edgek.control.expectations import TIMEOUT, Expectations


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def expectations(clock):
    return Expectations(clock)


def test_creations_count_down(expectations):
    expectations.expect_creations("rs", 2)
    expectations.creation_observed("rs")
    assert not expectations.satisfied("rs")
    expectations.creation_observed("rs")
    assert expectations.satisfied("rs")


def test_a_deletion_seen_twice_counts_once(expectations):
    expectations.expect_deletions("rs", ["u1", "u2"])
    expectations.deletion_observed("rs", "u1")
    expectations.deletion_observed("rs", "u1")
    assert not expectations.satisfied("rs")
    expectations.deletion_observed("rs", "u2")
    assert expectations.satisfied("rs")


def test_a_creation_seen_before_the_next_note_does_not_pay_for_it(expectations):
    expectations.creation_observed("rs")
    expectations.expect_creations("rs", 1)
    assert not expectations.satisfied("rs")


def test_what_is_never_seen_expires(expectations, clock):
    expectations.expect_creations("rs", 1)
    clock.advance(TIMEOUT - 1)
    assert expectations.remaining("rs") == pytest.approx(1)
    clock.advance(1)
    assert expectations.satisfied("rs")


def test_owners_do_not_share_notes(expectations):
    expectations.expect_creations("a", 1)
    assert expectations.satisfied("b")
    expectations.forget("a")
    assert expectations.satisfied("a")


def test_expecting_nothing_is_satisfied_at_once(expectations):
    expectations.expect_creations("rs", 0)
    expectations.expect_deletions("rs", [])
    assert expectations.satisfied("rs")
