"""Label and field selectors: parsed once, matched often.

Grammar as apimachinery pkg/labels and pkg/fields: ``a=b,c!=d,e in (f,g),h notin (i),j,!k`` and
``metadata.name=x,status.phase!=Running``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgek.api.remembered import remembered
from edgek.api.validation import is_label_value, is_qualified_name


@dataclass(frozen=True)
class Requirement:
    """``operator`` is one of In, NotIn, Exists, DoesNotExist, Gt, Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
        return value is not None and _compares(self.operator, value, self.values[0])


def _compares(operator: str, left: str, right: str) -> bool:
    try:
        return int(left) > int(right) if operator == "Gt" else int(left) < int(right)
    except ValueError:
        return False


@dataclass(frozen=True)
class Selector:
    """All requirements must hold; an empty selector matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        found = labels or {}
        return all(r.matches(found) for r in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)


EVERYTHING = Selector()

_INTEGER = re.compile(r"[+-]?[0-9]+")
_TOKEN = re.compile(r"\s*(?:(?P<op>==|=|!=|!|,|\(|\)|<|>)|(?P<word>[^\s=!,()<>]+))")


def _tokens(text: str) -> list[str]:
    out, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"unable to parse requirement: found {text[at]!r}")
        out.append(match.group().strip())
        at = match.end()
    return out


class _Parser:
    """Recursive descent over the tokens of one selector."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def expect(self, token: str) -> None:
        got = self.take()
        if got != token:
            raise ValueError(f"unable to parse requirement: found '{got}', expected: '{token}'")

    def parse(self) -> Selector:
        out = []
        while self.peek():
            out.append(self.requirement())
            if self.peek():
                self.expect(",")
                if not self.peek():
                    raise ValueError("unable to parse requirement: found '', expected: identifier")
        return Selector(tuple(out))

    def requirement(self) -> Requirement:
        if self.peek() == "!":
            self.take()
            return _checked(self.take(), "DoesNotExist", ())
        key = self.take()
        match self.peek():
            case "=" | "==":
                self.take()
                return _checked(key, "In", (self.value(),))
            case "!=":
                self.take()
                return _checked(key, "NotIn", (self.value(),))
            case "in" | "notin" as word:
                self.take()
                return _checked(key, "In" if word == "in" else "NotIn", self.values())
            case ">" | "<" as sign:
                self.take()
                return _checked(key, "Gt" if sign == ">" else "Lt", (self.value(),))
        return _checked(key, "Exists", ())

    def value(self) -> str:
        return "" if self.peek() in ("", ",", ")") else self.take()

    def values(self) -> tuple[str, ...]:
        self.expect("(")
        out = [self.value()]
        while self.peek() == ",":
            self.take()
            out.append(self.value())
        self.expect(")")
        return tuple(out)


def _checked(key: str, operator: str, values: tuple[str, ...]) -> Requirement:
    if problems := is_qualified_name(key):
        raise ValueError(f'key: Invalid value: "{key}": {problems[0]}')
    for index, value in enumerate(values):
        problems = is_label_value(value)
        if not problems and operator in ("Gt", "Lt") and not _INTEGER.fullmatch(value):
            problems = ["for 'Gt', 'Lt' operators, the value must be an integer"]
        if problems:
            raise ValueError(f'values[{index}][{key}]: Invalid value: "{value}": {problems[0]}')
    return Requirement(key, operator, values)


@remembered(1024)
def parse_selector(text: str) -> Selector:
    """Raises ValueError with upstream's words where ``text`` is no label selector."""
    return _Parser(text).parse() if text.strip() else EVERYTHING


def from_label_selector(selector: Mapping[str, Any] | None) -> Selector:
    """A metav1.LabelSelector (matchLabels, matchExpressions) as a Selector.

    NB: ``None`` selects nothing for workloads; callers decide that, here it selects everything.
    """
    if not selector:
        return EVERYTHING
    equal = [Requirement(k, "In", (v,)) for k, v in (selector.get("matchLabels") or {}).items()]
    more = [
        Requirement(e["key"], e["operator"], tuple(e.get("values") or ()))
        for e in selector.get("matchExpressions") or ()
    ]
    return Selector((*equal, *more))


def from_match_labels(labels: Mapping[str, str] | None) -> Selector:
    """An equality selector such as Service.spec.selector."""
    return Selector(tuple(Requirement(k, "In", (v,)) for k, v in (labels or {}).items()))


@dataclass(frozen=True)
class FieldTerm:
    path: str
    value: str
    equal: bool


@dataclass(frozen=True)
class FieldSelector:
    """Matches through ``read(obj, path) -> str``, because each kind says what it offers."""

    terms: tuple[FieldTerm, ...] = ()

    def matches(self, obj: Any, read: Callable[[Any, str], str]) -> bool:
        return all((read(obj, t.path) == t.value) == t.equal for t in self.terms)

    def exact(self, path: str) -> str | None:
        """The one value that ``path`` must have, if the selector demands one."""
        return next((t.value for t in self.terms if t.path == path and t.equal), None)

    def __bool__(self) -> bool:
        return bool(self.terms)


# A term reaches to the next comma that no backslash escapes.
_TERM = re.compile(r"(?:[^\\,]|\\.?)+", re.DOTALL)
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)


@remembered(1024)
def parse_field_selector(text: str) -> FieldSelector:
    """``a=b,c==d,e!=f``; backslash escapes ``,`` ``=`` and itself. Raises ValueError."""
    parts = [p for p in _TERM.findall(text) if p.strip()]
    return FieldSelector(tuple(_field_term(p.strip()) for p in parts))


def _field_term(part: str) -> FieldTerm:
    match = re.match(r"([^=!]+)(==|=|!=)(.*)", part, re.DOTALL)
    if match is None:
        raise ValueError(f"invalid selector: '{part}'; can't understand '{part}'")
    path, sign, value = match.groups()
    return FieldTerm(path.strip(), _unescaped(value), sign != "!=")


def _unescaped(value: str) -> str:
    """As fields.UnescapeValue: only what must be escaped may be, and it must."""
    for bad in _ESCAPE.findall(value):
        if bad not in ("\\", ",", "="):
            raise ValueError(f"invalid field selector: invalid escape sequence: \\{bad}")
    if "=" in _ESCAPE.sub("", value):
        raise ValueError(f"invalid field selector: unescaped character in value: = in {value}")
    return _ESCAPE.sub(r"\1", value)
