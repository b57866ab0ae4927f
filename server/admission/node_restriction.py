"""NodeRestriction: an agent changes its own Node, its own pods' status, its own lease: no more.

As plugin/pkg/admission/noderestriction. The Node authorizer has decided which requests a node may
make at all; this looks at what is in them.
"""

from collections.abc import Iterable

from edgek.api.errors import Conflict
from edgek.api.meta import Key, Obj, annotations, get_path, labels, name, owner_references, uid
from edgek.kinds.lease import LEASE
from edgek.kinds.node import NODE
from edgek.kinds.pod import POD
from edgek.kinds.pod_references import references
from edgek.kinds.service_account import SERVICE_ACCOUNT
from server.admission.chain import Attributes
from server.admission.refusal import forbidden
from server.request.principals import node_of
from server.request.reader import Reader

MIRROR = "kubernetes.io/config.mirror"
_OWN_LABELS = {
    "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os",
    "beta.kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type", "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
}  # fmt: skip
_OWN_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")


class NodeRestriction:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        # By where they are stored: an older version of a kind is restricted no less.
        self._checks = {
            POD.storage_prefix: self._pod,
            NODE.storage_prefix: self._node,
            SERVICE_ACCOUNT.storage_prefix: self._token,
            LEASE.storage_prefix: self._lease,
        }

    async def admit(self, attributes: Attributes) -> None:
        """Refuses before others mutate, as upstream; changes nothing."""
        node = node_of(attributes.user)
        check = self._checks.get(attributes.kind.storage_prefix)
        if node and check:
            check(node, attributes)

    async def validate(self, attributes: Attributes) -> None:
        """All is said in admit."""

    def _pod(self, node: str, a: Attributes) -> None:
        match a.operation, a.subresource:
            case "CREATE", "":
                _check_mirror(node, a)
                self._check_owner(node, a)
            case "DELETE", "":
                self._check_own(node, a, "delete pods")
            case "UPDATE", "status":
                self._check_own(node, a, "update pod status for pods")
                if labels(a.obj) != labels(a.old or a.obj):
                    raise forbidden(a, f'node "{node}" cannot update labels through pod status')
            case "CREATE", "eviction":
                self._check_own(node, a, "evict pods")
            case operation, subresource:
                what = f"pods/{subresource}" if subresource else "pods"
                raise forbidden(a, f'node "{node}" cannot {operation.lower()} {what}')

    def _check_own(self, node: str, a: Attributes, what: str) -> None:
        pod = a.old or self._reader.get(POD, Key(a.namespace, a.name))
        if pod is not None and get_path(pod, "spec", "nodeName") != node:
            raise forbidden(a, f'node "{node}" can only {what} with spec.nodeName set to itself')

    def _check_owner(self, node: str, a: Attributes) -> None:
        """Another owner would make it, say, one of a ReplicaSet's pods, in place of a real one."""
        refs = owner_references(a.obj)
        own = self._reader.get(NODE, Key("", node))
        if own is None or len(refs) != 1 or not _refers_to(refs[0], own):
            text = f'node "{node}" can only create pods with an owner reference set to itself'
            raise forbidden(a, text)
        if refs[0].get("controller") is not True:
            raise forbidden(
                a,
                f'node "{node}" can only create pods with a controller owner reference set to '
                "itself",
            )
        if refs[0].get("blockOwnerDeletion"):
            text = f'node "{node}" must not set blockOwnerDeletion on an owner reference'
            raise forbidden(a, text)

    def _node(self, node: str, a: Attributes) -> None:
        name = a.name or get_path(a.obj, "metadata", "name", default="")
        if name != node:
            raise forbidden(a, f'node "{node}" is not allowed to modify node "{name}"')
        if a.operation == "UPDATE":
            _check_node_update(node, a, a.old or {"metadata": {}})
        elif a.operation == "CREATE" and (bad := _foreign_labels(labels(a.obj), {})):
            text = f'node "{node}" is not allowed to set the following labels: {bad}'
            raise forbidden(a, text)

    def _token(self, node: str, a: Attributes) -> None:
        if a.operation != "CREATE" or a.subresource != "token":
            return
        ref = get_path(a.obj, "spec", "boundObjectRef", default={})
        if ref.get("kind") != "Pod" or ref.get("apiVersion", "v1") != "v1" or not ref.get("name"):
            raise forbidden(a, "node requested token not bound to a pod")
        if not ref.get("uid"):
            raise forbidden(a, "node requested token with a pod binding without a uid")
        pod = self._reader.get(POD, Key(a.namespace, ref["name"]))
        if pod is None:
            raise forbidden(a, f'pod "{ref["name"]}" not found')
        if uid(pod) != ref["uid"]:
            why = (
                f"the UID in the bound object reference ({ref['uid']}) does not match the UID in "
                "record. The object might have been deleted and then recreated"
            )
            raise Conflict.of(POD, ref["name"], why)
        if get_path(pod, "spec", "nodeName") != node:
            raise forbidden(a, "node requested token bound to a pod scheduled on a different node")

    def _lease(self, node: str, a: Attributes) -> None:
        if a.namespace != "kube-node-lease":
            text = 'can only access leases in the "kube-node-lease" system namespace'
            raise forbidden(a, text)
        name = a.name or get_path(a.obj, "metadata", "name", default="")
        if name != node:
            text = "can only access node lease with the same name as the requesting node"
            raise forbidden(a, text)


def _check_mirror(node: str, a: Attributes) -> None:
    """A node may show the API what its own manifests run, and nothing that reads cluster data:
    what a pod on it refers to, the Node authorizer lets it read."""
    spec = a.obj.get("spec") or {}
    if MIRROR not in annotations(a.obj):
        raise forbidden(
            a, f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
        )
    if spec.get("nodeName") != node:
        raise forbidden(a, f'node "{node}" can only create pods with spec.nodeName set to itself')
    found = {plural for plural, _ in references(a.obj)}
    if spec.get("serviceAccountName"):
        found.add("a service account")
    if any("projected" in volume for volume in spec.get("volumes") or ()):
        found.add("projected volumes")
    if spec.get("resourceClaims"):
        found.add("resourceclaims")
    if found:
        what = ", ".join(sorted(found))
        raise forbidden(a, f'node "{node}" can not create pods that reference {what}')


def _refers_to(ref: Obj, node: Obj) -> bool:
    wanted = {"apiVersion": "v1", "kind": "Node", "name": name(node), "uid": uid(node)}
    return all(ref.get(field) == value for field, value in wanted.items())


def _check_node_update(node: str, a: Attributes, old: Obj) -> None:
    if get_path(a.obj, "spec", "taints", default=[]) != get_path(old, "spec", "taints", default=[]):
        raise forbidden(a, f'node "{node}" is not allowed to modify taints')
    if owner_references(a.obj) != owner_references(old):
        raise forbidden(a, f'node "{node}" is not allowed to modify ownerReferences')
    if bad := _foreign_labels(labels(a.obj), labels(old)):
        raise forbidden(a, f'node "{node}" is not allowed to modify labels: {bad}')


def _foreign_labels(new: dict[str, str], old: dict[str, str]) -> str:
    """Changed labels in Kubernetes' own name space that are not the node's to change: others
    place pods by them, as on node-restriction.kubernetes.io/."""
    changed = {key for key in new.keys() | old.keys() if new.get(key) != old.get(key)}
    return ", ".join(sorted(_foreign(changed)))


def _foreign(keys: Iterable[str]) -> list[str]:
    return [k for k in keys if k not in _OWN_LABELS and _is_reserved(k.rpartition("/")[0])]


def _is_reserved(prefix: str) -> bool:
    if any(_within(prefix, own) for own in _OWN_PREFIXES):
        return False
    return _within(prefix, "kubernetes.io") or _within(prefix, "k8s.io")


def _within(prefix: str, domain: str) -> bool:
    return prefix == domain or prefix.endswith(f".{domain}")
