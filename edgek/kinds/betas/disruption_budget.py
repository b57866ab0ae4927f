"""PodDisruptionBudget before v1, where an empty selector selects no pod.

In v1 it selects all of them, so each version shows the other's meaning by an expression that all
pods, or none, fulfil. As pkg/apis/policy/v1beta1/conversion.go.
"""

from edgek.api.meta import Obj
from edgek.kinds.betas.beta_of import beta_of
from edgek.kinds.pod_disruption_budget import POD_DISRUPTION_BUDGET

_LABEL = "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match"
NO_POD: Obj = {"matchExpressions": [{"key": _LABEL, "operator": "Exists"}]}
EVERY_POD: Obj = {"matchExpressions": [{"key": _LABEL, "operator": "DoesNotExist"}]}


def _turned(obj: Obj, empty: Obj, meant: Obj) -> Obj:
    """``empty`` is what an empty selector becomes; ``meant`` becomes an empty one."""
    spec = obj.get("spec") or {}
    selector = spec.get("selector")
    if selector is None or selector not in ({}, meant):
        return dict(obj)
    return {**obj, "spec": {**spec, "selector": empty if selector == {} else {}}}


def to_v1(obj: Obj) -> Obj:
    return _turned(obj, NO_POD, EVERY_POD)


def to_beta(obj: Obj) -> Obj:
    return _turned(obj, EVERY_POD, NO_POD)


POLICY_DISRUPTION_BUDGET = beta_of(
    POD_DISRUPTION_BUDGET,
    version="v1beta1",
    since="1.21",
    until="1.25",
    serving=to_beta,
    storing=to_v1,
)
