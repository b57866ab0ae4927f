"""Sets of indexes as Jobs write them: ``1,3-5,7`` (upstream: validateIndexesFormat)."""


def parse_indexes(text: str, completions: int) -> list[tuple[int, int]]:
    """The intervals, in order. Raises ValueError with upstream's sentence."""
    out: list[tuple[int, int]] = []
    for part in text.split(",") if text else ():
        first, last = _interval(part, completions)
        if out and out[-1][1] >= first:
            raise ValueError(f"non-increasing order, previous: {out[-1][1]}, current: {first}")
        out.append((first, last))
    return out


def count_indexes(intervals: list[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in intervals)


def first_overlap(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> int | None:
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
