"""Which field of a pod's spec is kept here, and how: none is ignored. Pure.

``TABLE`` (coverage_table.py) has every field that Kubernetes 1.37 knows; a test holds it against
the schema, docs/pod-coverage.md is made from it, and ``refused_fields`` keeps a pod from running
that uses one of those this node refuses. Paths have no marks for lists; init and ephemeral
containers have the fields of ``containers``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from edgek.api.meta import Obj


class State(StrEnum):
    """``SERVER``: acted on before the pod gets here. ``VOLUME``: a volume that is refused by the
    event FailedMount. ``LINUX``: without meaning on Linux, or on a kernel without it."""

    HONOURED = "honoured"
    SERVER = "server"
    REFUSED = "refused"
    VOLUME = "refused as a volume"
    LINUX = "no meaning here"


ACTS = (State.HONOURED, State.SERVER, State.LINUX)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """``prefix`` with each of ``leaves``; with none, all that is below it. ``proof``: the test."""

    prefix: str
    leaves: tuple[str, ...] = ()
    state: State
    note: str
    proof: str = ""

    def paths(self) -> Iterator[str]:
        if not self.leaves:
            yield self.prefix
        for leaf in self.leaves:
            yield f"{self.prefix}.{leaf}" if self.prefix else leaf


def refused_fields(pod: Obj, rules: tuple[Rule, ...]) -> Iterator[tuple[str, str]]:
    """(the field's full path, why) of what the pod uses and this node cannot."""
    spec = pod.get("spec") or {}
    for rule in rules:
        if rule.state is not State.REFUSED:
            continue
        for path in rule.paths():
            first, *rest = path.split(".")
            places = CONTAINERS if first == "containers" else (first,)
            for place in places:
                for found in _used(spec, [place, *rest], "spec"):
                    yield found, rule.note


CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def _used(value: Any, path: list[str], where: str) -> Iterator[str]:
    """Where the path leads to something that is set."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _used(each, path, f"{where}[{index}]")
    elif not path:
        if value not in (None, "", False, {}):
            yield where
    elif isinstance(value, dict) and value.get(path[0]) not in (None, []):
        yield from _used(value[path[0]], path[1:], f"{where}.{path[0]}")
