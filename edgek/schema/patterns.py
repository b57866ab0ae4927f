"""Patterns of schemas, in the language they are written for: Go's, which is RE2.

RE2 matches in time linear in the text, so a pattern that somebody stores cannot hold up the
server. The library is loaded with the first pattern that is looked at.
"""

from functools import lru_cache
from typing import Any

_MEMORY = 2 << 20
"""Bytes that one compiled pattern may take."""


class BadPattern(ValueError):
    """No pattern; the text says why."""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """The compiled pattern. Raises BadPattern."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as err:
        why = err.args[0]
        text = why.decode(errors="replace") if isinstance(why, bytes) else str(why)
        what, _, where = text.partition(": ")
        raise BadPattern(f"error parsing regexp: {what}: `{where}`") from None


def check_pattern(pattern: str) -> None:
    """Raises BadPattern."""
    compiled(pattern)


def matches(pattern: str, text: str) -> bool:
    """Whether ``pattern`` is found anywhere in ``text``. Raises BadPattern."""
    return compiled(pattern).search(text) is not None
