"""What calls are estimated to cost, beside their arguments, and how large their results can be.

As cel-go checker/cost.go functionCost, and apiserver pkg/cel/library/cost.go EstimateCallCost for
the libraries of Kubernetes. What is not here costs 1. The numbers decide which definitions are
accepted, so they are upstream's, whatever an evaluation here really takes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from edgek.schema.schema import Schema
from server.cel.ranges import MOST, ONE, UNKNOWN, Range, exactly
from server.cel.syntax import Const, Node

TEXT = 0.1
"""Per character that is looked at once."""
_PATTERN = 0.25
"""Per character of a pattern, of which an expression is four, say."""
_NAMED_PATTERN, _NAMED_FORMAT = 128, 64
"""The longest pattern and name of a named format (apiserver pkg/cel/format.go)."""
_ADDRESS = Range(4, 16)
_TEXTS = ("string", "bytes")


@dataclass(frozen=True, kw_only=True)
class Given:
    """One argument. ``items`` is the size of what a list holds, where the schema says it."""

    node: Node
    schema: Schema
    size: Range
    items: Range = UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Price:
    cost: Range
    size: Range | None = None


Args = Sequence[Given]
Pricing = Callable[[Args], Price]


def price_of(function: str, args: Args) -> Price:
    """A member's target is its first argument."""
    pricing = _PRICES.get(function)
    try:
        return pricing(args) if pricing is not None else Price(cost=ONE)
    except IndexError:  # an overload with fewer arguments has no price of its own
        return Price(cost=ONE)


def _is_text(given: Given) -> bool:
    return given.schema.type in _TEXTS


def _flat(cost: int) -> Pricing:
    return lambda args: Price(cost=exactly(cost))


def _traversal(factor: float, *, at: int = 0, sized: bool = False) -> Pricing:
    def price(args: Args) -> Price:
        size = args[at].size
        return Price(cost=size.scaled(factor), size=size if sized else None)

    return price


def _equality(args: Args) -> Price:
    left, right = args[0], args[1]
    if "." in left.schema.type and left.schema.type == right.schema.type:
        return Price(cost=_opaque_equality(left.schema.type, right))
    return _comparison(args)


def _opaque_equality(name: str, right: Given) -> Range:
    if name == "kubernetes.NamedFormat":
        return Range(1, _NAMED_FORMAT).scaled(TEXT)
    if name == "kubernetes.URL" and right.size != UNKNOWN:
        return Range(1, right.size.most).scaled(TEXT)
    return ONE


def _comparison(args: Args) -> Price:
    """Over when the shorter one ends."""
    most = min(args[0].size.most, args[1].size.most)
    return Price(cost=Range(min(most, 1), most).scaled(TEXT))


def _order(args: Args) -> Price:
    known = [a for a in args if a.schema.type != "any"]
    if known and not any(map(_is_text, known)):
        return Price(cost=ONE)
    price = _comparison(args)
    return price if known else Price(cost=price.cost.union(ONE))


def _addition(args: Args) -> Price:
    left, right = args[0], args[1]
    size = left.size.plus(right.size)
    kinds = {left.schema.type, right.schema.type} - {"any"}
    if kinds and not kinds & {*_TEXTS, "list"}:
        return Price(cost=ONE)
    if "list" in kinds:
        return Price(cost=ONE, size=size)
    return Price(cost=size.scaled(TEXT), size=size)


def _membership(args: Args) -> Price:
    return Price(cost=ONE if args[1].schema.type == "map" else args[1].size)


def _matching(args: Args) -> Price:
    return Price(cost=_pattern_cost(args))


def _pattern_cost(args: Args) -> Range:
    """One more character than there is, so that an empty text costs what its pattern does."""
    return args[0].size.plus(ONE).scaled(TEXT).times(args[1].size.scaled(_PATTERN))


def _finding(args: Args) -> Price:
    return Price(cost=_pattern_cost(args), size=Range(0, args[0].size.most))


def _containing(args: Args) -> Price:
    return Price(cost=args[0].size.scaled(TEXT).times(args[1].size.scaled(TEXT)))


def _to_bytes(args: Args) -> Price:
    size = args[0].size
    if args[0].schema.type != "string":
        return Price(cost=ONE)
    return Price(cost=size.scaled(TEXT), size=Range(size.least, min(size.most * 4, MOST)))


def _to_text(args: Args) -> Price:
    size = args[0].size
    if args[0].schema.type != "bytes":
        return Price(cost=ONE)
    return Price(cost=size.scaled(TEXT), size=Range(size.least // 4, size.most))


def _through_list(args: Args) -> Price:
    target = args[0]
    if target.schema.type != "list":  # indexOf is of texts, too
        return Price(cost=target.size.scaled(TEXT))
    each = ONE
    if target.schema.items is not None and target.schema.items.type in _TEXTS:
        each = ONE.plus(target.items.scaled(TEXT))
    return Price(cost=target.size.times(each))


def _joining(args: Args) -> Price:
    listed, size = args[0].size, args[0].size.times(args[0].items)
    if len(args) > 1:
        between = Range(max(listed.least - 1, 0), max(listed.most - 1, 0))
        size = size.plus(args[1].size.times(between))
    return Price(cost=size.scaled(TEXT), size=size)


def _splitting(args: Args) -> Price:
    most = args[0].size.most
    if len(args) > 2 and isinstance(args[2].node, Const) and type(args[2].node.value) is int:
        most = args[2].node.value % (MOST + 1)
    return Price(cost=args[0].size.scaled(2 * TEXT), size=Range(0, most))


def _replacing(args: Args) -> Price:
    size, old, new = args[0].size, args[1].size, args[2].size
    count, kept = [0, 0], [0, 0]
    if old.least == 0:  # an empty text is found around every character
        count[1], kept[1] = min(size.most + 1, MOST), size.most
    elif new.most <= old.least:
        kept[1] = size.most
    else:
        count[1] = ceil(float(size.most) / old.least)
    if old.most == 0:
        count[0], kept[0] = min(size.least + 1, MOST), size.least
    elif old.most <= new.least:
        kept[0] = size.least
    else:
        count[0] = ceil(float(size.least) / old.most)
    result = Range(*count).times(new).plus(Range(*kept))
    return Price(cost=size.scaled(2 * TEXT), size=result)


def _within_cidr(*, masked: bool) -> Pricing:
    def price(args: Args) -> Price:
        cost = _ADDRESS.plus(_ADDRESS).scaled(TEXT)
        if masked:
            cost = cost.plus(_ADDRESS.scaled(TEXT)).plus(ONE)
        if args[1].schema.type == "string":
            cost = cost.plus(args[1].size.scaled(TEXT))
        return Price(cost=cost)

    return price


def _address(args: Args) -> Price:
    if args[0].schema.type == "net.CIDR":
        return Price(cost=ONE)
    return Price(cost=args[0].size.scaled(TEXT))


def _formatted(args: Args) -> Price:
    cost = args[1].size.scaled(TEXT)
    return Price(cost=cost.scaled(_NAMED_PATTERN * _PATTERN))


def _selector(args: Args) -> Price:
    """Requirements are two characters at least, and each costs 50."""
    size = args[1].size
    requirements = Range(ceil(size.least / 2), ceil(size.most / 2))
    return Price(cost=exactly(10).plus(requirements.times(exactly(50))).plus(size.scaled(TEXT)))


def _sets(factor: int) -> Pricing:
    def price(args: Args) -> Price:
        return Price(cost=args[0].size.times(args[1].size).scaled(factor).plus(ONE))

    return price


def _each(names: str, pricing: Pricing) -> Mapping[str, Pricing]:
    return dict.fromkeys(names.split(), pricing)


_PRICES: Mapping[str, Pricing] = {
    "_==_": _equality,
    "_!=_": _comparison,
    "_+_": _addition,
    "@in": _membership,
    "matches": _matching,
    "contains": _containing,
    "bytes": _to_bytes,
    "string": _to_text,
    "join": _joining,
    "split": _splitting,
    "replace": _replacing,
    "containsIP": _within_cidr(masked=False),
    "containsCIDR": _within_cidr(masked=True),
    "ip": _address,
    "validate": _formatted,
    "check": _flat(350_000),
    "sets.contains": _sets(1),
    "sets.intersects": _sets(1),
    "sets.equivalent": _sets(2),
    "format": _traversal(TEXT),
    "ip.isCanonical": _traversal(2 * TEXT),
    **_each("_<_ _<=_ _>_ _>=_", _order),
    **_each("startsWith endsWith", _traversal(TEXT, at=1)),
    **_each("fieldSelector labelSelector", _selector),
    **_each("isSorted sum max min indexOf lastIndexOf", _through_list),
    **_each("url jsonpatch.escapeKey", _traversal(TEXT, sized=True)),
    **_each("lowerAscii upperAscii substring trim", _traversal(TEXT, sized=True)),
    **_each("cidr isIP isCIDR quantity isQuantity semver isSemver", _traversal(TEXT)),
    **_each("find findAll", _finding),
}
"""By name, as functions are called in checked expressions."""
