"""What a command line names: ``pods``, ``pod web``, ``po,svc``, ``deployment/web pod/a``.

As kubectl's resource builder: kinds with names behind them, or KIND/NAME throughout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from edgek.cli.cluster import Cluster, Failure
from edgek.cli.resources import find_kind, find_kinds
from edgek.kinds.kind import Kind


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind and the names asked for; none stands for all."""

    kind: Kind
    names: tuple[str, ...] = ()


async def find_targets(cluster: Cluster, words: Sequence[str]) -> list[Target]:
    """Raises Failure for words that make no sense."""
    if not words:
        raise Failure("you must name the kind of resource, such as pods")
    if any("/" in word for word in words):
        return await _pairs(cluster, words)
    kinds = await find_kinds(cluster, words[0])
    names = tuple(dict.fromkeys(words[1:]))
    return [Target(kind=kind, names=names) for kind in kinds]


async def _pairs(cluster: Cluster, words: Sequence[str]) -> list[Target]:
    found: list[Target] = []
    for word in words:
        kind, _, name = word.partition("/")
        if not kind or not name or "/" in name:
            raise Failure(f"{word!r}: use either KIND NAME or KIND/NAME for all of them")
        found.append(Target(kind=await find_kind(cluster, kind), names=(name,)))
    groups = groupby(found, key=lambda target: target.kind)
    return [Target(kind=kind, names=tuple(t.names[0] for t in same)) for kind, same in groups]


async def find_one(cluster: Cluster, words: Sequence[str], *, kind: str = "") -> tuple[Kind, str]:
    """Exactly one object; ``kind`` is meant where only a name is given."""
    if kind and len(words) == 1 and "/" not in words[0]:
        return await find_kind(cluster, kind), words[0]
    targets = await find_targets(cluster, words)
    if len(targets) != 1 or len(targets[0].names) != 1:
        raise Failure(f"{' '.join(words)!r} does not name one object")
    return targets[0].kind, targets[0].names[0]
