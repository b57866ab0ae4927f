"""Warning headers, bounded: as endpoints/filters/warning.go of apiserver.

Many or long ones are cut, so that no body makes an answer whose headers no client takes.
"""

from collections.abc import Iterable

MAX_TOTAL = 4 * 1024
MAX_ITEM = 256
"""Characters; items are cut only where all of them together are too long."""


def bounded(warnings: Iterable[str]) -> list[str]:
    """Each once, in order."""
    texts = list(dict.fromkeys(text for text in warnings if text))
    if sum(map(len, texts)) <= MAX_TOTAL:
        return texts
    out, written = [], 0
    for text in texts:
        if written >= MAX_TOTAL:
            break
        out.append(text[:MAX_ITEM])
        written += len(out[-1])
    return out
