"""ParamRights: whoever writes a policy or binding may read the parameters it names.

Else a policy could tell its writer, by what it denies, what is in objects that are not theirs to
read. As pkg/registry/admissionregistration/validatingadmissionpolicy/authz.go and its like for
bindings.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgek.api.errors import Invalid
from edgek.api.meta import Key, Obj, get_path, name
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.kind import Kind
from edgek.kinds.mutating_admission_policy import (
    MUTATING_ADMISSION_POLICY,
    MUTATING_ADMISSION_POLICY_BINDING,
)
from edgek.kinds.validating_admission_policy import (
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
)
from server.admission.chain import Attributes
from server.request.info import RequestInfo
from server.request.reader import Reader

if TYPE_CHECKING:
    from server.admission.expressions import Ask

_POLICY_OF = {
    VALIDATING_ADMISSION_POLICY_BINDING: VALIDATING_ADMISSION_POLICY,
    MUTATING_ADMISSION_POLICY_BINDING: MUTATING_ADMISSION_POLICY,
}
_ALL = "*"


class ParamRights:
    """``kinds`` gives all that are served."""

    kinds = frozenset((*_POLICY_OF, *_POLICY_OF.values()))

    def __init__(self, reader: Reader, kinds: Callable[[], Sequence[Kind]], ask: "Ask") -> None:
        self._reader = reader
        self._served = kinds
        self._ask = ask

    async def admit(self, attributes: Attributes) -> None:
        """Nothing to change."""

    async def validate(self, attributes: Attributes) -> None:
        a = attributes
        if a.obj is None or a.subresource or a.operation not in ("CREATE", "UPDATE"):
            return
        field = "paramRef" if a.kind in _POLICY_OF else "paramKind"
        named = get_path(a.obj, "spec", field)
        if named is None or named == get_path(a.old, "spec", field):
            return
        refused = self._refused(attributes, named)
        if refused:
            errors = FieldErrors()
            errors.forbidden(FieldPath("spec").child(field), refused)
            raise Invalid.of(a.kind, name(a.obj), errors)

    def _refused(self, attributes: Attributes, named: Obj) -> str:
        user = attributes.user
        policy_kind = _POLICY_OF.get(attributes.kind)
        if policy_kind is None:
            if self._ask(user, self._reading(named))[0]:
                return ""
            about = f"(kind={named.get('kind')}, apiVersion={named.get('apiVersion')})"
            return (
                f'user {user.name} must have "get" permission on all objects of the referenced '
                f"paramKind {about}"
            )
        policy = self._reader.get(
            policy_kind, Key("", attributes.obj["spec"].get("policyName", ""))
        )
        kind = get_path(policy, "spec", "paramKind") if policy is not None else None
        verb = "get" if named.get("name") else "list"
        asked = self._reading(kind, verb=verb, ref=named)
        if self._ask(user, asked)[0]:
            return ""
        return (
            f'user {user.name} does not have "{verb}" permission on the object referenced by '
            "paramRef"
        )

    def _reading(
        self, kind: Obj | None, *, verb: str = "get", ref: Obj | None = None
    ) -> RequestInfo:
        """Of everything, where it is not known what would be read."""
        group = version = resource = _ALL
        if kind is not None:
            group, _, version = (kind.get("apiVersion") or "").rpartition("/")
            resource = self._plural(group, version, kind.get("kind") or "")
        return RequestInfo(
            is_resource=True,
            verb=verb,
            group=group,
            version=version,
            resource=resource,
            namespace=(ref or {}).get("namespace") or _ALL,
            name=(ref or {}).get("name") or _ALL,
        )

    def _plural(self, group: str, version: str, kind: str) -> str:
        wanted = (group, version, kind)
        found = (k.plural for k in self._served() if (k.group, k.version, k.kind) == wanted)
        return next(found, _ALL)
