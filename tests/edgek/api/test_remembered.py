"""What is kept of texts that clients choose is bounded in bytes, not only in number."""

import tracemalloc

from edgek.api.remembered import remembered
from edgek.api.selectors import parse_field_selector, parse_selector


def test_a_short_text_is_worked_out_once() -> None:
    seen: list[str] = []

    @remembered(2)
    def upper(text: str) -> str:
        seen.append(text)
        return text.upper()

    assert [upper(text) for text in ("a", "a", "b", "a")] == ["A", "A", "B", "A"]
    assert seen == ["a", "b"]


def test_long_selectors_leave_nothing_behind() -> None:
    tracemalloc.start()
    try:
        for number in range(200):
            parse_field_selector(f"metadata.name={'x' * 50_000}{number}")
            parse_selector(f"{number} in ({'x,' * 500}{number})")
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()
