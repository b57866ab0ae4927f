"""Range: from the least to the most that something can be, as cel-go counts sizes and costs.

Numbers are unsigned 64-bit and stop at the greatest one.
"""

from collections.abc import Iterable
from math import ceil
from typing import NamedTuple

MOST = (1 << 64) - 1


class Range(NamedTuple):
    least: int
    most: int

    def plus(self, other: "Range") -> "Range":
        return Range(min(self.least + other.least, MOST), min(self.most + other.most, MOST))

    def times(self, other: "Range") -> "Range":
        return Range(min(self.least * other.least, MOST), min(self.most * other.most, MOST))

    def scaled(self, factor: float) -> "Range":
        return Range(_scaled(self.least, factor), _scaled(self.most, factor))

    def union(self, other: "Range") -> "Range":
        return Range(min(self.least, other.least), max(self.most, other.most))


def _scaled(number: int, factor: float) -> int:
    return min(ceil(float(number) * factor), MOST)


def exactly(number: int) -> Range:
    return Range(number, number)


def total(ranges: Iterable[Range]) -> Range:
    out = NOTHING
    for one in ranges:
        out = out.plus(one)
    return out


NOTHING, ONE, UNKNOWN = exactly(0), exactly(1), Range(0, MOST)
