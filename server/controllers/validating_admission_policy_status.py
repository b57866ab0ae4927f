"""Validating admission policy status: says of each policy what its expressions get wrong about the
kinds they name.

A policy is taken as long as it compiles with objects of any shape; here it is compiled once more
for each kind its rules name in full, and what does not fit, such as a field that is not there,
becomes a warning in status.typeChecking. As pkg/controller/validatingadmissionpolicystatus and
apiserver pkg/admission/plugin/policy/validating/typechecking.go. Kinds of
CustomResourceDefinitions are not looked at.
"""

from collections.abc import Iterator, Sequence
from itertools import islice, product

from edgek.api.meta import Key, Obj
from edgek.control.controller import DONE, Context, ForKind, Result, Watch
from edgek.kinds import ALL, VALIDATING_ADMISSION_POLICY
from edgek.kinds.kind import Kind

MAX_KINDS = 10
_WILD = "*"


def build(context: Context) -> "PolicyStatus":
    return PolicyStatus(context)


class PolicyStatus:
    name = "validatingadmissionpolicy-status-controller"
    kind = VALIDATING_ADMISSION_POLICY
    watches: Sequence[Watch] = (ForKind(VALIDATING_ADMISSION_POLICY),)

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._policies = context.informers.get(VALIDATING_ADMISSION_POLICY)

    async def reconcile(self, key: Key) -> Result:
        policy = self._policies.get(key)
        if policy is None:
            return DONE
        generation = policy["metadata"].get("generation", 0)
        status = policy.get("status") or {}
        if status.get("observedGeneration") == generation and "typeChecking" in status:
            return DONE
        new = status | {"observedGeneration": generation, "typeChecking": plan_checking(policy)}
        await self._client.update_status(VALIDATING_ADMISSION_POLICY, {**policy, "status": new})
        return DONE


def plan_checking(policy: Obj) -> Obj:
    """status.typeChecking."""
    spec = policy.get("spec") or {}
    found: dict[str, list[str]] = {}
    for kind in islice(_kinds(spec), MAX_KINDS):
        for where, problem in _problems(spec, kind):
            found.setdefault(where, []).append(f"{kind.api_version}, Kind={kind.kind}: {problem}\n")
    warnings = [{"fieldRef": where, "warning": "\n".join(said)} for where, said in found.items()]
    return {"expressionWarnings": warnings} if warnings else {}


def _kinds(spec: Obj) -> Iterator[Kind]:
    """Those the rules name without a wildcard, each once."""
    seen = set()
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        fields = [rule.get(name) or [] for name in ("apiGroups", "apiVersions", "resources")]
        if any(_WILD in text for field in fields for text in field):
            continue
        for about in product(*fields):
            kind = _BY_RESOURCE.get(about)
            if kind is not None and about not in seen:
                seen.add(about)
                yield kind


_BY_RESOURCE = {(k.group, k.version, k.plural): k for k in ALL if not k.virtual}


def _problems(spec: Obj, kind: Kind) -> Iterator[tuple[str, str]]:
    # CEL is loaded with the first policy.
    from edgek.schema import schema_of
    from server.admission.policies.policy import Compiler, validation_of

    compiler = Compiler(spec, schema_of(kind))
    variables = compiler.variables(spec.get("variables")).values()
    found = [
        (f"spec.variables[{index}].expression", expression)
        for index, expression in enumerate(variables)
    ]
    for index, validation in enumerate(spec.get("validations") or ()):
        made, path = validation_of(validation, compiler), f"spec.validations[{index}]"
        found.append((f"{path}.expression", made.expression))
        if made.message_expression is not None:
            found.append((f"{path}.messageExpression", made.message_expression))
    for where, expression in found:
        if expression.program is None:
            yield where, expression.error.removeprefix("compilation failed: ")
