"""Parameters: the objects that a binding gives to its policy's expressions as ``params``.

As apiserver pkg/admission/plugin/policy/generic CollectParams; sentences are upstream's.
"""

from collections.abc import Callable, Sequence

from edgek.api.meta import Key, Obj, get_path, name
from edgek.api.selectors import from_label_selector
from edgek.kinds.kind import Kind
from server.admission.policies.policy import Binding, Policy
from server.request.reader import Reader

NO_PARAMS: Sequence[Obj | None] = (None,)
"""One evaluation, where ``params`` is null."""


class BadBinding(Exception):
    """What is wrong with how a policy is set up; the text is for the user."""


class Params:
    """``kinds`` gives all that are served."""

    def __init__(self, reader: Reader, kinds: Callable[[], Sequence[Kind]]) -> None:
        self._reader = reader
        self._kinds = kinds

    async def of(self, policy: Policy, binding: Binding, namespace: str) -> Sequence[Obj | None]:
        """Each gives one evaluation. Raises BadBinding."""
        ref = binding.param_ref
        if policy.param_kind is None or ref is None:
            return NO_PARAMS
        kind = self._kind(*policy.param_kind)
        if kind is None:
            api_version, named = policy.param_kind
            raise BadBinding(f"paramKind kind `{api_version}, Kind={named}` not known")
        found = self._found(kind, ref, self._namespace(kind, ref, namespace))
        if not found and ref.get("parameterNotFoundAction") == "Deny":
            raise BadBinding(
                "no params found for policy binding with `Deny` parameterNotFoundAction"
            )
        return found if kind.conversion is None else await kind.conversion.serve(found)

    def _kind(self, api_version: str, kind: str) -> Kind | None:
        named = (k for k in self._kinds() if k.kind == kind and k.api_version == api_version)
        return next((k for k in named if not k.virtual), None)

    def _namespace(self, kind: Kind, ref: Obj, namespace: str) -> str:
        given = ref.get("namespace") or ""
        if not kind.namespaced:
            if given:
                raise BadBinding(
                    "paramRef.namespace must not be provided for a cluster-scoped `paramKind`"
                )
            return ""
        if not given and not namespace:
            raise BadBinding(
                "cannot use namespaced paramRef in policy binding that matches "
                "cluster-scoped resources"
            )
        return given or namespace

    def _found(self, kind: Kind, ref: Obj, namespace: str) -> list[Obj]:
        wanted = ref.get("name")
        if wanted:
            found = self._reader.get(kind, Key(namespace, wanted))
            return [] if found is None else [found]
        selector = from_label_selector(ref.get("selector"))
        objs = self._reader.list(kind, namespace)
        labelled = (o for o in objs if selector.matches(get_path(o, "metadata", "labels")))
        return sorted(labelled, key=name)
