"""A policy or webhook whose expressions do not compile is not stored.

Upstream does this in validation, and so it is asked here with all the rest that is wrong, by
server/registry/validate.py: what kinds are does not know CEL. What an update leaves as it was is
not compiled again, unless something around it changes what it means (parameters, variables).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from edgek.aio.slices import in_slices
from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from server.admission.match_conditions import compile_condition
from server.admission.policies.policy import (
    TEXT_OR_NULL,
    Compiler,
    Expression,
    mutation_of,
    validation_of,
)
from server.cel import Allowance, CelError

SPEC = FieldPath("spec")
Texts = Collection[str]
_AROUND = ("paramKind", "variables")


async def check_policy(obj: Obj, old: Obj | None, errors: FieldErrors) -> None:
    """Of either kind."""
    spec, before = obj.get("spec") or {}, (old or {}).get("spec") or {}
    if spec != before:
        await in_slices(_policy(spec, before, errors))


async def check_webhooks(obj: Obj, old: Obj | None, errors: FieldErrors) -> None:
    await in_slices(_webhooks(obj, old or {}, errors))


def _webhooks(obj: Obj, old: Obj, errors: FieldErrors) -> Iterator[None]:
    known = {text for hook in old.get("webhooks") or () for text in _conditions(hook)}
    allowance = Allowance()
    for index, hook in enumerate(obj.get("webhooks") or ()):
        path = FieldPath("webhooks").index(index).child("matchConditions")
        texts = _conditions(hook)
        yield from _check_conditions(texts, known, path, errors, allowance)


def _conditions(of: Obj) -> Sequence[str]:
    return [(c.get("expression") or "").strip() for c in of.get("matchConditions") or ()]


def _check_conditions(
    texts: Sequence[str],
    known: Texts,
    path: FieldPath,
    errors: FieldErrors,
    allowance: Allowance,
    *,
    params: bool = False,
) -> Iterator[None]:
    for index, text in enumerate(texts):
        if not text or text in known:  # that there is none is told already
            continue
        try:
            allowance.take(text)
            compile_condition(text, params=params)
        except CelError as error:
            errors.invalid(path.index(index).child("expression"), text, str(error))
        yield


def _policy(spec: Obj, old: Obj, errors: FieldErrors) -> Iterator[None]:
    params = spec.get("paramKind")
    known = _conditions(old) if params == old.get("paramKind") else ()
    path = SPEC.child("matchConditions")
    yield from _check_conditions(
        _conditions(spec), known, path, errors, Allowance(), params=bool(params)
    )
    compiler = Compiler(spec)
    same = all(spec.get(field) == old.get(field) for field in _AROUND)
    for index, variable in enumerate(spec.get("variables") or ()):
        found = compiler.variable(variable)
        if not same:  # compiled all the same: others need its type
            path = SPEC.child("variables").index(index).child("expression")
            _refuse_broken({path: found}, errors)
        yield
    for field, compile_one in _FIELDS.items():
        settled = (old.get(field) or ()) if same else ()
        for index, said in enumerate(spec.get(field) or ()):
            if said not in settled:
                found_at = compile_one(said, SPEC.child(field).index(index), compiler)
                _refuse_broken(dict(found_at), errors)
                yield


Found = Iterator[tuple[FieldPath, Expression]]


def _validation(said: Obj, path: FieldPath, compiler: Compiler) -> Found:
    made = validation_of(said, compiler)
    yield path.child("expression"), made.expression
    if made.message_expression is not None:
        yield path.child("messageExpression"), made.message_expression


def _annotation(said: Obj, path: FieldPath, compiler: Compiler) -> Found:
    text = (said.get("valueExpression") or "").strip()
    yield path.child("valueExpression"), compiler.compile(text, TEXT_OR_NULL)


def _mutation(said: Obj, path: FieldPath, compiler: Compiler) -> Found:
    made = mutation_of(said, compiler)
    field = "jsonPatch" if made.patch_type == "JSONPatch" else "applyConfiguration"
    yield path.child(field, "expression"), made.expression


_FIELDS: Mapping[str, Any] = {
    "validations": _validation,
    "auditAnnotations": _annotation,
    "mutations": _mutation,
}


def _refuse_broken(found: Mapping[FieldPath, Expression], errors: FieldErrors) -> None:
    for path, expression in found.items():
        if expression.text.strip() and expression.program is None:
            errors.invalid(path, expression.text, expression.error)
