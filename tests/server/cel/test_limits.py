"""However an expression is written, it ends: soon, and as a CelError."""

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.cel import (
    DYN,
    Budget,
    CelError,
    Environment,
    OutOfBudget,
    compile_expression,
)

ENVIRONMENT = Environment(variables={"object": DYN})
ROOMY = 5.0
"""Seconds; the deadline is one, but machines differ."""

HOSTILE = [
    "object.list.all(a, object.list.all(b, object.list.all(c, a + b + c >= 0)))",
    "object.list.map(a, object.list.map(b, object.list.map(c, [a, b, c]))).size() > 0",
    "object.list.map(a, object.text + object.text).join() == ''",
    "object.list.map(a, object.text.replace('x', object.text)).size() > 0",
    "object.list.map(a, [object.text, object.text].join(object.text)).size() > 0",
    "object.list.map(a, '%s%s%s'.format([object.text, object.text, object.text])).size() > 0",
    "object.list.map(a, object.text.split('')).size() > 0",
    "object.list.map(a, object.text.findAll('x')).size() > 0",
    "object.list.all(a, object.text.matches('(x+x+)+y') || true)",
    "object.list.all(a, object.list.indexOf(-1) == -1 && object.list == object.list)",
    "object.list.all(a, sets.equivalent(object.list, object.list))",
    "object.list.all(a, object.list.all(b, quantity('1E').mul(9223372036854775807)"
    ".mul(9223372036854775807).mul(9223372036854775807).sign() == 1))",
    "object.list.transformMap(i, a, object.list.transformMap(j, b, object.list)).size() > 0",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_expression_runs_out_of_budget(text: str) -> None:
    program = compile_expression(text, ENVIRONMENT)
    values = {"object": {"list": list(range(5000)), "text": "x" * 20_000}}
    start = time.monotonic()
    with pytest.raises(CelError):
        program.evaluate(values, Budget())
    assert time.monotonic() - start < ROOMY


@pytest.mark.parametrize(
    "text",
    [
        "object.map(a, " * 20 + "a" + ")" * 20,
        "object.all(a, " * 20 + "a" + ")" * 20,
        "object" + ".map(a, a)" * 15,
        " && ".join(["object.a == 1"] * 900),
        "[" + ", ".join(["{'a': [1]}"] * 1000) + "]",
        "true ? 1 : " * 20 + "1",
    ],
    ids=["map in map", "all in all", "map of map", "and", "list", "ternary"],
)
def test_compiling_takes_time_in_proportion_to_the_text(text: str) -> None:
    start = time.monotonic()
    compile_expression(text, ENVIRONMENT)
    assert time.monotonic() - start < ROOMY


def test_a_shared_value_that_is_huge_when_written_out_cannot_be_compared() -> None:
    doubled = "[object.text]" + "".join(f".map(v{i}, [v{i}, v{i}])" for i in range(24))
    nested = "object.text"
    for _ in range(6):
        nested = f"[{nested}, {nested}]"
    program = compile_expression(f"{doubled} == {doubled} && {nested} == {nested}", ENVIRONMENT)
    start = time.monotonic()
    with pytest.raises(CelError):
        program.evaluate({"object": {"text": "x" * 100_000}}, Budget())
    assert time.monotonic() - start < ROOMY


def test_a_budget_is_shared_by_all_evaluations() -> None:
    program = compile_expression("object.all(a, object.all(b, a + b >= 0))", ENVIRONMENT)
    budget = Budget(600_000, seconds=60)
    values = {"object": list(range(150))}
    assert program.evaluate(values, budget) is True
    with pytest.raises(OutOfBudget, match="cost"):
        _ = [program.evaluate(values, budget) for _ in range(100)]


def test_no_operator_absorbs_the_end_of_the_budget() -> None:
    text = "true || object.all(a, object.all(b, object.all(c, a + b + c >= 0)))"
    turned = "object.all(a, object.all(b, object.all(c, a + b + c >= 0))) || true"
    values = {"object": list(range(1000))}
    assert compile_expression(text, ENVIRONMENT).evaluate(values) is True
    with pytest.raises(OutOfBudget):
        compile_expression(turned, ENVIRONMENT).evaluate(values)


def test_a_slow_machine_meets_the_deadline_first() -> None:
    program = compile_expression("object.all(a, object.all(b, a + b >= 0))", ENVIRONMENT)
    with pytest.raises(OutOfBudget, match="deadline"):
        program.evaluate({"object": list(range(300))}, Budget(seconds=1e-6))


_WORDS = st.sampled_from(
    """object list text x a ( ) [ ] { } . , : ? + - * / % == != < > && || ! in has all exists map
    filter size matches split join format quantity duration timestamp 0 1 -1 9223372036854775807
    1u 1.5 'a' '(' "" true false null .? [? optional.of .orValue( .map(x, .all(x, object.list
    object.text object.?nope type( int( string( ip( semver( url( sets.contains( r'\\' b'\xff'
    """.split()  # noqa: SIM905 (seventy quoted words are harder to read)
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_WORDS, min_size=1, max_size=25))
def test_whatever_is_written_is_a_value_or_a_cel_error(words: list[str]) -> None:
    _survives(" ".join(words))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_text_is_worse_than_a_cel_error(text: str) -> None:
    _survives(text)


_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)
_PROBES = [
    "object == object", "object.a.b", "object[0]", "object + object", "object < object",
    "object.all(x, x == x)", "size(object)", "string(object)", "int(object)", "has(object.a)",
    "object in [object]", "object.map(x, x)", "[object].sum()", "[object, object].min()",
    "'%s'.format([object])", "object.?a[?0]", "-object", "!object", "object ? 1 : 2",
    "timestamp(object)", "duration(object)", "double(object) + 1.0", "uint(object)",
    "bytes(object)", "object.matches('a')", "object.split('a')", "quantity(object)",
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "timestamp(9223372036854775807).getFullYear() == 1",
        "timestamp('9999-12-31T23:59:59Z') + duration('100h') == timestamp(0)",
        "timestamp('0001-01-01T00:00:00Z').getHours('-10:00') == 1",
        "double(object) == 1.0",
    ],
)
def test_a_number_that_is_out_of_range_is_a_cel_error(text: str) -> None:
    with pytest.raises(CelError):
        compile_expression(text, ENVIRONMENT).evaluate({"object": 10**400})


@settings(max_examples=150, deadline=None)
@given(_VALUES, st.sampled_from(_PROBES))
def test_no_value_is_worse_than_a_cel_error(value: Any, text: str) -> None:
    _survives(text, value)


def _survives(text: str, value: Any = None) -> None:
    with suppress(CelError):
        program = compile_expression(text, ENVIRONMENT)
        program.evaluate({"object": value or {"list": [1, 2, 3], "text": "abc"}})
