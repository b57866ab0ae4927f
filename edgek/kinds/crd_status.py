"""What the server says of a CustomResourceDefinition: are its names free, is it served.

As apiextensions-apiserver pkg/controller/{status,establish,apiapproval}. Pure: the definition and
the names that others hold in, its status out. It is decided with each write of a definition
(server/registry/definition_hook.py) and again when others go (server/controllers/definitions.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgek.api.conditions import Condition, is_true, with_condition
from edgek.api.meta import Obj, annotations
from edgek.kinds.custom import ESTABLISHED, storage_version

APPROVAL = "api-approved.kubernetes.io"
APPROVAL_HELP = (
    f'protected groups must have approval annotation "{APPROVAL}", see '
    "https://github.com/kubernetes/enhancements/pull/1111"
)
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
TERMINATING = "Terminating"


@dataclass(kw_only=True)
class Taken:
    """The names in use in a group: of resources (plural, singular, short) and of kinds."""

    resources: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)

    @classmethod
    def by(cls, others: Iterable[Mapping[str, Any]]) -> "Taken":
        """``others`` are acceptedNames."""
        taken = cls()
        for names in others:
            said = (names.get("plural"), names.get("singular"), *(names.get("shortNames") or ()))
            taken.resources.update(n for n in said if n)
            taken.kinds.update(n for n in (names.get("kind"), names.get("listKind")) if n)
        return taken


def plan_status(crd: Obj, taken: Taken, *, now: str) -> Obj:
    """The status that ``crd`` is to have; equal to what it has where nothing changes."""
    status = crd.get("status") or {}
    accepted, problems = plan_names(crd["spec"]["names"], status.get("acceptedNames") or {}, taken)
    conditions = status.get("conditions") or []
    for condition in (_names_condition(problems), _established(conditions, problems)):
        if condition is not None:
            conditions = with_condition(conditions, condition, now=now)
    approval = approval_condition(crd)
    if approval is not None:
        conditions = with_condition(conditions, approval, now=now)
    return {
        **status,
        "acceptedNames": accepted,
        "conditions": conditions,
        "storedVersions": _stored_versions(crd, status),
    }


def plan_names(
    wanted: Obj, accepted: Mapping[str, Any], taken: Taken
) -> tuple[Obj, list[tuple[str, str]]]:
    """The names to answer to, and (reason, sentence) of each that is in use: of those the ones
    accepted before stay."""
    out: Obj = {}
    problems: list[tuple[str, str]] = []
    for name, reason, used in (
        ("plural", "PluralConflict", taken.resources),
        ("singular", "SingularConflict", taken.resources),
        ("shortNames", "ShortNamesConflict", taken.resources),
        ("kind", "KindConflict", taken.kinds),
        ("listKind", "ListKindConflict", taken.kinds),
    ):
        clashes = _clashes(wanted.get(name), used)
        problems += [(reason, f'"{clash}" is already in use') for clash in clashes]
        value = accepted.get(name) if clashes else wanted.get(name)
        if value or (value == "" and name in ("plural", "kind")):
            out[name] = value
    if wanted.get("categories"):
        out["categories"] = wanted["categories"]
    return {"plural": "", "kind": "", **out}, problems


def _clashes(wanted: Any, used: set[str]) -> list[str]:
    names = wanted if isinstance(wanted, list) else [wanted]
    return [name for name in names if name in used]


def _names_condition(problems: list[tuple[str, str]]) -> Condition:
    if not problems:
        return _condition("NamesAccepted", "True", "NoConflicts", "no conflicts found")
    reason, sentence = problems[-1]  # upstream writes one over the other
    return _condition("NamesAccepted", "False", reason, sentence)


def _established(conditions: list[Condition], problems: list[tuple[str, str]]) -> Condition | None:
    """Once established, always: there may be objects."""
    if is_true(conditions, ESTABLISHED):
        return None
    if problems:
        return _condition(ESTABLISHED, "False", "NotAccepted", "not all names are accepted")
    text = "the initial names have been accepted"
    return _condition(ESTABLISHED, "True", "InitialNamesAccepted", text)


def is_protected(group: str) -> bool:
    """A group of the Kubernetes community, which wants to have seen what is put into it."""
    return group.endswith((".k8s.io", ".kubernetes.io")) or group in ("k8s.io", "kubernetes.io")


def approval_condition(crd: Obj) -> Condition | None:
    if not is_protected(crd["spec"].get("group") or ""):
        return None
    kind = "KubernetesAPIApprovalPolicyConformant"
    said = annotations(crd).get(APPROVAL) or ""
    if said.startswith("unapproved"):
        return _condition(kind, "False", "UnapprovedAnnotation", f'not approved: "{said}"')
    if is_approval(said):
        return _condition(kind, "True", "ApprovedAnnotation", f"approved in {said}")
    reason = "InvalidAnnotation" if said else "MissingAnnotation"
    return _condition(kind, "False", reason, APPROVAL_HELP)


def is_approval(said: str) -> bool:
    scheme, separator, rest = said.partition("://")
    return bool(scheme and separator and rest.partition("/")[0])


def _stored_versions(crd: Obj, status: Obj) -> list[str]:
    stored = list(status.get("storedVersions") or ())
    name = storage_version(crd).get("name")
    return stored if not name or name in stored else [*stored, name]


def begin_deletion(crd: Obj, now: str) -> None:
    """As pkg/registry/customresourcedefinition Delete: its objects go first."""
    meta, status = crd["metadata"], crd.get("status") or {}
    if CLEANUP not in (meta.get("finalizers") or ()):
        meta["finalizers"] = [*(meta.get("finalizers") or ()), CLEANUP]
    condition = _condition(
        TERMINATING,
        "True",
        "InstanceDeletionPending",
        "CustomResourceDefinition marked for deletion; CustomResource deletion will occur as "
        "soon as possible",
    )
    conditions = with_condition(status.get("conditions"), condition, now=now)
    crd["status"] = {**status, "conditions": conditions}


def terminating(*, reason: str, message: str, done: bool = False) -> Condition:
    return _condition(TERMINATING, "False" if done else "True", reason, message)


def _condition(kind: str, status: str, reason: str, message: str) -> Condition:
    return {"type": kind, "status": status, "reason": reason, "message": message}
