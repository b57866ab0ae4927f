"""The door to cel-expr-python, the official parser and type checker.

It is loaded with the first expression (7 MB); a cluster without expressions never pays for it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from server.cel.errors import CompileError
from server.cel.library import LIBRARIES
from server.cel.overload import declarations, type_declaration
from server.cel.syntax import Tree, read_tree

LONGEST = 16_384
"""Characters. Compiling takes time in proportion, some tenths of a second for this much."""
ALL_TOGETHER = 256 * 1024
"""Characters of all expressions of one object, so that writing one cannot take minutes."""
_EXTENSIONS = (
    {"name": "optional"},
    {"name": "cel.lib.ext.comprev2"},
    {"name": "cel.lib.ext.sets"},
)
_STATUS = re.compile(r"^[A-Z_]+: (.*) \[[A-Z_]+\]$", re.DOTALL)
_UNDECLARED = re.compile(
    r"ERROR: <input>:(\d+):(\d+): undeclared reference to '(\w+)\.([\w.]+)'(.*)\n"
    r" \| (.*)\n \| \.*\^"
)
_BARE_WORD = re.compile(r"(?<![\w.])[A-Z_]+(?![\w.])")
_REMEMBERED = 16
"""Environments, of some 400 KB each; expressions differ in their types far less than in text."""

Signature = tuple[tuple[str, str], ...]


def parse(text: str, variables: Mapping[str, str], *, check: bool = True) -> tuple[Tree, str]:
    """The syntax tree and the CEL type of the result ("dyn" without a check)."""
    if len(text) > LONGEST:
        raise failed(f"ERROR: <input>:-1:0: expression code point size exceeds limit: {LONGEST}")
    environment = _environment(tuple(sorted(variables.items())))
    try:
        compiled = environment.compile(text, disable_check=not check)
        name, serialized = compiled.return_type().name(), compiled.serialize()
    except (RuntimeError, TypeError) as error:
        raise failed(_sentence(error)) from None
    result = _BARE_WORD.sub(lambda m: m.group().lower(), name)
    return read_tree(serialized), spelled(result) if check else "dyn"


@dataclass
class Allowance:
    """What may still be compiled for one object."""

    left: int = ALL_TOGETHER

    def take(self, text: str) -> None:
        """Raises CompileError."""
        self.left -= len(text)
        if self.left < 0:
            raise failed(
                f"ERROR: <input>:-1:0: code point size of all expressions exceeds limit: "
                f"{ALL_TOGETHER}"
            )


def failed(what: str) -> CompileError:
    return CompileError(f"compilation failed: {what}")


def spelled(cel_type: str) -> str:
    """``list(string)``, as cel-go writes a type."""
    return cel_type.replace("<", "(").replace(">", ")")


def _sentence(error: Exception) -> str:
    if isinstance(error, TypeError):
        return "ERROR: <input>:1:1: Syntax error: invalid UTF-8"
    match = _STATUS.match(str(error))
    text = match.group(1) if match else str(error)
    if "recursion" in text:  # said once for each level that is too deep
        return "ERROR: <input>:-1:0: expression recursion limit exceeded: 32"
    return _UNDECLARED.sub(_at_variable, text)


def _at_variable(match: re.Match[str]) -> str:
    """Of ``nobody.name`` the library calls the whole unknown, where cel-go points at ``nobody``."""
    line, column, first, rest, container, text = match.groups()
    start = int(column) - len(f"{first}.{rest}".rpartition(".")[0])
    pointer = "." * (start - 1) + "^"
    return (
        f"ERROR: <input>:{line}:{start}: undeclared reference to '{first}'{container}\n"
        f" | {text}\n | {pointer}"
    )


@lru_cache(maxsize=_REMEMBERED)
def _environment(signature: Signature) -> Any:
    from cel_expr_python import cel

    # The configuration is YAML, of which JSON is a part.
    config = cel.NewEnvConfigFromYaml(json.dumps(_config(signature)))
    return cel.NewEnv(config=config)


def _config(signature: Signature) -> dict[str, Any]:
    return {
        "name": "kubernetes",
        "extensions": list(_EXTENSIONS),
        # All of its overloads must come from one place, and ip and cidr have some.
        "stdlib": {"exclude_functions": [{"name": "string"}]},
        "variables": [{"name": name} | type_declaration(kind) for name, kind in signature],
        "functions": declarations(LIBRARIES),
    }
