"""YAML bodies, read as upstream reads them: into JSON's values only.

PyYAML makes dates of timestamps and numbers of ``1:30``; sigs.k8s.io/yaml does neither, so the
resolvers here are fewer. Aliases are followed by reference, so that a few lines can stand for
billions of nodes: what there is after following them is bounded in number, text and depth.
"""

import math
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from edgek.api.errors import BadRequest

MAX_NODES = 200_000
MAX_TEXT = 3 * 1024 * 1024
"""Characters of all keys and values, aliases written out; a body without any has no more."""
MAX_DEPTH = 128
_FLOAT = re.compile(r"[-+]?(?:\d+\.\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+)")
_INT = re.compile(r"[-+]?(?:0b[01]+|0o?[0-7]+|0x[0-9a-fA-F]+|[1-9][0-9_]*|0)")


def decode_yaml(raw: bytes, *, strict_duplicates: bool = True) -> tuple[Any, list[str]]:
    """The value and the keys that came twice. Raises BadRequest for anything else than one
    well-formed, bounded document."""
    import yaml

    loader = _loader()(raw)
    try:
        _refuse_deep(raw)
        value = loader.get_single_data()
        return _bounded(value), loader.twice if strict_duplicates else []
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as err:
        why = " ".join(str(err).split())
        raise BadRequest(f"error converting YAML to JSON: yaml: {why}") from None
    finally:
        loader.dispose()


def _refuse_deep(raw: bytes) -> None:
    """Building the tree recurses in C, where too deep is a crash and no exception; reading
    events does not."""
    import yaml

    depth = 0
    for event in yaml.parse(raw, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ValueError("exceeded max depth")


def _bounded(root: Any) -> Any:
    """``root`` as it is, once it is known to be small when every alias is written out."""
    count = text = 0
    stack: list[tuple[Any, int]] = [(root, 0)]
    while stack:
        value, depth = stack.pop()
        count += 1
        text += _length(value)
        if count > MAX_NODES or text > MAX_TEXT or depth > MAX_DEPTH:
            raise ValueError("document contains excessive aliasing")
        stack.extend((inner, depth + 1) for inner in _children(value))
    return root


def _length(value: Any) -> int:
    """Of its own text, without its children's."""
    if isinstance(value, str):
        return len(value)
    return sum(map(len, value)) if isinstance(value, dict) else 0


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        return iter(value.values())
    return iter(value) if isinstance(value, list) else iter(())


@cache
def _loader() -> Any:
    import yaml

    class Loader(yaml.CSafeLoader):
        """JSON's values only, keys as text, duplicates remembered."""

        yaml_implicit_resolvers = _resolvers(yaml.CSafeLoader.yaml_implicit_resolvers)

        def __init__(self, stream: bytes) -> None:
            super().__init__(stream)
            self.twice: list[str] = []

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            self.flatten_mapping(node)
            out: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = _key(self.construct_object(key_node, deep=True))
                if key in out:
                    self.twice.append(key)
                out[key] = self.construct_object(value_node, deep=deep)
            return out

    def number(loader: Any, node: Any) -> int | float:
        plain = _plain(node)
        return _in_range(int(node.value.replace("_", "").replace("0o", "0"), 0) if plain
                         else _octal(node))  # fmt: skip

    Loader.add_constructor("tag:yaml.org,2002:int", number)
    Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: _finite(node.value))
    return Loader


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("number is out of range")
    return number


def _in_range(number: int) -> int | float:
    """As JSON is read: what no 64 bits hold is a float."""
    if -(2**63) <= number < 2**64:
        return number
    try:
        return float(number)
    except OverflowError:
        raise ValueError("number is out of range") from None


def _plain(node: Any) -> bool:
    digits = node.value.lstrip("+-")
    return not (len(digits) > 1 and digits[0] == "0" and digits[1] not in "bx")


def _octal(node: Any) -> int:
    return int(node.value.replace("o", ""), 8)


def _resolvers(inherited: dict[str, Any]) -> dict[str, Any]:
    """YAML 1.1's, without dates and sexagesimals, and with exponents that have no point."""
    drop = ("timestamp", "int", "float", "value")
    kept = {
        first: [(tag, rule) for tag, rule in rules if tag.rpartition(":")[2] not in drop]
        for first, rules in inherited.items()
    }
    for first in "+-.0123456789":
        numbers = [
            ("tag:yaml.org,2002:int", _whole(_INT)),
            ("tag:yaml.org,2002:float", _whole(_FLOAT)),
        ]
        kept[first] = numbers + kept.get(first, [])
    return kept


def _whole(rule: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(f"^(?:{rule.pattern})$")


def _key(key: Any) -> str:
    """As sigs.k8s.io/yaml: numbers and booleans become their text, the rest is refused."""
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, str | int | float):
        return str(key)
    raise ValueError(f"unsupported map key of type {type(key).__name__}")
