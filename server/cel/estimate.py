"""estimate_cost: how much evaluating an expression can cost at worst, before it ever is evaluated.

As cel-go checker/cost.go: a walk through the checked tree that follows ``self.a.b`` through the
schema to know how large values can become. Kubernetes refuses definitions by this number, which
is why its quirks are kept: an optional's content has no size, and has() is free.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgek.schema.schema import Schema
from server.cel.call_costs import Given, price_of
from server.cel.declared import Declared
from server.cel.program import Checked
from server.cel.ranges import MOST, NOTHING, ONE, UNKNOWN, Range, exactly, total
from server.cel.results import ANY, CEL_TYPES, OPTIONAL, inside
from server.cel.syntax import (
    Call,
    Const,
    Fold,
    Ident,
    ListOf,
    MapOf,
    Node,
    Select,
    is_binding,
)

Path = tuple[str, ...]
ITEMS, KEYS, VALUES, INDICES = "@items", "@keys", "@values", "@indices"
_LIST, _MAP, _MESSAGE = exactly(10), exactly(30), exactly(40)
_SIZED = ("string", "bytes")
_NO_SIZE_YET = Range(MOST, 0)


@dataclass(frozen=True, kw_only=True)
class _Entries:
    """What a list or map made by the expression itself holds."""

    is_list: bool
    key: Range
    value: Range


@dataclass(frozen=True, kw_only=True)
class _Local:
    """A variable of a macro."""

    path: Path
    size: Range | None = None
    entries: _Entries | None = None


def estimate_cost(checked: Checked, root: Declared | None) -> Range:
    """``root`` is what ``self`` and ``oldSelf`` are."""
    return _Estimator(checked=checked, declared=root).cost(checked.tree.root)


@dataclass(kw_only=True)
class _Estimator:
    checked: Checked
    declared: Declared | None
    _paths: dict[int, Path] = field(default_factory=dict)
    _sizes: dict[int, Range] = field(default_factory=dict)
    _entries: dict[int, _Entries] = field(default_factory=dict)
    _locals: dict[str, list[_Local]] = field(default_factory=dict)

    # Costs

    def cost(self, node: Node) -> Range:
        match node:
            case Ident():
                local = self._local(node)
                self._paths[node.id] = (node.name,) if local is None else local.path
                return ONE
            case Select():
                return self._select(node)
            case Call():
                return self._call(node)
            case ListOf():
                return self._list(node)
            case MapOf():
                return self._map(node)
            case Fold():
                return self._binding(node) if is_binding(node) else self._fold(node)
        return NOTHING

    def _select(self, node: Select) -> Range:
        cost = self.cost(node.operand)
        if node.test:
            return cost
        self._paths[node.id] = (*self._path(node.operand), node.field)
        of = self._schema(node.operand).type
        return cost.plus(ONE) if of in ("map", "object") or "." in of else cost

    def _call(self, node: Call) -> Range:
        if node.function == "dyn":
            cost = self.cost(node.args[0])
            self._copy(node, node.args[0])
            return cost.plus(ONE)
        costs = [self.cost(arg) for arg in node.args]
        if node.function in ("_&&_", "_||_"):
            return Range(costs[0].least, total(costs).most)
        if node.function == "_?_:_":
            return self._ternary(node, costs)
        if node.function == "_[_]" and self._schema(node.args[0]).type != OPTIONAL:
            return self._index(node).plus(total(costs))
        if node.function == "_+_":
            self._join_entries(node, node.args)
        price = price_of(node.function, [self._given(arg) for arg in node.args])
        size = price.size or self._size(node)
        if size is not None:
            self._sizes[node.id] = size
        return price.cost.plus(total(costs))

    def _ternary(self, node: Call, costs: Sequence[Range]) -> Range:
        _, yes, no = node.args
        self._join_entries(node, (yes, no))
        self._sizes[node.id] = self._size_or_unknown(yes).union(self._size_or_unknown(no))
        return costs[0].plus(costs[1].union(costs[2]))

    def _index(self, node: Call) -> Range:
        of = node.args[0]
        step = VALUES if self._schema(of).type == "map" else ITEMS
        self._paths[node.id] = (*self._path(of), step)
        entries = self._entries_of(of)
        size = entries.value if entries is not None else self._size(node)
        if size is not None:
            self._sizes[node.id] = size
        return ONE

    def _list(self, node: ListOf) -> Range:
        cost = total(self.cost(e) for e in node.elements)
        value = self._union(node.elements)
        self._entries[node.id] = _Entries(is_list=True, key=ONE, value=value)
        return cost.plus(_LIST)

    def _map(self, node: MapOf) -> Range:
        keys = [entry.key for entry in node.entries if isinstance(entry.key, Node)]
        values = [entry.value for entry in node.entries]
        cost = total(self.cost(n) for n in (*keys, *values))
        if node.name:
            return cost.plus(_MESSAGE)
        key, value = self._union(keys), self._union(values)
        self._entries[node.id] = _Entries(is_list=False, key=key, value=value)
        return cost.plus(_MAP)

    def _binding(self, node: Fold) -> Range:
        cost = self.cost(node.range).plus(self.cost(node.init))
        self._push(node.accu_var, self._bound(node.init))
        cost = cost.plus(self.cost(node.result))
        self._copy(node, node.result)
        self._pop(node.accu_var)
        return cost

    def _fold(self, node: Fold) -> Range:
        cost = self.cost(node.range).plus(self.cost(node.init))
        self._push(node.accu_var, self._bound(node.init))
        each = self._each(node)
        cost = cost.plus(self.cost(node.result))
        self._pop(node.accu_var)
        count = self._size_or_unknown(node.range)
        if isinstance(node.init, Const):
            self._copy(node, node.init)
        elif isinstance(node.init, ListOf | MapOf):
            self._sizes[node.id] = count
            if (entries := self._entries_of(node.step)) is not None:
                self._entries[node.id] = entries
        return cost.plus(count.times(each))

    def _each(self, node: Fold) -> Range:
        """One round."""
        entries, path = self._entries_of(node.range), self._path(node.range)
        is_list = self._schema(node.range).type == "list" if entries is None else entries.is_list
        key, value = (entries.key, entries.value) if entries is not None else (None, None)
        keyed = _Local(path=(*path, INDICES if is_list else KEYS), size=key)
        valued = _Local(path=(*path, ITEMS if is_list else VALUES), size=value)
        if node.iter_var2:
            named = {node.iter_var: keyed, node.iter_var2: valued}
        else:
            named = {node.iter_var: valued if is_list else keyed}
        for name, local in named.items():
            self._push(name, local)
        cost = self.cost(node.condition).plus(self.cost(node.step))
        for name in named:
            self._pop(name)
        return cost

    # Variables

    def _local(self, node: Ident) -> _Local | None:
        known = self._locals.get(node.name)
        return known[-1] if known else None

    def _push(self, name: str, local: _Local) -> None:
        self._locals.setdefault(name, []).append(local)

    def _pop(self, name: str) -> None:
        self._locals[name].pop()

    def _bound(self, node: Node) -> _Local:
        return _Local(path=self._path(node), size=self._size(node), entries=self._entries_of(node))

    # Sizes

    def _schema(self, node: Node) -> Schema:
        return self.checked.shapes.known.get(node.id, ANY)

    def _path(self, node: Node) -> Path:
        if isinstance(node, Ident) and (local := self._local(node)) is not None:
            return local.path
        return self._paths.get(node.id, ())

    def _given(self, node: Node) -> Given:
        items = None
        if path := self._path(node):
            items = self._declared_size((*path, ITEMS))
        return Given(
            node=node,
            schema=self._schema(node),
            size=self._size_or_unknown(node),
            items=items or UNKNOWN,
        )

    def _size_or_unknown(self, node: Node) -> Range:
        found = self._size(node)
        return UNKNOWN if found is None else found

    def _size(self, node: Node) -> Range | None:
        """What is known of this very value, then what the schema says, then the type."""
        found = self._sizes.get(node.id) or _written(node)
        if found is not None:
            return found
        path = self._path(node)
        found = self._declared_size(path) if path else None
        if found is not None:
            self._sizes[node.id] = found
            return found
        kind = inside(self._schema(node)).type
        if kind in CEL_TYPES and kind not in _SIZED:
            return ONE
        local = self._local(node) if isinstance(node, Ident) else None
        return local.size if local is not None else None

    def _declared_size(self, path: Path) -> Range | None:
        """NB: a path may begin anywhere; what it begins with is taken for ``self``."""
        here = self.declared
        for name in path[1:]:
            if here is None:
                return None
            if name in (ITEMS, VALUES):
                here = here.items
            elif name == KEYS:
                here = here.keys
            else:
                here = here.fields.get(name) if here.fields is not None else None
        return None if here is None else Range(0, here.longest)

    def _union(self, nodes: Sequence[Node]) -> Range:
        out = _NO_SIZE_YET if nodes else NOTHING
        for node in nodes:
            out = out.union(self._size_or_unknown(node))
        return out

    def _entries_of(self, node: Node) -> _Entries | None:
        found = self._entries.get(node.id)
        if found is None and isinstance(node, Ident) and (local := self._local(node)) is not None:
            return local.entries
        return found

    def _join_entries(self, node: Node, parts: Sequence[Node]) -> None:
        one, other = (self._entries_of(part) for part in parts)
        if one is not None and other is not None:
            key, value = one.key.union(other.key), one.value.union(other.value)
            self._entries[node.id] = _Entries(is_list=one.is_list, key=key, value=value)

    def _copy(self, node: Node, source: Node) -> None:
        if (size := self._size(source)) is not None:
            self._sizes[node.id] = size
        if (entries := self._entries_of(source)) is not None:
            self._entries[node.id] = entries


def _written(node: Node) -> Range | None:
    """The size of what stands in the expression itself."""
    match node:
        case Const():
            return exactly(len(node.value) if isinstance(node.value, str | bytes) else 1)
        case ListOf():
            return exactly(len(node.elements))
        case MapOf() if not node.name:
            return exactly(len(node.entries))
    return None
