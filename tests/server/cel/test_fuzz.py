"""Expressions that are well formed and mostly nonsense: a value or a CelError, nothing else."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.cel import DYN, CelError, CompileError, Environment, compile_expression

ENVIRONMENT = Environment(variables={"object": DYN})
VALUES: list[Any] = [
    {"list": [1, 2, 3], "text": "abc", "a": 1},
    "abc",
    [1, "a", None, 2.5, {"a": 1}],
    7,
    None,
]
_ATOMS = st.sampled_from([
    "object", "object.list", "object.text", "object.?x", "1", "'a'", "[1]", "{'a': 1}", "1.5",
    "1u", "null", "true", "optional.none()", "duration('1h')", "b'a'", "quantity('1')", "x",
    "timestamp('2024-01-01T00:00:00Z')", "ip('1.1.1.1')", "type(1)", "dyn(1)", "semver('1.2.3')",
])  # fmt: skip
_OPERATORS = st.sampled_from([*"+-*/%<>", "==", "!=", "<=", ">=", "&&", "||", "in"])
_MEMBERS = st.sampled_from([
    ".all(x, %s)", ".map(x, %s)", ".exists(x, %s)", ".filter(x, %s)", ".exists_one(x, %s)",
    ".all(x, y, %s)", ".transformList(x, y, %s)", ".transformMap(x, y, %s)", "[%s]", "[?%s]",
    ".transformMapEntry(x, y, %s)", ".orValue(%s)", ".or(%s)", ".optMap(x, %s)", ".contains(%s)",
    ".startsWith(%s)", ".matches(%s)", ".indexOf(%s)", ".lastIndexOf(%s)", ".split(%s)",
    ".join(%s)", ".replace(%s, 'z')", ".substring(%s)", ".format([%s])", ".find(%s)",
    ".findAll(%s)", ".add(%s)", ".sub(%s)", ".isLessThan(%s)", ".charAt(%s)", ".mul(%s)",
    ".div(%s)", ".getHours(%s)", ".compareTo(%s)",
])  # fmt: skip
_FUNCTIONS = st.sampled_from([
    "size(%s)", "string(%s)", "int(%s)", "double(%s)", "uint(%s)", "bytes(%s)", "type(%s)",
    "dyn(%s)", "bool(%s)", "!%s", "-%s", "has(%s.a)", "%s.a", "%s.?a", "%s.sum()", "%s.min()",
    "%s.isSorted()", "%s.value()", "%s.hasValue()", "optional.of(%s)", "quantity(%s)", "ip(%s)",
    "optional.ofNonZeroValue(%s)", "cidr(%s)", "url(%s)", "semver(%s)", "timestamp(%s)",
    "duration(%s)", "[%s, ?%s]", "{%s: 1}", "{'k': %s}", "sets.contains(%s, [1])", "%s.trim()",
    "%s.getFullYear()", "%s.join()", "(%s ? 1 : 2)", "%s.asInteger()", "isURL(%s)",
    "format.dns1123Label().validate(%s)",
])  # fmt: skip


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, _OPERATORS, inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(inner, _MEMBERS, inner).map(lambda p: f"({p[0]}{p[1] % p[2]})"),
        st.tuples(_FUNCTIONS, inner).map(lambda p: p[0].replace("%s", p[1])),
    )


@settings(max_examples=400, deadline=None)
@given(st.recursive(_ATOMS, _grow, max_leaves=8))
def test_whatever_is_well_formed_is_a_value_or_a_cel_error(text: str) -> None:
    try:
        program = compile_expression(text, ENVIRONMENT)
    except CompileError:
        return
    for value in VALUES:
        with suppress(CelError):
            program.evaluate({"object": value})


def test_what_only_fails_after_the_check_does_not_compile() -> None:
    with pytest.raises(CompileError, match="Unsupported map key type"):
        compile_expression("{[1]: 1}", ENVIRONMENT)
