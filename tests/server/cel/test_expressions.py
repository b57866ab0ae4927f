"""What expressions give: the language, and Kubernetes' functions."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from server.cel import DYN, CelError, CompileError, Environment, compile_expression
from server.cel.values import Optional, Uint

ENVIRONMENT = Environment(variables={"object": DYN, "other": DYN})
OBJECT = {
    "name": "web",
    "replicas": 3,
    "ratio": 0.5,
    "on": True,
    "nothing": None,
    "list": [3, 1, 2],
    "labels": {"app": "web", "a/b": "c"},
    "containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y"}],
    "cpu": "500m",
}


def evaluate(text: str) -> Any:
    program = compile_expression(text, ENVIRONMENT)
    return program.evaluate({"object": OBJECT, "other": None})


TRUE = Path(__file__).with_name("true.cel").read_text().splitlines()


@pytest.mark.parametrize("text", TRUE)
def test_is_true(text: str) -> None:
    assert evaluate(text) is True


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("object.list", [3, 1, 2]),
        ("1u", Uint(1)),
        ("duration('1m')", timedelta(minutes=1)),
        ("timestamp('2024-01-01T00:00:00Z')", datetime(2024, 1, 1, tzinfo=UTC)),
        ("optional.none()", Optional()),
        ("object.?name", Optional("web", True)),
    ],
)
def test_gives(text: str, value: Any) -> None:
    found = evaluate(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("object.nope", "no such key: nope"),
        ("object.labels['nope']", "no such key: nope"),
        ("other.x", "no such overload"),
        ("object.name.x", "no such overload"),
        ("object.list[3]", "index out of bounds: 3"),
        ("object.name + 1", "no such overload"),
        ("object.name > 1", "no such overload"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("-9223372036854775807 - 2", "integer overflow"),
        ("0u - 1u", "unsigned integer overflow"),
        ("int('x')", "type conversion error from 'string' to 'int'"),
        ("quantity('Three')", "quantities must match the regular expression"),
        ("quantity('1').div(0)", "division by zero"),
        ("ip('1.2.3')", 'IP Address "1.2.3" parse error'),
        ("[].min() == 1", "min called on empty list"),
        ("'abc'.substring(2, 1)", "invalid substring range. start: 2, end: 1"),
        ("'abc'.charAt(9)", "index out of range: 9"),
        ("object.name.matches(object.name + '(')", "error parsing regexp"),
        ("optional.none().value()", "optional.none() dereference"),
        ("has(object.nope.x)", "no such key: nope"),
        ("object.list.all(x, x)", "no such overload"),
        ("object.replicas.map(x, x)", "no such overload"),
        ("'%d'.format(['x'])", "error during formatting"),
    ],
)
def test_fails_at_run_time_in_cel_gos_words(text: str, told: str) -> None:
    program = compile_expression(text, ENVIRONMENT)
    with pytest.raises(CelError) as caught:
        program.evaluate({"object": OBJECT, "other": None})
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "nobody.x",
            "compilation failed: ERROR: <input>:1:1: undeclared reference to 'nobody' (in "
            "container '')\n | nobody.x\n | ^",
        ),
        (
            "object.foo(1)",
            "compilation failed: ERROR: <input>:1:11: undeclared reference to 'foo' (in "
            "container '')\n | object.foo(1)\n | ..........^",
        ),
        ("1 + 'a'", "1:3: found no matching overload for '_+_' applied to '(int, string)'"),
        ("object.", "Syntax error: "),
        ("", "Syntax error: "),
        ("quantity(1)", "found no matching overload for 'quantity' applied to '(int)'"),
        ("quantity('1').nope()", "undeclared reference to 'nope'"),
        ("'a'.matches('(')", "1:13: invalid matches argument"),
        ("duration('x')", "1:10: invalid duration argument"),
        ("timestamp('x')", "1:11: invalid timestamp argument"),
        ("(" * 5000 + "1" + ")" * 5000, "recursion limit exceeded"),
        ("'" + "x" * 200_000 + "'", "exceeds limit"),
        ("'\ud800'", "Syntax error"),
    ],
    ids=lambda value: value[:20].encode("ascii", "replace").decode(),
)
def test_does_not_compile(text: str, told: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_expression(text, ENVIRONMENT)
    assert told in str(caught.value)


def test_the_free_variables_are_those_no_macro_binds() -> None:
    text = "object.list.all(x, x > other.y) && [1].exists(other, other == 1)"
    assert compile_expression(text, ENVIRONMENT).variables == {"object", "other"}


def test_a_program_is_compiled_once() -> None:
    assert compile_expression("1 + 1 == 2", ENVIRONMENT) is compile_expression(
        "1 + 1 == 2", ENVIRONMENT
    )
