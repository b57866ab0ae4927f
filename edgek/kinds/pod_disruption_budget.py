"""PodDisruptionBudget: how many of some pods may be missing at once.

Its status is the disruption controller's; server/endpoints/subresources/eviction.py takes from
``disruptionsAllowed`` what an eviction needs.
"""

from collections.abc import Callable

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_enum, check_label_selector, check_numbers
from edgek.kinds.columns import number
from edgek.kinds.conditions_validation import validate_conditions
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind
from edgek.kinds.rollout import check_at_most_all, check_int_or_percent
from edgek.kinds.strategy import keep_status, only_status

SPEC = FieldPath("spec")
STATUS_PATH = FieldPath("status")
AMOUNTS = ("minAvailable", "maxUnavailable")
COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
POLICIES = ("AlwaysAllow", "IfHealthyBudget")


def _validate(obj: Obj, errors: FieldErrors) -> None:
    """As ValidatePodDisruptionBudgetSpec and ValidatePodDisruptionBudgetStatusUpdate."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if all(spec.get(field) is not None for field in AMOUNTS):
        errors.invalid(SPEC, spec, "minAvailable and maxUnavailable cannot be both set")
    for field in AMOUNTS:
        if spec.get(field) is not None:
            check_int_or_percent(spec[field], SPEC.child(field), errors)
            check_at_most_all(spec[field], SPEC.child(field), errors)
    check_label_selector(spec.get("selector"), SPEC.child("selector"), errors)
    policy, path = spec.get("unhealthyPodEvictionPolicy"), SPEC.child("unhealthyPodEvictionPolicy")
    check_enum(policy, POLICIES, path, errors, required=False)
    validate_conditions(status.get("conditions"), STATUS_PATH.child("conditions"), errors)
    check_numbers(status, COUNTS, STATUS_PATH, errors)


def _amount(field: str) -> Callable[[Obj], str]:
    return lambda obj: str(get_path(obj, "spec", field, default="N/A"))


POD_DISRUPTION_BUDGET = Kind(
    group="policy",
    version="v1",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    short_names=("pdb",),
    columns=(
        NAME,
        Column(
            name="Min Available",
            read=_amount("minAvailable"),
            description="How many of the pods must stay available.",
        ),
        Column(
            name="Max Unavailable",
            read=_amount("maxUnavailable"),
            description="How many of the pods may be unavailable.",
        ),
        Column(
            name="Allowed Disruptions",
            read=number("status", "disruptionsAllowed"),
            type="integer",
            description="How many pods may be evicted now.",
        ),
        AGE,
    ),
    subresources=(STATUS,),
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    generation=True,
    example={
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    },
)
