"""What policies share: which resources they match, and the parameters they take.

As pkg/apis/admissionregistration validateMatchResources, validateParamKind and validateParamRef.
The expressions in policies are checked by server/admission/policies/, where CEL is known.
"""

from edgek.api.meta import Obj
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1035_label,
    is_dns1123_subdomain,
    is_path_segment,
    is_qualified_name,
)
from edgek.kinds.admission_rules import check_rule_with_operations, default_rule
from edgek.kinds.cel_names import RESERVED, is_cel_name
from edgek.kinds.checks import check_enum, check_label_selector, repeated
from edgek.kinds.columns import cell, count_column, format_label_selector
from edgek.kinds.kind import AGE, NAME, Column

SPEC = FieldPath("spec")
MATCH_POLICIES = ("Equivalent", "Exact")
FAILURE_POLICIES = ("Fail", "Ignore")
NOT_FOUND_ACTIONS = ("Deny", "Allow")
MAX_CONDITIONS = 64
_RULES = ("resourceRules", "excludeResourceRules")


def default_match_resources(constraints: Obj | None) -> None:
    if constraints is None:
        return
    constraints["matchPolicy"] = constraints.get("matchPolicy") or "Equivalent"
    for selector in ("namespaceSelector", "objectSelector"):
        if constraints.get(selector) is None:
            constraints[selector] = {}
    for field in _RULES:
        for rule in constraints.get(field) or ():
            default_rule(rule)


def check_match_resources(constraints: Obj | None, path: FieldPath, errors: FieldErrors) -> None:
    if constraints is None:
        return
    check_enum(constraints.get("matchPolicy"), MATCH_POLICIES, path.child("matchPolicy"), errors)
    for field in ("namespaceSelector", "objectSelector"):
        if constraints.get(field) is None:
            errors.required(path.child(field))
        check_label_selector(constraints.get(field), path.child(field), errors)
    for field in _RULES:
        for index, rule in enumerate(constraints.get(field) or ()):
            _check_named_rule(rule, path.child(field).index(index), errors)


def _check_named_rule(rule: Obj, path: FieldPath, errors: FieldErrors) -> None:
    names = rule.get("resourceNames") or []
    again = repeated(names)
    for index, name in enumerate(names):
        where = path.child("resourceNames").index(index)
        for problem in is_path_segment(name):
            errors.invalid(where, name, problem)
        if index in again:
            errors.duplicate(where, name)
    check_rule_with_operations(rule, path, errors)


def check_param_kind(kind: Obj | None, path: FieldPath, errors: FieldErrors) -> None:
    if kind is None:
        return
    _check_api_version(kind.get("apiVersion") or "", path.child("apiVersion"), errors)
    name = kind.get("kind") or ""
    if not name:
        errors.required(path.child("kind"))
    elif problems := is_dns1035_label(name.lower()):
        why = "may have mixed case, but should otherwise match: " + ",".join(problems)
        errors.invalid(path.child("kind"), name, why)


def _check_api_version(text: str, path: FieldPath, errors: FieldErrors) -> None:
    if not text:
        errors.required(path)
        return
    if text.count("/") > 1:
        errors.invalid(path, text, f"unexpected GroupVersion string: {text}")
        return
    group, _, version = text.rpartition("/")
    if group and (problems := is_dns1123_subdomain(group)):
        errors.invalid(path, group, ",".join(problems))
    if not version:
        errors.invalid(path, text, "version must be specified")
    elif problems := is_dns1035_label(version):
        errors.invalid(path, version, ",".join(problems))


def check_param_ref(ref: Obj | None, path: FieldPath, errors: FieldErrors) -> None:
    if ref is None:
        return
    name, selector = ref.get("name") or "", ref.get("selector")
    if name:
        for problem in is_path_segment(name):
            errors.invalid(path.child("name"), name, problem)
    if name and selector is not None:
        for field in ("name", "selector"):
            errors.forbidden(path.child(field), "name and selector are mutually exclusive")
    check_label_selector(selector, path.child("selector"), errors)
    if not name and selector is None:
        errors.required(path, "one of name or selector must be specified")
    where = path.child("parameterNotFoundAction")
    check_enum(ref.get("parameterNotFoundAction"), NOT_FOUND_ACTIONS, where, errors)


def check_conditions(conditions: list[Obj] | None, path: FieldPath, errors: FieldErrors) -> None:
    """Match conditions, but for what their expressions say."""
    given = conditions or []
    if len(given) > MAX_CONDITIONS:
        errors.too_many(path, len(given), MAX_CONDITIONS)
    seen: set[str] = set()
    for index, condition in enumerate(given):
        where, name = path.index(index), condition.get("name") or ""
        if not (condition.get("expression") or "").strip():
            errors.required(where.child("expression"))
        if not name:
            errors.required(where.child("name"))
            continue
        for problem in is_qualified_name(name):
            errors.invalid(where.child("name"), name, problem)
        if name in seen:
            errors.duplicate(where.child("name"), name)
        seen.add(name)


def check_variables(variables: list[Obj] | None, path: FieldPath, errors: FieldErrors) -> None:
    for index, variable in enumerate(variables or ()):
        where, name = path.index(index), variable.get("name") or ""
        if not name.strip():
            errors.required(where.child("name"), "name is not specified")
        elif not is_cel_name(name) or name in RESERVED:
            errors.invalid(where.child("name"), name, "name is not a valid CEL identifier")
        if not (variable.get("expression") or "").strip():
            errors.required(where.child("expression"), "expression is not specified")


def default_policy(policy: Obj) -> None:
    spec = policy.setdefault("spec", {})
    spec["failurePolicy"] = spec.get("failurePolicy") or "Fail"
    default_match_resources(spec.get("matchConstraints"))


def default_binding(binding: Obj) -> None:
    default_match_resources(binding.setdefault("spec", {}).get("matchResources"))


def check_policy(spec: Obj, errors: FieldErrors) -> None:
    """What validating and mutating policies have in common."""
    check_enum(spec.get("failurePolicy"), FAILURE_POLICIES, SPEC.child("failurePolicy"), errors)
    check_param_kind(spec.get("paramKind"), SPEC.child("paramKind"), errors)
    constraints, where = spec.get("matchConstraints"), SPEC.child("matchConstraints")
    if constraints is None:
        errors.required(where)
    else:
        check_match_resources(constraints, where, errors)
        if not constraints.get("resourceRules"):
            errors.required(where.child("resourceRules"))
    check_conditions(spec.get("matchConditions"), SPEC.child("matchConditions"), errors)
    check_variables(spec.get("variables"), SPEC.child("variables"), errors)


def check_binding(spec: Obj, errors: FieldErrors) -> None:
    name, where = spec.get("policyName") or "", SPEC.child("policyName")
    if not name:
        errors.required(where)
    else:
        for problem in is_dns1123_subdomain(name):
            errors.invalid(where, name, problem)
    check_param_ref(spec.get("paramRef"), SPEC.child("paramRef"), errors)
    # NB: the typing error in the path is upstream's.
    check_match_resources(spec.get("matchResources"), SPEC.child("matchResouces"), errors)


def _param_kind(policy: Obj) -> str:
    kind = policy["spec"].get("paramKind")
    return f"{kind.get('apiVersion')}/{kind.get('kind')}" if kind else "<unset>"


def _param_ref(binding: Obj) -> str:
    ref = binding["spec"].get("paramRef") or {}
    if ref.get("name"):
        return f"{ref.get('namespace') or '*'}/{ref['name']}"
    selector = ref.get("selector")
    return "<unset>" if selector is None else format_label_selector(selector)


def policy_columns(name: str, field: str, *, description: str) -> tuple[Column, ...]:
    """``field`` of the spec is the list that the policy is about."""
    return (
        NAME,
        count_column(name, "spec", field, description=description),
        Column(name="ParamKind", read=_param_kind, description="The kind of the parameters."),
        AGE,
    )


BINDING_COLUMNS = (
    NAME,
    Column(
        name="PolicyName",
        read=cell("spec", "policyName", default=""),
        description="The policy that is bound.",
    ),
    Column(name="ParamRef", read=_param_ref, description="The parameters it is given."),
    AGE,
)
