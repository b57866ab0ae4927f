"""What flow control's two kinds share, and the objects of them that must be as they are.

As apiserver pkg/apis/flowcontrol/bootstrap. The other objects that a cluster starts with are in
server/flow_control.py. server/filters/in_flight.py limits requests by them.
"""

from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath

GROUP = "flowcontrol.apiserver.k8s.io"
AUTO_UPDATE = "apf.kubernetes.io/autoupdate-spec"
EXEMPT = "exempt"
CATCH_ALL = "catch-all"
CONDITIONS = FieldPath("status").child("conditions")


def group(name: str) -> Obj:
    """A subject of a FlowSchema."""
    return {"kind": "Group", "group": {"name": name}}


EVERYBODY = (group("system:unauthenticated"), group("system:authenticated"))
EVERY_RESOURCE = {
    "verbs": ["*"],
    "apiGroups": ["*"],
    "resources": ["*"],
    "clusterScope": True,
    "namespaces": ["*"],
}
EVERY_URL = {"verbs": ["*"], "nonResourceURLs": ["*"]}


def every_request_of(*subjects: Obj) -> Obj:
    return {
        "subjects": list(subjects),
        "resourceRules": [EVERY_RESOURCE],
        "nonResourceRules": [EVERY_URL],
    }


def flow_spec(level: str, precedence: int, rule: Obj, *, by: str = "") -> Obj:
    """``by`` is what tells the flows apart: "ByUser", "ByNamespace", or "" for one flow."""
    spec: Obj = {
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        "rules": [rule],
    }
    return spec | {"distinguisherMethod": {"type": by}} if by else spec


MANDATORY_FLOWS = {
    EXEMPT: flow_spec(EXEMPT, 1, every_request_of(group("system:masters"))),
    CATCH_ALL: flow_spec(CATCH_ALL, 10000, every_request_of(*EVERYBODY), by="ByUser"),
}
MANDATORY_LEVELS: dict[str, Obj] = {
    EXEMPT: {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}},
    CATCH_ALL: {
        "type": "Limited",
        "limited": {
            "nominalConcurrencyShares": 5,
            "limitResponse": {"type": "Reject"},
            "lendablePercent": 0,
        },
    },
}


def check_conditions(status: Obj, errors: FieldErrors) -> None:
    seen: set[Any] = set()
    for index, condition in enumerate(status.get("conditions") or ()):
        path, kind = CONDITIONS.index(index).child("type"), condition.get("type") or ""
        if kind in seen:
            errors.duplicate(path, kind)
        seen.add(kind)
        if not kind:
            errors.required(path, "must not be empty")
