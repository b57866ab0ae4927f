"""Property names of a schema as field names in CEL, which allows fewer letters and reserves
words.

As apiserver pkg/cel/escaping.go: ``namespace`` becomes ``__namespace__``, ``a-b`` becomes
``a__dash__b``.
"""

import re

from edgek.kinds.cel_names import RESERVED, is_cel_name

_WORDS = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_LETTERS = {word: letter for letter, word in _WORDS.items()}
_TO_ESCAPE = re.compile(r"__|[.\-/]")
_ESCAPED = re.compile("|".join(_LETTERS))


def escape(name: str) -> str | None:
    """None: this property cannot be named in CEL at all."""
    if name in RESERVED:
        return f"__{name}__"
    escaped = _TO_ESCAPE.sub(lambda match: _WORDS[match.group()], name)
    return escaped if is_cel_name(escaped) else None


def unescape(name: str) -> str:
    if name.startswith("__") and name.endswith("__") and name[2:-2] in RESERVED:
        return name[2:-2]
    return _ESCAPED.sub(lambda match: _LETTERS[match.group()], name)
