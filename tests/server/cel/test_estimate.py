"""Estimated costs are upstream's: its own tables, from compilation_test.go and cost_test.go."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgek.schema.schema import Schema
from edgek.schema.structural import read_structural
from edgek.schema.to_schema import to_cel_schema
from server.cel import Budget, CelError, Environment, check_expression, compile_expression
from server.cel.declared import declared
from server.cel.estimate import estimate_cost
from server.cel.library.authorizer import AUTHORIZER
from server.cel.ranges import MOST, Range
from server.cel.results import OPTIONAL

Props = dict[str, Any]
OBJECT: Props = {
    "type": "object",
    "required": ["required"],
    "properties": {"required": {"type": "string"}, "optional": {"type": "string"}},
}
LIMIT = 10_000_000


def _estimate(props: Props, rule: str, *, optional: bool = False) -> Range:
    structural = read_structural(props)
    here = to_cel_schema(structural)
    old = Schema(type=OPTIONAL, items=here) if optional else here
    environment = Environment(variables={"self": here, "oldSelf": old})
    return estimate_cost(check_expression(rule, environment), declared(structural))


def _of(kind: str) -> Props:
    if kind in ("duration", "date", "date-time"):
        return {"type": "string", "format": kind}
    return {"x-kubernetes-int-or-string": True} if kind == "int-or-string" else {"type": kind}


def _limited(props: Props, word: str) -> Callable[[int | None], Props]:
    return lambda most: props if most is None else props | {word: most}


def _array(kind: str) -> Callable[[int | None], Props]:
    return _limited({"type": "array", "items": _of(kind)}, "maxItems")


def _array_of(items: Props) -> Callable[[int | None], Props]:
    return _limited({"type": "array", "items": items}, "maxItems")


def _map(kind: str) -> Callable[[int | None], Props]:
    return _map_of(_of(kind))


def _map_of(values: Props) -> Callable[[int | None], Props]:
    return _limited({"type": "object", "additionalProperties": values}, "maxProperties")


def _text(most: int | None, **more: Any) -> Props:
    return {"type": "string", **more} | ({} if most is None else {"maxLength": most})


def _bytes(most: int | None) -> Props:
    return _text(most, format="byte")


def _nested_spec(most: int | None) -> Props:
    return _map_of(_text(most))(most)


def _all_bounded(most: int | None) -> Props:
    return _array_of(_map_of(_limited(OBJECT, "maxProperties")(most))(most))(most)


def _one_bounded(most: int | None) -> Props:
    return _array_of(_map_of(OBJECT)(most))(None)


def _texts(most: int | None) -> Props:
    return _array_of(_text(most))(most) | {"x-kubernetes-list-type": "atomic"}


def _replaced(most: int | None) -> Props:
    fields = {"str": _text(most), "before": _text(2), "after": _text(4)}
    return {"type": "object", "properties": fields}


def _split(most: int | None) -> Props:
    return {"type": "object", "properties": {"str": _text(most), "separator": _text(most)}}


def _enum(most: int | None) -> Props:
    return _text(most, enum=["A", "B", "C", "LongValue"])


TABLE: list[tuple[Callable[[int | None], Props], str, int | None, int, int]] = [
    (_array("number"), "self.all(x, true)", 4718591, 10, 32),
    (_array("string"), "self.all(x, true)", 3145727, 20, 62),
    (_array("boolean"), "self.all(x, true)", 1887437, 5, 17),
    (_array_of({"type": "array", "items": _of("number")}), "self.all(x, true)", 3145727, 100, 302),
    (_array_of(OBJECT), "self.all(x, true)", 555128, 50, 152),
    (_map("number"), "self.all(x, true)", 1348169, 10, 32),
    (_map("string"), "self.all(x, true)", 1179647, 3, 11),
    (_map("boolean"), "self.all(x, true)", 943718, 100, 302),
    (_text, "self.contains('test')", 314574, 10, 5),
    (_text, "self.startsWith('test')", 2, 15, 2),
    (_text, "self.endsWith('test')", 2, 30, 2),
    (_text, 'size(self + "hello") > size("hello")', 314578, 4, 7),
    (_array("number"), "self[1] == 0.0", 2, 5000, 2),
    (_array("string"), "self[1] == self[1]", 314577, 8, 314577),
    (_array("number"), "self.all(x, self.all(y, true))", None, 10, 352),
    (_array("number"), "self.all(x, self.all(y, self.all(z, true)))", None, 10, 3552),
    (_text, 'self.matches("x")', 314574, 50, 22),
    (_text, '"".matches("(((((((((())))))))))[0-9]")', 7, 10, 7),
    (_text, 'self.matches("")', 1, 100, 1),
    (_nested_spec, "self.all(x, x.contains(self[x]))", 2752507, 10, 72),
    (_array("number"), "self[3] == 0.0", 2, 0, 2),
    (_map("number"), 'self["x"] == 0.0', 2, 0, 2),
    (_text, 'self == "x"', 2, 0, 1),
    (_bytes, 'self == b"x"', 2, 0, 1),
    (_array("number"), "self.all(x, x == 0.0)", 6291454, 3 * 1024 * 2048, 25165826),
    (_all_bounded, 'self.all(x, x["y"].required == "z")', 7340027, 10, 72),
    (_one_bounded, 'self.all(x, x["y"].required == "z")', 7340027, 10, 7340027),
    (_array("int-or-string"), "self.all(x, true)", 4718591, 10, 32),
    (_array("int-or-string"), "self[0] == 5", 3, 10, 3),
    (_array("boolean"), "self[0] == false", 2, 25, 2),
    (_array_of(OBJECT), "self[0] == null", 2, 422, 2),
    (_array_of({"type": "array", "items": _of("number")}), "self[0][0] == -1.0", 3, 51, 3),
    (_array_of(_map("number")(None)), "self.all(x, x.y == 25.2)", 6291452, 12, 74),
    (_array_of(_map("number")(None)), "self[0].x > 2.0", 4, 3000, 4),
    (_array("duration"), "self.all(x, true)", 2359295, 5, 17),
    (_array("duration"), "self[0].getHours() == 2", 4, 525, 4),
    (_array("date"), "self.all(x, true)", 725936, 15, 47),
    (_array("date"), "self[2].getDayOfMonth() == 13", 4, 42, 4),
    (_array("date-time"), "self.all(x, true)", 428963, 25, 77),
    (_array("date-time"), "self[2].getMinutes() == 45", 4, 99, 4),
    (_map("int-or-string"), "self.all(x, true)", 1348169, 15, 47),
    (_map_of(OBJECT), "self.all(x, true)", 428963, 20, 62),
    (_map_of(_map("number")(None)), "self.all(x, true)", 1179647, 10, 32),
    (_map_of(_array("number")(None)), "self.all(x, true)", 1179647, 25, 77),
    (_map("duration"), "self.all(x, true)", 1048577, 5, 17),
    (_map("date"), "self.all(x, true)", 524288, 10, 32),
    (_map("date-time"), "self.all(x, true)", 349526, 25, 77),
    (_text, "self.find('[0-9]+') == ''", 629147, 10, 11),
    (_texts, "self.join(' ') == 'aa bb'", 329853068905, 10, 43),
    (_texts, "self.isSorted() == true", 329854432052, 10, 52),
    (
        _replaced,
        "self.str.replace(self.before, self.after) == 'does not matter'",
        629154,
        4,
        12,
    ),
    (_split, "self.str.split(self.separator) == []", 629160, 10, 22),
    (_text, "self.lowerAscii() == 'lower!'", 314575, 10, 6),
    (_map("integer"), "oldSelf.size() == self.size()", 5, 10, 5),
    (_map("date-time"), 'self["a"] == self["b"]', 8, 7, 8),
    (_map("duration"), 'self["c"] == self["d"]', 8, 42, 8),
    (_enum, "self.contains('A')", 2, 1000, 401),
]


@pytest.mark.parametrize(("schema", "rule", "unbounded", "most", "bounded"), TABLE)
def test_a_rule_costs_what_upstream_estimates(
    schema: Callable[[int | None], Props], rule: str, unbounded: int | None, most: int, bounded: int
) -> None:
    found = _estimate(schema(None), rule).most
    assert found == unbounded if unbounded is not None else found > LIMIT
    assert _estimate(schema(most), rule).most == bounded


INTS, TEXTS = "[1, 2, 3, 4, 5]", "['ab', 'cd', 'ef', 'gh', 'ij']"
LITERALS = [
    (f"{INTS}.sum()", (15, 15)),
    ("[uint(1), uint(2), uint(3), uint(4), uint(5)].sum()", (20, 20)),
    (f"{INTS}.isSorted()", (15, 15)),
    (f"{INTS}.indexOf(3)", (15, 15)),
    ("'01234567890123456789012345678901234567890123456789'.indexOf('123')", (5, 5)),
    ("url('https:://kubernetes.io/').getHost()", (4, 4)),
    ("url('https:://kubernetes.io/') == url('https:://kubernetes.io/')", (7, 9)),
    ("ip('192.168.0.1').family()", (3, 3)),
    ("ip('192.168.0.1') == ip('192.168.0.1')", (5, 5)),
    ("ip.isCanonical('2001:db8:3333:4444:5555:6666:7777:8888')", (8, 8)),
    ("cidr('192.168.0.0/16').ip()", (3, 3)),
    ("cidr('192.168.0.0/16').containsCIDR(cidr('192.0.0.0/30'))", (7, 11)),
    ("cidr('192.168.0.0/16').containsIP(ip('192.0.0.1'))", (4, 7)),
    ("'ABCDEFGHIJ abcdefghij'.lowerAscii()", (3, 3)),
    ("'ABCDEFGHIJ abcdefghij'.upperAscii() == 'abcdefghij ABCDEFGHIJ'.upperAscii()", (7, 9)),
    ("'abc 123 def 123'.replace('', 'x')", (3, 3)),
    ("'abc 123 def 123'.split(' ', 1)", (3, 3)),
    ("'abc 123 def 123'.substring(5, 8)", (2, 2)),
    ("'abc 123 def 123'.findAll('123', 1)", (2, 2)),
    ("jsonpatch.escapeKey('abc/def~ abc/def~')", (2, 2)),
    ("authorizer.path('/healthz')", (2, 2)),
    (
        "authorizer.group('').resource('pods')"
        ".fieldSelector('spec.nodeName=example-node-name.fully.qualified.domain.name.example.com')",
        (1821, 1821),
    ),
    ("authorizer.path('/healthz').check('get').allowed()", (350003, 350003)),
    ('quantity("12Mi")', (1, 1)),
    ('quantity("2M") == quantity("0.002G") && quantity("2M") == quantity("2000k")', (3, 6)),
    ('quantity("50k").add(20).sub(quantity("100k")).sub(-50000).asInteger() > 0', (7, 7)),
    ('format.named("dns1123subdomain")', (1, 1)),
    ('format.named("dns1123Label").value().validate("my-name")', (34, 34)),
    ('format.named("dns1123Label").value() == format.named("dns1123Label").value()', (5, 11)),
    ("!sets.equivalent([2, 1], [1])", (26, 26)),
    ("sets.intersects([1], [1, 1])", (23, 23)),
    ("!sets.intersects([], [])", (22, 22)),
    ('semver("1234.56789012345.67890123456789")', (4, 4)),
    ('semver("1.0.0").isLessThan(semver("1.1.0"))', (3, 3)),
    ("{'a': 1, 'b': 2}.all(k, v, v > 0)", (37, 41)),
    ("{'a': 1, 'b': 2}.exists(k, v, v > 0)", (39, 43)),
    ("{'a': 1, 'b': 2}.existsOne(k, v, v > 0)", (38, 40)),
    ("{'a': 1, 'b': 2}.transformMap(k, v, v + 1)", (71, 71)),
    ("{'a': 1, 'b': 2}.transformMap(k, v, v < 5, v + 1)", (67, 75)),
    ("{'a': 1, 'b': 2}.transformMapEntry(k, v, {k: v + 1})", (131, 131)),
    ("[1, 2].all(i, v, v > 0)", (17, 21)),
    ("[1, 2].transformList(i, v, v < 5, v + 1)", (27, 53)),
]


@pytest.mark.parametrize(("text", "expected"), LITERALS)
def test_functions_cost_what_upstream_says(text: str, expected: tuple[int, int]) -> None:
    environment = Environment(variables={"authorizer": Schema(type=AUTHORIZER)})
    assert estimate_cost(check_expression(text, environment), None) == expected


SPEC: Props = {
    "type": "object",
    "properties": {
        "replicas": {"type": "integer"},
        "most": {"type": "integer"},
        "name": {"type": "string", "maxLength": 63},
        "at": {"type": "string", "format": "date-time"},
        "names": {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 20}},
        "ports": {
            "type": "array",
            "maxItems": 10,
            "items": {"type": "object", "properties": {"port": {"type": "integer"}}},
        },
    },
}


@pytest.mark.parametrize(
    "rule",
    [
        "self.?replicas.orValue(1) == oldSelf.?replicas.orValue(1)",
        "self.replicas - self.most == self.most - self.replicas",
        "self.replicas * 2 + 1 == self.most % 7",
        "(self.replicas > 1 ? self.most : self.replicas) == self.most",
        "self.ports.map(p, p.port).sum() == self.replicas",
        "self.ports.map(p, p.port).all(p, self.ports.exists_one(q, q.port == p))",
        "self.ports.map(p, p.port + 1) == self.ports.map(p, p.port)",
        "self.names.filter(n, n.startsWith('a')).all(n, n in self.names)",
        "self.?replicas.optMap(r, r + 1).orValue(0) == self.most",
        "self.at - duration('1h') > oldSelf.at",
        "self.at.getHours() == oldSelf.at.getHours()",
        "self.name.size() == oldSelf.name.size()",
        "string(self.replicas) == self.name || int(self.name) == self.replicas",
        "quantity(self.name).asInteger() == quantity(self.name).asInteger()",
        "self == oldSelf",
        "type(self.replicas) == int",
    ],
)
def test_a_modest_rule_on_a_bounded_schema_is_modest(rule: str) -> None:
    assert _estimate(SPEC, rule).most < 10_000


def _object(**fields: Props) -> Props:
    return {"type": "object", "properties": fields}


_LISTENER = _object(
    name=_text(253),
    host=_text(253),
    port=_of("integer"),
    protocol=_text(None, enum=["HTTP", "HTTPS", "TCP"]),
    tls=_object(
        mode=_text(None, enum=["Terminate", "Passthrough"]), options=_map_of(_text(99))(16)
    ),
)
_LISTENERS = _array_of(_LISTENER)(64)
_QUANTITIES = _map_of(_text(20))(50)


@pytest.mark.parametrize(
    ("schema", "rule"),
    [
        (
            _LISTENERS,
            "self.all(a, self.exists_one(b, a.port == b.port && a.protocol == b.protocol && "
            "(has(a.host) && has(b.host) ? a.host == b.host : !has(a.host) && !has(b.host))))",
        ),
        (_LISTENERS, "self.all(l, l.protocol in ['HTTP', 'TCP'] ? !has(l.tls) : true)"),
        (_LISTENERS, "self.filter(l, l.protocol == 'HTTP').size() <= 1"),
        (_LISTENERS, "self.all(l, size(l.tls.options) > 0 || l.tls.mode == 'Terminate')"),
        (_LISTENERS, "oldSelf.all(o, self.exists(n, n.name == o.name && n.port >= o.port))"),
        (_LISTENERS, "self.map(l, l.port).isSorted() || self[0].name.lowerAscii() == 'a'"),
        (_QUANTITIES, "self.all(k, isQuantity(self[k]) && quantity(self[k]).sign() >= 0)"),
        (_QUANTITIES, "self.all(k, k in ['cpu', 'memory'] || !k.find('^[^/]+').endsWith('io'))"),
        (_text(64), "isIP(self) || isCIDR(self) && cidr(self).prefixLength() > 8"),
        (_text(63), "!format.dns1123Label().validate(self).hasValue()"),
        (_text(1024), "self.matches('^(?:[-A-Za-z0-9/._~]|[%][0-9a-fA-F]{2})+$')"),
        (_of("int-or-string"), "type(self) == string ? self.matches('^[0-9]+%$') : self >= 0"),
    ],
)
def test_rules_as_people_write_them_are_affordable(schema: Props, rule: str) -> None:
    assert _estimate(schema, rule).most <= LIMIT


def test_the_content_of_an_optional_has_no_bound_as_upstream() -> None:
    rule = "oldSelf.orValue(['x']).all(x, x == '')"
    assert _estimate(_texts(5), rule, optional=True).most == MOST
    assert _estimate(_map("integer")(5), "oldSelf.hasValue()", optional=True).most == 2


# Of an enum, upstream takes maxLength even where it bounds less than the values do.
_ROWS = [row for row in TABLE if row[0] is not _enum]


@given(
    st.sampled_from([row[1] for row in _ROWS]),
    st.sampled_from([row[0] for row in _ROWS]),
    st.integers(0, 100),
)
def test_a_bound_never_makes_a_rule_dearer(
    rule: str, schema: Callable[[int | None], Props], most: int
) -> None:
    try:
        unbounded, bounded = _estimate(schema(None), rule), _estimate(schema(most), rule)
    except CelError:
        return
    assert bounded.most <= unbounded.most
    assert bounded.least <= bounded.most


@given(st.lists(st.text("abc", max_size=20), max_size=10), st.text("abc", max_size=10))
def test_what_is_spent_stays_near_the_estimate(names: list[str], name: str) -> None:
    rule = "self.names.all(n, self.names.exists(m, m == n) && n.contains(self.name))"
    estimated = _estimate(SPEC, rule).most
    here = to_cel_schema(read_structural(SPEC))
    program = compile_expression(rule, Environment(variables={"self": here}))
    budget = Budget()
    before = budget.remaining
    program.evaluate({"self": {"names": names, "name": name}}, budget)
    assert before - budget.remaining <= 3 * estimated
