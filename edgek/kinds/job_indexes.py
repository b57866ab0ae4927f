"""Sets of indexes as Jobs write them: ``1,3-5,7`` (upstream: validateIndexesFormat).

Kept as intervals in order, so that a Job of a hundred thousand indexes costs by its gaps. The
strict reading is for validation; the controller reads what it wrote itself (indexed_job_utils.go).
"""

import sys
from bisect import bisect_right
from collections.abc import Iterable
from itertools import chain

Intervals = list[tuple[int, int]]
"""Both ends belong to it."""


def parse_indexes(text: str, completions: int) -> Intervals:
    """The intervals, in order. Raises ValueError with upstream's sentence."""
    out: Intervals = []
    for part in text.split(",") if text else ():
        first, last = _interval(part, completions)
        if out and out[-1][1] >= first:
            raise ValueError(f"non-increasing order, previous: {out[-1][1]}, current: {first}")
        out.append((first, last))
    return out


def count_indexes(intervals: Intervals) -> int:
    return sum(last - first + 1 for first, last in intervals)


def first_overlap(some: Intervals, others: Intervals) -> int | None:
    """The least index that both have, None where there is none."""
    left, right = 0, 0
    while left < len(some) and right < len(others):
        start = max(some[left][0], others[right][0])
        if start <= min(some[left][1], others[right][1]):
            return start
        if some[left][0] <= others[right][0]:
            left += 1
        else:
            right += 1
    return None


def _interval(text: str, completions: int) -> tuple[int, int]:
    ends = text.split("-")
    if len(ends) > 2:
        raise ValueError(
            f'the fragment "{text}" violates the requirement that an index interval can have at '
            "most two parts separated by '-'"
        )
    numbers = [_index(end, completions) for end in ends]
    if len(numbers) == 2 and numbers[0] >= numbers[1]:
        raise ValueError(f"non-increasing order, previous: {numbers[0]}, current: {numbers[1]}")
    return numbers[0], numbers[-1]


def _index(text: str, completions: int) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise ValueError(f'too large index: "{text}"')
    return int(text)


def merge_indexes(*sets: Intervals) -> Intervals:
    """All of them, in order; neighbours become one interval."""
    out: Intervals = []
    for first, last in sorted(chain.from_iterable(sets)):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], last))
        else:
            out.append((first, last))
    return out


def read_indexes(text: str, completions: int) -> Intervals:
    """Those below ``completions``; what can not be read is left out (parseIndexesFromString)."""
    out: Intervals = []
    for part in text.split(",") if text else ():
        ends = part.split("-")[:2]
        if all(end.isascii() and end.isdecimal() for end in ends) and int(ends[0]) < completions:
            out.append((int(ends[0]), min(int(ends[-1]), completions - 1)))
    return merge_indexes(out)


def as_intervals(indexes: Iterable[int]) -> Intervals:
    return merge_indexes([(index, index) for index in indexes])


def format_indexes(intervals: Intervals) -> str:
    """``1,3-5,7``; two neighbours are written ``1,2``."""
    return ",".join(
        str(first) if first == last else f"{first}{',' if last == first + 1 else '-'}{last}"
        for first, last in intervals
    )


def has_index(intervals: Intervals, index: int) -> bool:
    at = bisect_right(intervals, (index, sys.maxsize)) - 1
    return at >= 0 and intervals[at][1] >= index


def common_indexes(some: Intervals, others: Intervals) -> int:
    """How many both have."""
    count, left, right = 0, 0, 0
    while left < len(some) and right < len(others):
        first = max(some[left][0], others[right][0])
        last = min(some[left][1], others[right][1])
        count += max(0, last - first + 1)
        if some[left][1] <= others[right][1]:
            left += 1
        else:
            right += 1
    return count


def free_indexes(taken: Intervals, count: int, completions: int) -> list[int]:
    """The first ``count`` below ``completions`` that are not taken."""
    out: list[int] = []
    candidate = 0
    for first, last in [*taken, (completions, completions)]:
        end = min(first, completions, candidate + count - len(out))
        out.extend(range(candidate, end))
        candidate = max(candidate, last + 1)
        if len(out) >= count:
            break
    return out
