"""Validation of what says where a pod may run: tolerations, affinity, spreading."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_label_value, is_qualified_name
from edgek.kinds.checks import (
    SELECTOR_OPERATORS,
    check_enum,
    check_label_selector,
    check_operator,
    check_rule,
)

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
EFFECTS = ("NoExecute", "NoSchedule", "PreferNoSchedule")
NODE_OPERATORS = (*SELECTOR_OPERATORS, "Gt", "Lt")


def validate_placement(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    validate_tolerations(spec.get("tolerations") or [], path.child("tolerations"), errors)
    affinity, where = spec.get("affinity") or {}, path.child("affinity")
    _validate_node_affinity(affinity.get("nodeAffinity") or {}, where.child("nodeAffinity"), errors)
    for field in ("podAffinity", "podAntiAffinity"):
        _validate_pod_affinity(affinity.get(field) or {}, where.child(field), errors)
    _validate_spread(spec, path.child("topologySpreadConstraints"), errors)


def validate_tolerations(tolerations: list[Obj], path: FieldPath, errors: FieldErrors) -> None:
    for index, toleration in enumerate(tolerations):
        where = path.index(index)
        key, operator = toleration.get("key") or "", toleration.get("operator") or "Equal"
        check_rule(key, is_qualified_name, where.child("key"), errors)
        if not key and operator != "Exists":
            text = (
                "operator must be Exists when `key` is empty, which means "
                '"match all values and all keys"'
            )
            errors.invalid(where.child("operator"), operator, text)
        _validate_toleration_value(toleration, operator, where, errors)
        effect = toleration.get("effect")
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            errors.invalid(where.child("effect"), effect or "", text)
        check_enum(effect, EFFECTS, where.child("effect"), errors, required=False)


def _validate_toleration_value(
    toleration: Obj, operator: str, path: FieldPath, errors: FieldErrors
) -> None:
    value = toleration.get("value")
    check_enum(operator, ("Equal", "Exists"), path.child("operator"), errors)
    if operator == "Equal":
        check_rule(value, is_label_value, path.child("operator"), errors)
    elif operator == "Exists" and value:
        text = "value must be empty when `operator` is 'Exists'"
        errors.invalid(path.child("operator"), value, text)


def _validate_node_affinity(affinity: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if (required := affinity.get(REQUIRED)) is not None:
        validate_node_selector(required, path.child(REQUIRED), errors)
    for index, preferred in enumerate(affinity.get(PREFERRED) or ()):
        where = path.child(PREFERRED).index(index)
        _validate_weight(preferred, where, errors)
        _validate_node_term(preferred.get("preference") or {}, where.child("preference"), errors)


def validate_node_selector(selector: Obj, path: FieldPath, errors: FieldErrors) -> None:
    where, terms = path.child("nodeSelectorTerms"), selector.get("nodeSelectorTerms") or []
    if not terms:
        errors.required(where, "must have at least one node selector term")
    for index, term in enumerate(terms):
        _validate_node_term(term, where.index(index), errors)


def _validate_weight(term: Obj, path: FieldPath, errors: FieldErrors) -> None:
    weight = term.get("weight") or 0
    if not 1 <= weight <= 100:
        errors.invalid(path.child("weight"), weight, "must be in the range 1-100")


def _validate_node_term(term: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        where = path.child("matchExpressions").index(index)
        _validate_node_expression(expression, where, errors)
        for problem in is_qualified_name(expression.get("key") or ""):
            errors.invalid(where.child("key"), expression.get("key") or "", problem)
    for index, expression in enumerate(term.get("matchFields") or ()):
        _validate_node_field(expression, path.child("matchFields").index(index), errors)


def _validate_node_expression(expression: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_operator(expression, NODE_OPERATORS, path, errors)
    if expression.get("operator") in ("Gt", "Lt") and len(expression.get("values") or ()) != 1:
        text = "must be specified single value when `operator` is 'Lt' or 'Gt'"
        errors.required(path.child("values"), text)


def _validate_node_field(expression: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if expression.get("operator") not in ("In", "NotIn"):
        text = "not a valid selector operator"
        errors.invalid(path.child("operator"), expression.get("operator") or "", text)
    elif len(expression.get("values") or ()) != 1:
        text = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        errors.required(path.child("values"), text)
    if expression.get("key") != "metadata.name":
        text = "not a valid field selector key"
        errors.invalid(path.child("key"), expression.get("key") or "", text)


def _validate_pod_affinity(affinity: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for index, term in enumerate(affinity.get(REQUIRED) or ()):
        _validate_pod_term(term, path.child(REQUIRED).index(index), errors)
    for index, preferred in enumerate(affinity.get(PREFERRED) or ()):
        where = path.child(PREFERRED).index(index)
        _validate_weight(preferred, where, errors)
        term = preferred.get("podAffinityTerm") or {}
        _validate_pod_term(term, where.child("podAffinityTerm"), errors)


def _validate_pod_term(term: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_label_selector(term.get("labelSelector"), path.child("labelSelector"), errors)
    check_label_selector(term.get("namespaceSelector"), path.child("namespaceSelector"), errors)
    _validate_topology_key(term, path, errors)


def _validate_topology_key(term: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if not term.get("topologyKey"):
        errors.required(path.child("topologyKey"), "can not be empty")
    check_rule(term.get("topologyKey"), is_qualified_name, path.child("topologyKey"), errors)


def _validate_spread(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    seen: set[tuple[object, object]] = set()
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        where, skew = path.index(index), constraint.get("maxSkew") or 0
        if skew <= 0:
            errors.invalid(where.child("maxSkew"), skew, "must be greater than zero")
        _validate_topology_key(constraint, where, errors)
        allowed = ("DoNotSchedule", "ScheduleAnyway")
        action = constraint.get("whenUnsatisfiable")
        check_enum(action, allowed, where.child("whenUnsatisfiable"), errors)
        pair = (constraint.get("topologyKey"), action)
        if pair in seen:
            text = "{" + f"{pair[0]}, {pair[1]}" + "}"
            errors.duplicate(where.child("{topologyKey, whenUnsatisfiable}"), text)
        seen.add(pair)
        check_label_selector(constraint.get("labelSelector"), where.child("labelSelector"), errors)
        _validate_min_domains(constraint, where, errors)


def _validate_min_domains(constraint: Obj, path: FieldPath, errors: FieldErrors) -> None:
    domains = constraint.get("minDomains")
    if domains is not None and domains <= 0:
        errors.invalid(path.child("minDomains"), domains, "must be greater than 0")
    for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        value = constraint.get(field)
        check_enum(value, ("Honor", "Ignore"), path.child(field), errors, required=False)
