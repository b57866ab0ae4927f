"""remembered: what was worked out of a text that anybody may send, kept within bounds.

``lru_cache`` bounds how many results are kept, not how long the texts are that they are kept by:
a thousand different URLs of 60 KB are 60 MB.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

T = TypeVar("T")
LONGEST = 512
"""Characters; longer texts are worked out each time."""


def remembered(most: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """For pure functions of one text: keeps the last ``most`` results."""

    def wrap(work: Callable[[str], T]) -> Callable[[str], T]:
        kept = lru_cache(maxsize=most)(work)

        @wraps(work)
        def result(text: str) -> T:
            return kept(text) if len(text) <= LONGEST else work(text)

        return result

    return wrap
