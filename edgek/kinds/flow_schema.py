"""FlowSchema: which requests are of which priority level (upstream: ValidateFlowSchema)."""

from collections.abc import Callable

from edgek.api.meta import Obj, get_path
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1123_label,
    is_dns1123_subdomain,
)
from edgek.kinds.checks import check_enum, check_required, check_rule
from edgek.kinds.columns import NONE, cell
from edgek.kinds.flow_control import EXEMPT, GROUP, MANDATORY_FLOWS, check_conditions
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind
from edgek.kinds.strategy import ensure, keep_status, only_status

SPEC = FieldPath("spec")
DEFAULT_PRECEDENCE = 1000
MAX_PRECEDENCE = 10000
METHODS = ("ByNamespace", "ByUser")
SUBJECTS = {"User": "user", "Group": "group", "ServiceAccount": "serviceAccount"}
VERBS = (
    "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch",
)  # fmt: skip
_NAMESPACE = "each member of this list must be '*' or a DNS-1123 label; "


def _default(obj: Obj) -> None:
    spec = ensure(obj, "spec")
    spec["matchingPrecedence"] = spec.get("matchingPrecedence") or DEFAULT_PRECEDENCE


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name") or ""
    _validate_precedence(spec.get("matchingPrecedence") or 0, name, errors)
    if (method := spec.get("distinguisherMethod")) is not None:
        path = SPEC.child("distinguisherMethod", "type")
        check_enum(method.get("type") or " ", METHODS, path, errors)
    level = get_path(spec, "priorityLevelConfiguration", "name")
    path = SPEC.child("priorityLevelConfiguration", "name")
    if not level:
        errors.required(path, "must reference a priority level")
    check_rule(level, is_dns1123_subdomain, path, errors)
    for index, rule in enumerate(spec.get("rules") or ()):
        _validate_rule(rule, SPEC.child("rules").index(index), errors)
    if name in MANDATORY_FLOWS and spec != MANDATORY_FLOWS[name]:
        errors.invalid(SPEC, spec, f"spec of '{name}' must equal the fixed value")
    check_conditions(obj.get("status") or {}, errors)


def _validate_precedence(precedence: int, name: str, errors: FieldErrors) -> None:
    path = SPEC.child("matchingPrecedence")
    if precedence <= 0:
        errors.invalid(path, precedence, "must be a positive value")
    if precedence > MAX_PRECEDENCE:
        errors.invalid(path, precedence, f"must not be greater than {MAX_PRECEDENCE}")
    if precedence == 1 and name != EXEMPT:
        text = "only the schema named 'exempt' may have matchingPrecedence 1"
        errors.invalid(path, precedence, text)


def _validate_rule(rule: Obj, path: FieldPath, errors: FieldErrors) -> None:
    subjects = rule.get("subjects") or []
    resources, urls = rule.get("resourceRules") or [], rule.get("nonResourceRules") or []
    if not subjects:
        errors.required(path.child("subjects"), "subjects must contain at least one value")
    for index, subject in enumerate(subjects):
        _validate_subject(subject, path.child("subjects").index(index), errors)
    if not resources and not urls:
        text = "at least one of resourceRules and nonResourceRules has to be non-empty"
        errors.required(path, text)
    for index, part in enumerate(resources):
        _validate_resources(part, path.child("resourceRules").index(index), errors)
    for index, part in enumerate(urls):
        _validate_urls(part, path.child("nonResourceRules").index(index), errors)


def _validate_subject(subject: Obj, path: FieldPath, errors: FieldErrors) -> None:
    kind = subject.get("kind") or ""
    if kind not in SUBJECTS:
        errors.not_supported(path.child("kind"), kind, SUBJECTS)
        return
    for other, field in SUBJECTS.items():
        given = subject.get(field)
        if other != kind and given is not None:
            text = f"{field} is forbidden when subject kind is not '{other}'"
            errors.forbidden(path.child(field), text)
        elif other == kind and given is None:
            text = f"{field} is required when subject kind is '{kind}'"
            errors.required(path.child(field), text)
        elif given is not None:
            _validate_name(given, kind, path.child(field), errors)


def _validate_name(subject: Obj, kind: str, path: FieldPath, errors: FieldErrors) -> None:
    check_required(subject, ("name",), path, errors)
    if kind != "ServiceAccount":
        return
    if subject.get("name") != "*":
        check_rule(subject.get("name"), is_dns1123_subdomain, path.child("name"), errors)
    if not subject.get("namespace"):
        errors.required(path.child("namespace"), "must specify namespace for service account")
    check_rule(subject.get("namespace"), is_dns1123_label, path.child("namespace"), errors)


def _validate_resources(rule: Obj, path: FieldPath, errors: FieldErrors) -> None:
    _validate_verbs(rule, path, errors)
    for field, word in (("apiGroups", "api group"), ("resources", "resource")):
        found = rule.get(field) or []
        if not found:
            text = f"resource rules must supply at least one {word}"
            errors.required(path.child(field), text)
        _is_all(found, f"{word}s", path.child(field), errors)
    namespaces, where = rule.get("namespaces") or [], path.child("namespaces")
    if not namespaces and not rule.get("clusterScope"):
        text = "resource rules that are not cluster scoped must supply at least one namespace"
        errors.required(where, text)
    elif not _is_all(namespaces, "namespaces", where, errors):
        for index, name in enumerate(namespaces):
            for problem in is_dns1123_label(name):
                errors.invalid(where.index(index), name, _NAMESPACE + problem)


def _validate_verbs(rule: Obj, path: FieldPath, errors: FieldErrors) -> None:
    verbs, where = rule.get("verbs") or [], path.child("verbs")
    if not verbs:
        errors.required(where, "verbs must contain at least one value")
    elif not _is_all(verbs, "verbs", where, errors) and not set(verbs) <= set(VERBS):
        errors.not_supported(where, verbs, VERBS)


def _is_all(values: list[str], word: str, path: FieldPath, errors: FieldErrors) -> bool:
    """Whether the list is for all of them, in which case it says nothing else."""
    if "*" in values and len(values) > 1:
        errors.invalid(path, values, f"if '*' is present, must not specify other {word}")
    return "*" in values


def _validate_urls(rule: Obj, path: FieldPath, errors: FieldErrors) -> None:
    _validate_verbs(rule, path, errors)
    urls, where = rule.get("nonResourceURLs") or [], path.child("nonResourceURLs")
    if not urls:
        errors.required(where, "nonResourceURLs must contain at least one value")
    elif not _is_all(urls, "non-resource URLs", where, errors):
        for index, url in enumerate(urls):
            if problem := next((text for wrong, text in _URL_RULES if wrong(url)), ""):
                errors.invalid(where.index(index), url, problem)


def _is_bad_glob(url: str) -> bool:
    return url.count("*") > 1 or ("*" in url and not url.endswith("/*"))


_URL_RULES: tuple[tuple[Callable[[str], bool], str], ...] = (
    (lambda url: not url, "must not be empty"),
    (lambda url: not url.startswith("/"), "must start with slash"),
    (lambda url: " " in url, "must not contain white-space"),
    (lambda url: "//" in url, "must not contain double slash"),
    (_is_bad_glob, "wildcard can only do suffix matching"),
)


def _dangling(obj: Obj) -> str:
    for condition in get_path(obj, "status", "conditions", default=()):
        if condition.get("type") == "Dangling":
            return condition.get("status") or ""
    return "?"


FLOW_SCHEMA = Kind(
    group=GROUP,
    version="v1",
    kind="FlowSchema",
    plural="flowschemas",
    namespaced=False,
    columns=(
        NAME,
        Column(
            name="PriorityLevel",
            read=cell("spec", "priorityLevelConfiguration", "name"),
            description="The level its requests are of.",
        ),
        Column(
            name="MatchingPrecedence",
            read=cell("spec", "matchingPrecedence"),
            description="Which schema is asked first: the lowest number.",
        ),
        Column(
            name="DistinguisherMethod",
            read=cell("spec", "distinguisherMethod", "type", default=NONE),
            description="What tells its flows apart.",
        ),
        AGE,
        Column(
            name="MissingPL", read=_dangling, description="Whether its priority level is missing."
        ),
    ),
    subresources=(STATUS,),
    generation=True,
    default=_default,
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    example={
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": "robots"},
        "spec": {
            "priorityLevelConfiguration": {"name": "workload-low"},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [
                {
                    "subjects": [{"kind": "Group", "group": {"name": "robots"}}],
                    "resourceRules": [
                        {
                            "verbs": ["*"],
                            "apiGroups": ["*"],
                            "resources": ["pods"],
                            "namespaces": ["*"],
                        }
                    ],
                }
            ],
        },
    },
)
