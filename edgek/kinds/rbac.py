"""What the four RBAC kinds share: rules, subjects, roleRef (upstream: pkg/apis/rbac)."""

from typing import Any

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_subdomain, is_path_segment
from edgek.kinds.checks import check_enum, check_label_selector, check_rule
from edgek.kinds.columns import cell
from edgek.kinds.kind import AGE, NAME, Column

GROUP = "rbac.authorization.k8s.io"
ROLE_KINDS = ("Role", "ClusterRole")
SUBJECT_KINDS = ("ServiceAccount", "User", "Group")
CREATED_AT = Column(
    name="Created At",
    read=cell("metadata", "creationTimestamp"),
    description="When the object was created.",
)


def validate_role(obj: Obj, errors: FieldErrors) -> None:
    _validate_rules(obj, errors, namespaced=True)


def validate_cluster_role(obj: Obj, errors: FieldErrors) -> None:
    _validate_rules(obj, errors, namespaced=False)
    aggregation = obj.get("aggregationRule")
    if aggregation is None:
        return
    path = FieldPath("aggregationRule").child("clusterRoleSelectors")
    selectors = aggregation.get("clusterRoleSelectors") or []
    if not selectors:
        errors.required(
            path, "at least one clusterRoleSelector required if aggregationRule is non-nil"
        )
    for index, selector in enumerate(selectors):
        check_label_selector(selector, path.index(index), errors)


def _validate_rules(obj: Obj, errors: FieldErrors, *, namespaced: bool) -> None:
    for index, rule in enumerate(obj.get("rules") or ()):
        _validate_rule(rule, FieldPath("rules").index(index), errors, namespaced=namespaced)


def _validate_rule(rule: Obj, path: FieldPath, errors: FieldErrors, *, namespaced: bool) -> None:
    if not rule.get("verbs"):
        errors.required(path.child("verbs"), "verbs must contain at least one value")
    if urls := rule.get("nonResourceURLs"):
        url_path = path.child("nonResourceURLs")
        if namespaced:
            errors.invalid(url_path, urls, "namespaced rules cannot apply to non-resource URLs")
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            text = "rules cannot apply to both regular resources and non-resource URLs"
            errors.invalid(url_path, urls, text)
        return
    if not rule.get("apiGroups"):
        text = "resource rules must supply at least one api group"
        errors.required(path.child("apiGroups"), text)
    if not rule.get("resources"):
        text = "resource rules must supply at least one resource"
        errors.required(path.child("resources"), text)


def default_binding(obj: Obj) -> None:
    """Empty groups mean RBAC's own, except for service accounts, which are core."""
    if (ref := obj.get("roleRef")) is not None and not ref.get("apiGroup"):
        ref["apiGroup"] = GROUP
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup"):
            subject["apiGroup"] = GROUP


def validate_role_binding(obj: Obj, errors: FieldErrors) -> None:
    _validate_role_ref(obj.get("roleRef") or {}, ROLE_KINDS, errors)
    _validate_subjects(obj, errors, namespaced=True)


def validate_cluster_role_binding(obj: Obj, errors: FieldErrors) -> None:
    _validate_role_ref(obj.get("roleRef") or {}, ("ClusterRole",), errors)
    _validate_subjects(obj, errors, namespaced=False)


def _validate_role_ref(ref: Obj, kinds: tuple[str, ...], errors: FieldErrors) -> None:
    path = FieldPath("roleRef")
    if ref.get("apiGroup") != GROUP:
        errors.not_supported(path.child("apiGroup"), ref.get("apiGroup") or "", (GROUP,))
    if ref.get("kind") not in kinds:
        errors.not_supported(path.child("kind"), ref.get("kind") or "", kinds)
    if not ref.get("name"):
        errors.required(path.child("name"))
    check_rule(ref.get("name"), is_path_segment, path.child("name"), errors)


def _validate_subjects(obj: Obj, errors: FieldErrors, *, namespaced: bool) -> None:
    for index, subject in enumerate(obj.get("subjects") or ()):
        path = FieldPath("subjects").index(index)
        if not subject.get("name"):
            errors.required(path.child("name"))
        check_enum(subject.get("kind") or " ", SUBJECT_KINDS, path.child("kind"), errors)
        _validate_subject_group(subject, path, errors, namespaced=namespaced)


def _validate_subject_group(
    subject: Obj, path: FieldPath, errors: FieldErrors, *, namespaced: bool
) -> None:
    group = subject.get("apiGroup") or ""
    if subject.get("kind") == "ServiceAccount":
        check_rule(subject.get("name"), is_dns1123_subdomain, path.child("name"), errors)
        if group:
            errors.not_supported(path.child("apiGroup"), group, ("",))
        if not namespaced and not subject.get("namespace"):
            errors.required(path.child("namespace"))
    elif subject.get("kind") in ("User", "Group") and group != GROUP:
        errors.not_supported(path.child("apiGroup"), group, (GROUP,))


def validate_binding_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    if new.get("roleRef") != old.get("roleRef"):
        errors.invalid(FieldPath("roleRef"), new.get("roleRef"), "cannot change roleRef")


def _subjects(*kinds: str) -> Any:
    def read(obj: Obj) -> str:
        return ", ".join(
            f"{s.get('namespace', '')}/{s['name']}" if s["kind"] == "ServiceAccount" else s["name"]
            for s in obj.get("subjects") or ()
            if s.get("kind") in kinds
        )

    return read


def _role(obj: Obj) -> str:
    return f"{get_path(obj, 'roleRef', 'kind')}/{get_path(obj, 'roleRef', 'name')}"


ROLE_COLUMNS = (NAME, CREATED_AT)
BINDING_COLUMNS = (
    NAME,
    Column(name="Role", read=_role, description="The role that is granted."),
    AGE,
    Column(name="Users", read=_subjects("User"), priority=1, description="Users it is granted to."),
    Column(
        name="Groups", read=_subjects("Group"), priority=1, description="Groups it is granted to."
    ),
    Column(
        name="ServiceAccounts",
        read=_subjects("ServiceAccount"),
        priority=1,
        description="Service accounts it is granted to.",
    ),
)
