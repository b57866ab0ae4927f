"""What a schema adds to an expression: fields by name, types, escaped names, converted values."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edgek.schema.schema import Schema
from server.cel import CelError, CompileError, Environment, compile_expression

TEXT, NUMBER, DOUBLE = Schema(type="string"), Schema(type="int64"), Schema(type="double")
SELF = Schema(
    type="object",
    fields={
        "name": TEXT,
        "replicas": NUMBER,
        "ratio": DOUBLE,
        "ratios": Schema(type="list", items=DOUBLE),
        "on": Schema(type="boolean"),
        "when": Schema(type="time"),
        "day": Schema(type="date"),
        "every": Schema(type="duration"),
        "raw": Schema(type="bytes"),
        "port": Schema(type="int-or-string"),
        "namespace": TEXT,
        "a-b/c.d__e": TEXT,
        "labels": Schema(type="map", items=TEXT),
        "items": Schema(
            type="list",
            items=Schema(type="object", fields={"name": TEXT, "at": Schema(type="time")}),
        ),
        "free": Schema(type="object", preserve_unknown=True),
    },
)
ENVIRONMENT = Environment(variables={"self": SELF, "oldSelf": SELF}, results=("bool",))
VALUE = {
    "name": "x",
    "replicas": 3,
    "ratio": 1,
    "ratios": [1, 2.5],
    "on": True,
    "when": "2024-01-02T03:04:05Z",
    "day": "2024-01-02",
    "every": "1h30m",
    "raw": "aGk=",
    "port": "http",
    "namespace": "n",
    "a-b/c.d__e": "odd",
    "labels": {"k": "v"},
    "items": [{"name": "i", "at": "2024-01-02T03:04:05Z"}],
    "free": {"any": 1},
}


@pytest.mark.parametrize(
    "text",
    [
        "self.on",
        "self.replicas > 2 && self.replicas > 2.5",
        "self.ratio == 1.0 && self.ratio / 2.0 == 0.5",
        "self.ratios.sum() == 3.5 && self.ratios.all(r, r >= 1.0)",
        "self.when < timestamp('2025-01-01T00:00:00Z') && self.when.getFullYear() == 2024",
        "self.day == timestamp('2024-01-02T00:00:00Z')",
        "self.every > duration('1h') && self.when + self.every > self.when",
        "self.raw == b'hi' && size(self.raw) == 2",
        "type(self.port) == string ? self.port == 'http' : self.port > 0",
        "self.__namespace__ == 'n' && self.a__dash__b__slash__c__dot__d__underscores__e == 'odd'",
        "has(self.__namespace__) && !has(self.free.nope)",
        "self.labels['k'] == 'v' && self.labels.all(k, k == 'k') && 'k' in self.labels",
        "self.items.all(i, i.name == 'i' && i.at.getFullYear() == 2024)",
        "self.items.map(i, i.name).join() == 'i' && self.items[0].name == 'i'",
        "self.items.exists_one(i, has(i.name)) && self.items.filter(i, i.name == 'z').size() == 0",
        "self.free.any == 1 && self.?name.orValue('') == 'x'",
        "self.replicas == oldSelf.replicas || self.name == oldSelf.name",
        "self == oldSelf",
    ],
)
def test_reads_the_schemas_types(text: str) -> None:
    program = compile_expression(text, ENVIRONMENT)
    assert program.evaluate({"self": VALUE, "oldSelf": VALUE}) is True


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("self.nope == 1", "1:5: undefined field 'nope'"),
        ("has(self.nope)", "undefined field 'nope'"),
        ("self.?nope.hasValue()", "undefined field 'nope'"),
        ("self.items.all(i, i.nope == '')", "1:20: undefined field 'nope'"),
        ("self.items[0].nope == ''", "undefined field 'nope'"),
        ("oldSelf.nope == self.nope", "1:8: undefined field 'nope'"),
        ("self.name.nope == ''", "type 'string' does not support field selection"),
        ("self.replicas > 'a'", "found no matching overload for '_>_' applied to '(int, string)'"),
        ("self.replicas == 'a'", "'_==_' applied to '(int, string)'"),
        ("self.ratio == 1", "'_==_' applied to '(double, int)'"),
        ("self.name + 1 > 0", "'_+_' applied to '(string, int)'"),
        ("self.replicas.startsWith('a')", "'startsWith' applied to 'int.(string)'"),
        ("self.name && true", "'_&&_' applied to '(string, bool)'"),
        ("!self.replicas", "'!_' applied to '(int)'"),
        ("size(self.replicas) == 1", "'size' applied to '(int)'"),
        ("self.replicas.all(x, x)", "expression of type 'int' cannot be range"),
        ("self.name", "must evaluate to bool but got string"),
        ("self.items.size()", "must evaluate to bool but got int"),
        ("self.labels", "must evaluate to bool but got map(string, string)"),
    ],
)
def test_what_the_schema_does_not_allow_does_not_compile(text: str, told: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_expression(text, ENVIRONMENT)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (Schema(type="time"), "2024-01-02T00:00:00Z", "self.getFullYear() == 2024"),
        (Schema(type="list", items=DOUBLE), [1, 2], "self.all(x, x < 3.0) && self.max() == 2.0"),
        (Schema(type="map", items=NUMBER), {"a": 1}, "self.all(k, self[k] > 0)"),
        (Schema(type="int-or-string"), 5, "self == 5"),
        (TEXT, "abc", "self.size() == 3"),
    ],
)
def test_self_may_be_any_value(schema: Schema, value: Any, text: str) -> None:
    environment = Environment(variables={"self": schema}, results=("bool",))
    assert compile_expression(text, environment).evaluate({"self": value}) is True


def test_a_value_that_is_not_what_its_format_says_is_an_error_of_the_rule() -> None:
    program = compile_expression("self.when == self.when", ENVIRONMENT)
    with pytest.raises(CelError, match="cannot parse"):
        program.evaluate({"self": {"when": "tomorrow"}})


def test_times_are_values_of_their_own() -> None:
    environment = Environment(variables={"self": SELF})
    values = {"self": VALUE}
    assert compile_expression("self.when", environment).evaluate(values) == datetime(
        2024, 1, 2, 3, 4, 5, tzinfo=UTC
    )
    assert compile_expression("self.every", environment).evaluate(values) == timedelta(minutes=90)
