"""Overload: one signature of one function, said once for the type checker and the interpreter.

    overload("list<T>.indexOf(T) -> int", index_of)

A single capital letter is a type parameter. ``builtin`` overloads are known to the compiler and
only implemented here. ``metered`` functions get the Meter first, where their cost is not seen
from the length of their arguments, which is charged before every call.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from server.cel.values import Opaque, Optional, Type, Uint

PYTHON: Mapping[str, type] = {
    "null_type": type(None),
    "bool": bool,
    "int": int,
    "uint": Uint,
    "double": float,
    "string": str,
    "bytes": bytes,
    "list": list,
    "map": dict,
    "timestamp": datetime,
    "duration": timedelta,
    "type": Type,
    "optional_type": Optional,
}
_SIGNATURE = re.compile(r"(?:(?P<target>[\w.<>, ]+)\.)?(?P<name>\w+)\((?P<args>.*)\) -> (?P<to>.+)")
_TYPE = re.compile(r"([\w.]+)(?:<(.*)>)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Overload:
    name: str
    args: tuple[str, ...]
    returns: str
    function: Callable[..., Any]
    member: bool
    builtin: bool
    metered: bool


def overload(
    signature: str,
    function: Callable[..., Any],
    *,
    builtin: bool = False,
    metered: bool = False,
    namespace: str = "",
) -> Overload:
    match = _SIGNATURE.fullmatch(signature)
    assert match is not None, signature
    target = [match["target"]] if match["target"] else []
    args = [a.strip() for a in re.split(r",\s*(?![^<]*>)", match["args"]) if a.strip()]
    return Overload(
        name=f"{namespace}.{match['name']}" if namespace else match["name"],
        args=(*target, *args),
        returns=match["to"],
        function=function,
        member=bool(target),
        builtin=builtin,
        metered=metered,
    )


def declarations(overloads: Iterable[Overload]) -> list[dict[str, Any]]:
    """The functions of the compiler's configuration."""
    functions: dict[str, list[dict[str, Any]]] = {}
    for number, o in enumerate(overloads):
        if not o.builtin:
            functions.setdefault(o.name, []).append(_declaration(o, number))
    return [{"name": name, "overloads": found} for name, found in functions.items()]


def _declaration(o: Overload, number: int) -> dict[str, Any]:
    types = [type_declaration(a) for a in o.args]
    ident = "_".join([o.name, str(number), *(re.sub(r"\W", "_", a) for a in o.args)])
    declared = {"id": ident, "return": type_declaration(o.returns)}
    if o.member:
        return declared | {"target": types[0], "args": types[1:]}
    return declared | {"args": types}


def type_declaration(text: str) -> dict[str, Any]:
    """``map<string, dyn>`` as the compiler's configuration has it."""
    match = _TYPE.fullmatch(text)
    assert match is not None, text
    name, params = match.groups()
    if re.fullmatch("[A-Z]", name):
        return {"type_name": name, "is_type_param": True}
    if params is None:
        return {"type_name": name}
    split = re.split(r",\s*(?![^<]*>)", params)
    return {"type_name": name, "params": [type_declaration(p) for p in split]}


Table = Mapping[str, Sequence[tuple[tuple[type, ...], Overload]]]


def table_of(overloads: Iterable[Overload], opaque: Iterable[type[Opaque]]) -> Table:
    """What the interpreter looks calls up in: by name, then by the types that are there."""
    python = {**PYTHON, **{cls.type_name: cls for cls in opaque}}
    table: dict[str, list[tuple[tuple[type, ...], Overload]]] = {}
    for o in overloads:
        bases = (a.partition("<")[0] for a in o.args)
        types = tuple(python.get(base, object) for base in bases)
        table.setdefault(o.name, []).append((types, o))
    return table


def fits(values: Sequence[Any], types: Sequence[type]) -> bool:
    return len(values) == len(types) and all(
        type(v) is t or t is object or (t is dict and isinstance(v, dict))
        for v, t in zip(values, types, strict=True)
    )
