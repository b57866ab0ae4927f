"""What of the default roles and bindings the cluster lacks: a pure plan, made at every start.

As pkg/registry/rbac/reconciliation: rules, subjects, labels and annotations that are missing are
added, additions of the user's are left alone, and an object whose ``autoupdate`` annotation is
"false" is left alone entirely. A binding to another role than ours is the user's decision too.
Of an aggregated role only the selectors are ours: its rules are its controller's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgek.api.meta import Obj, annotations, key_of, labels
from edgek.kinds.cluster_role import CLUSTER_ROLE
from edgek.kinds.cluster_role_binding import CLUSTER_ROLE_BINDING
from edgek.kinds.kind import Kind
from edgek.kinds.role import ROLE
from edgek.kinds.role_binding import ROLE_BINDING
from server.authz.default_bindings import CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS
from server.authz.default_roles import CLUSTER_ROLES, ROLES
from server.authz.policy import AUTOUPDATE
from server.request.reader import Reader

DEFAULTS: Sequence[tuple[Kind, Sequence[Obj]]] = (
    (CLUSTER_ROLE, CLUSTER_ROLES),
    (CLUSTER_ROLE_BINDING, CLUSTER_ROLE_BINDINGS),
    (ROLE, ROLES),
    (ROLE_BINDING, ROLE_BINDINGS),
)
"""In the order to write them. The namespaced ones need kube-system to exist."""


@dataclass(frozen=True)
class BootstrapPlan:
    """Objects of our own to write; those to update carry the resourceVersion they build on."""

    create: Sequence[tuple[Kind, Obj]] = ()
    update: Sequence[tuple[Kind, Obj]] = ()


def plan_bootstrap(reader: Reader) -> BootstrapPlan:
    """Empty when nothing is missing, so that a restart writes nothing."""
    create, update = [], []
    for kind, wanted in _each():
        found = reader.get(kind, key_of(wanted))
        if found is None:
            create.append((kind, wanted))
        elif annotations(found).get(AUTOUPDATE, "true") == "true":
            merged = _merged(found, wanted)
            if merged != found:
                update.append((kind, merged))
    return BootstrapPlan(create, update)


def _each() -> Iterable[tuple[Kind, Obj]]:
    return ((kind, obj) for kind, objs in DEFAULTS for obj in objs)


def _merged(found: Obj, wanted: Obj) -> Obj:
    merged = dict(found)
    merged["metadata"] = {
        **found["metadata"],
        "labels": {**labels(wanted), **labels(found)},
        "annotations": {**annotations(wanted), **annotations(found)},
    }
    if "roleRef" in wanted and found.get("roleRef") != wanted["roleRef"]:
        return found
    if "aggregationRule" in wanted:
        selectors = (found.get("aggregationRule") or {}).get("clusterRoleSelectors") or []
        missing = wanted["aggregationRule"]["clusterRoleSelectors"]
        merged["aggregationRule"] = {"clusterRoleSelectors": _with_missing(selectors, missing)}
        return merged
    for part in ("rules", "subjects"):
        if part in wanted:
            merged[part] = _with_missing(found.get(part) or [], wanted[part])
            if not merged[part] and part not in found:
                del merged[part]
    return merged


def _with_missing(found: list[Any], wanted: list[Any]) -> list[Any]:
    return [*found, *(item for item in wanted if item not in found)]
