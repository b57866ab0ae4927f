"""Warnings are told once each, and never make headers that no client takes."""

from server.http.warning import MAX_ITEM, MAX_TOTAL, bounded


def test_few_warnings_are_whole_and_each_once() -> None:
    long = "x" * (MAX_ITEM * 2)
    assert bounded(["a", long, "a", ""]) == ["a", long]


def test_many_warnings_are_cut() -> None:
    found = bounded(f"{number}: {'x' * 1000}" for number in range(1000))
    assert found[0] == "0: " + "x" * (MAX_ITEM - 3)
    assert sum(map(len, found)) <= MAX_TOTAL + MAX_ITEM


def test_one_huge_warning_is_cut() -> None:
    assert bounded(["x" * 10**6]) == ["x" * MAX_ITEM]
