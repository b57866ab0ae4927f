"""Are the rules in a definition's schema expressions at all? Asked as a definition is written.

As apiextensions-apiserver validation.go, where it compiles x-kubernetes-validations. NB: upstream
also refuses what it estimates to cost too much; here the budget at run time alone bounds it.
"""

from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import FieldError, FieldErrors, FieldPath
from edgek.kinds.crd_version_validation import schemas_of
from edgek.schema.structural import Rule, Structural, read_structural
from edgek.schema.to_schema import to_cel_schema
from server.cel import CompileError, Program, compile_expression
from server.registry.custom_rules import environment


def check_rules(crd: Obj, errors: FieldErrors) -> None:
    """The schemas are structural and otherwise right."""
    for props, path in schemas_of(crd["spec"]):
        _walk(read_structural(props), path, errors, lost=None, root=True)


def _walk(
    schema: Structural,
    path: FieldPath,
    errors: FieldErrors,
    *,
    lost: FieldPath | None,
    root: bool = False,
) -> None:
    """``lost``: the list or map below which old and new values cannot be told to belong
    together."""
    if schema.rules:
        here = to_cel_schema(schema, root=root)
        plain, optional = environment(here, ("bool",)), environment(here, ("bool",), optional=True)
        texts = environment(here, ("string",), optional=True)
        for index, rule in enumerate(schema.rules):
            at = path.child("x-kubernetes-validations").index(index)
            given = optional if rule.optional_old_self else plain
            program = _compiled(rule.rule, given, at.child("rule"), rule, errors)
            if program is not None:
                _check_old_self(rule, program, at, lost, errors)
            if rule.message_expression:
                at = at.child("messageExpression")
                _compiled(rule.message_expression, texts, at, rule, errors)
    below = lost or (path if schema.map_type == "atomic" else None)
    for name, inner in schema.properties.items():
        _walk(inner, path.child("properties").key(name), errors, lost=below)
    if schema.values is not None:
        _walk(schema.values, path.child("additionalProperties"), errors, lost=lost)
    if schema.items is not None:
        below = lost or (path if schema.list_type != "map" else None)
        _walk(schema.items, path.child("items"), errors, lost=below)


def _compiled(
    text: str, given: Any, at: FieldPath, rule: Rule, errors: FieldErrors
) -> Program | None:
    try:
        return compile_expression(text, given)
    except CompileError as err:
        said = f"Invalid value: {_go(rule)}: {_sentence(text, rule, str(err))}"
        errors.errors.append(FieldError("FieldValueInvalid", str(at), said))
        return None


def _sentence(text: str, rule: Rule, said: str) -> str:
    """What is wrong with one of a rule's two expressions, as upstream says it."""
    if text == rule.rule:
        wrong_type = said.startswith("must evaluate to")
        return "cel expression must evaluate to a bool" if wrong_type else said
    if said.startswith("must evaluate to"):
        return "messageExpression must evaluate to a string"
    return f"messageExpression {said}"


def _check_old_self(
    rule: Rule, program: Program, at: FieldPath, lost: FieldPath | None, errors: FieldErrors
) -> None:
    if "oldSelf" not in program.variables:
        if rule.optional_old_self:
            text = "may not be set if oldSelf is not used in rule"
            errors.invalid(at.child("optionalOldSelf"), True, text)
    elif lost is not None:
        text = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {lost}"
        errors.invalid(at.child("rule"), rule.rule, text)


def _go(rule: Rule) -> str:
    """As Go prints the rule, which upstream's sentence holds."""
    reason = f"(*apiextensions.FieldValueErrorReason)({rule.reason or 'nil'})"
    return (
        f"apiextensions.ValidationRule{{Rule:{_quoted(rule.rule)}, "
        f"Message:{_quoted(rule.message)}, "
        f"MessageExpression:{_quoted(rule.message_expression)}, Reason:{reason}, "
        f"FieldPath:{_quoted(rule.field_path)}, "
        f"OptionalOldSelf:(*bool)({'true' if rule.optional_old_self else 'nil'})}}"
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
