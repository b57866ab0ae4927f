"""How a container restarts by itself (upstream: validateContainerRestartPolicy)."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_enum

POLICIES = ("Always", "Never", "OnFailure")
ACTIONS = ("Restart", "RestartAllContainers")
OPERATORS = ("In", "NotIn")
MAX_RULES = 20
MAX_EXIT_CODES = 255


def validate_restarts(container: Obj, path: FieldPath, errors: FieldErrors) -> None:
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    if rules and policy is None:
        text = "must specify restartPolicy when restart rules are used"
        errors.required(path.child("restartPolicy"), text)
    check_enum(policy, POLICIES, path.child("restartPolicy"), errors, required=False)
    where = path.child("restartPolicyRules")
    if len(rules) > MAX_RULES:
        errors.too_many(where, len(rules), MAX_RULES)
    for index, rule in enumerate(rules):
        _validate_rule(rule, where.index(index), errors)


def _validate_rule(rule: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if rule.get("action") not in ACTIONS:
        errors.not_supported(path.child("action"), rule.get("action") or "", ACTIONS)
    codes, where = rule.get("exitCodes"), path.child("exitCodes")
    if codes is None:
        errors.required(where, "must be specified")
        return
    if codes.get("operator") not in OPERATORS:
        errors.not_supported(where.child("operator"), codes.get("operator") or "", OPERATORS)
    values = codes.get("values") or []
    if len(values) > MAX_EXIT_CODES:
        errors.too_many(where.child("values"), len(values), MAX_EXIT_CODES)
