"""What may be a name in CEL: the only thing that kinds know of the language."""

import re

RESERVED = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for"),
        *("function", "if", "import", "let", "loop", "package", "namespace", "return", "var"),
        *("void", "while"),
    )
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_cel_name(text: str) -> bool:
    """Of the form of a name; a reserved word has it, too."""
    return _IDENTIFIER.fullmatch(text) is not None
