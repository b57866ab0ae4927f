"""Which function a call means: by its name, then by the types of the values that are there.

The compiler has checked what it could; where a value's type is known at run time only (``dyn``),
the choice is made here, and a value that fits nowhere is "no such overload".
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from server.cel.cost import Meter
from server.cel.errors import NO_SUCH_OVERLOAD, CelError
from server.cel.overload import Table, fits
from server.cel.syntax import Call, Ident, Node
from server.cel.values import type_name

Invoke = Callable[[Meter, Sequence[Any]], Any]


@dataclass(frozen=True, kw_only=True)
class Calls:
    """``variables``: what may stand before a dot without being a namespace of functions."""

    table: Table
    variables: Collection[str]

    def resolve(self, node: Call) -> tuple[str, tuple[Node, ...]]:
        """``sets.contains(a, b)`` parses as a member call on a variable ``sets``."""
        if node.member and isinstance(node.args[0], Ident):
            space = node.args[0].name
            if space not in self.variables and f"{space}.{node.function}" in self.table:
                return f"{space}.{node.function}", node.args[1:]
        return node.function, node.args

    def find(self, name: str) -> Invoke:
        """Raises CelError for a name nobody implements."""
        candidates = self.table.get(name)
        if candidates is None:
            raise CelError(f"undeclared reference to '{name}' (in container '')")

        def invoke(meter: Meter, args: Sequence[Any]) -> Any:
            meter.spend()
            for types, overload in candidates:
                if fits(args, types):
                    if overload.metered:
                        return overload.function(meter, *args)
                    for arg in args:
                        meter.spend_on(arg)
                    return overload.function(*args)
            shown = ", ".join(type_name(a) for a in args)
            raise CelError(f"{NO_SUCH_OVERLOAD}: {name}({shown})")

        return invoke
