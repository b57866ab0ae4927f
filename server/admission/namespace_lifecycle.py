"""NamespaceLifecycle: nothing is created in a namespace that is missing or going away, and the
namespaces the cluster lives on are not deleted.

As apiserver plugin/namespace/lifecycle/admission.go.
"""

from edgek.api.errors import NotFound
from edgek.api.meta import Key, get_path, is_deleting
from edgek.kinds.namespace import NAMESPACE
from server.admission.chain import Attributes
from server.admission.refusal import forbidden
from server.request.reader import Reader

IMMORTAL = ("default", "kube-system", "kube-public")


class NamespaceLifecycle:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def admit(self, attributes: Attributes) -> None:
        a = attributes
        if a.kind == NAMESPACE:
            if a.operation == "DELETE" and a.name in IMMORTAL:
                raise forbidden(a, "this namespace may not be deleted")
            return
        if not a.namespace or a.operation == "DELETE" or _is_access_review(a):
            return
        namespace = self._reader.get(NAMESPACE, Key("", a.namespace))
        if namespace is None:
            raise NotFound.of(NAMESPACE, a.namespace)
        phase = get_path(namespace, "status", "phase")
        if a.operation == "CREATE" and (phase == "Terminating" or is_deleting(namespace)):
            raise _terminating(a)

    async def validate(self, attributes: Attributes) -> None:
        """All is said before anything is changed."""


def _is_access_review(attributes: Attributes) -> bool:
    kind = attributes.kind
    return (kind.group, kind.plural) == ("authorization.k8s.io", "localsubjectaccessreviews")


def _terminating(attributes: Attributes) -> Exception:
    namespace = attributes.namespace
    error = forbidden(
        attributes,
        f"unable to create new content in namespace {namespace} because it is being terminated",
    )
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    error.details["causes"] = [cause]
    return error
