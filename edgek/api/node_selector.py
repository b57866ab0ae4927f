"""Which nodes a pod may be on by its nodeSelector and required node affinity; pure.

As component-helpers scheduling/corev1/nodeaffinity. Parse once, match per node: parsing gives
None where a pod asks for nothing, so that callers can leave the check out altogether.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgek.api.meta import Obj, get_path
from edgek.api.selectors import Requirement, Selector, from_match_labels

NodeMatch = Callable[[str, Mapping[str, str]], bool]
"""``match(node_name, node_labels)``"""


def _requirements(expressions: Sequence[Mapping[str, Any]] | None) -> tuple[Requirement, ...]:
    return tuple(
        Requirement(e["key"], e["operator"], tuple(e.get("values") or ()))
        for e in expressions or ()
    )


def parse_term(term: Mapping[str, Any]) -> NodeMatch:
    """One nodeSelectorTerm: all of it must hold, and an empty one matches nothing."""
    by_label = Selector(_requirements(term.get("matchExpressions")))
    by_field = Selector(_requirements(term.get("matchFields")))
    if not by_label and not by_field:
        return lambda name, labels: False
    return lambda name, labels: (
        by_label.matches(labels) and by_field.matches({"metadata.name": name})
    )


def parse_required(spec: Obj) -> NodeMatch | None:
    """The pod spec's nodeSelector and requiredDuringScheduling terms; None: any node will do."""
    simple = from_match_labels(spec.get("nodeSelector"))
    required = _required(spec)
    if not simple and required is None:
        return None
    terms = [parse_term(t) for t in (required or {}).get("nodeSelectorTerms") or ()]
    return lambda name, labels: (
        simple.matches(labels) and (required is None or any(t(name, labels) for t in terms))
    )


def _required(spec: Obj) -> Obj | None:
    found: Obj | None = get_path(
        spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"
    )
    return found


def named_nodes(spec: Obj) -> frozenset[str] | None:
    """The only nodes that can match by name (DaemonSet pods name exactly one); None: no limit.

    As nodeaffinity PreFilter: every term must name its nodes, or the others are open to all.
    """
    required = _required(spec)
    if required is None:
        return None
    names: set[str] = set()
    for term in required.get("nodeSelectorTerms") or ():
        fields = [f for f in term.get("matchFields") or () if f["operator"] == "In"]
        if not fields:
            return None
        names |= set.intersection(*[set(f.get("values") or ()) for f in fields])
    return frozenset(names)
