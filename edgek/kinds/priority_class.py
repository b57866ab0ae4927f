"""PriorityClass: a name for how important pods are.

The two system classes are fixed; server/bootstrap.py makes them at start.
"""

from edgek.api.meta import Obj, name
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_enum
from edgek.kinds.columns import cell, number
from edgek.kinds.kind import AGE, NAME, Column, Kind
from edgek.kinds.strategy import set_default

SYSTEM_PREFIX = "system-"
HIGHEST_OF_USERS = 1_000_000_000
PREEMPTION_POLICIES = ("Never", "PreemptLowerPriority")


def _system_class(of: str, value: int, description: str) -> Obj:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": of},
        "value": value,
        "description": description,
    }


SYSTEM_CLASSES = (
    _system_class(
        "system-node-critical",
        2 * HIGHEST_OF_USERS + 1000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    _system_class(
        "system-cluster-critical",
        2 * HIGHEST_OF_USERS,
        "Used for system critical pods that must run in the cluster, but can be moved to another "
        "node if necessary.",
    ),
)


def system_class_problem(given: Obj) -> str:
    """Why it is none of the system's classes (As IsKnownSystemPriorityClass); "" where it is."""
    of = name(given)
    known = next((c for c in SYSTEM_CLASSES if name(c) == of), None)
    if known is None:
        return f"{of} is not a known system priority class"
    if given.get("value") != known["value"]:
        return f"value of {of} PriorityClass must be {known['value']}"
    if given.get("globalDefault"):
        return f"globalDefault of {of} PriorityClass must be false"
    return ""


def _validate(obj: Obj, errors: FieldErrors) -> None:
    of, value = obj["metadata"].get("name") or "", obj.get("value") or 0
    if of.startswith(SYSTEM_PREFIX):
        if problem := system_class_problem(obj):
            text = (
                f"priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use "
                f"only. error: {problem}"
            )
            errors.forbidden(FieldPath("metadata.name"), text)
    elif value > HIGHEST_OF_USERS:
        text = f"maximum allowed value of a user defined priority is {HIGHEST_OF_USERS}"
        errors.forbidden(FieldPath("value"), text)
    check_enum(
        obj.get("preemptionPolicy"), PREEMPTION_POLICIES, FieldPath("preemptionPolicy"), errors
    )


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    if (new.get("value") or 0) != (old.get("value") or 0):
        errors.forbidden(FieldPath("value"), "may not be changed in an update.")
    policy = new.get("preemptionPolicy")
    if policy != old.get("preemptionPolicy"):
        errors.invalid(FieldPath("preemptionPolicy"), policy, "field is immutable")


PRIORITY_CLASS = Kind(
    group="scheduling.k8s.io",
    version="v1",
    kind="PriorityClass",
    plural="priorityclasses",
    short_names=("pc",),
    namespaced=False,
    generation=True,
    columns=(
        NAME,
        Column(
            name="Value",
            read=number("value"),
            type="integer",
            description="The priority of pods of this class.",
        ),
        Column(
            name="Global-Default",
            read=lambda obj: bool(obj.get("globalDefault")),
            type="boolean",
            description="Whether pods that name no class are of this one.",
        ),
        AGE,
        Column(
            name="PreemptionPolicy",
            read=cell("preemptionPolicy", default=""),
            description="Whether its pods may drive out pods of lower priority.",
        ),
    ),
    default=lambda obj: set_default(obj, "preemptionPolicy", "PreemptLowerPriority"),
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "important"},
        "value": 1000,
        "description": "Pods that go before others.",
    },
)
