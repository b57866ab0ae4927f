"""NodeRestriction: an agent changes its own Node, its own pods' status, its own lease: no more.

As plugin/pkg/admission/noderestriction. The Node authorizer has decided which requests a node may
make at all; this looks at what is in them. Pods and their tokens are in ``node_pods.py``.
"""

import base64
from collections.abc import Iterable

from edgek.api.meta import Obj, get_path, labels, owner_references
from edgek.kinds.certificate_signing_request import CERTIFICATE_SIGNING_REQUEST
from edgek.kinds.csi_node import CSI_NODE
from edgek.kinds.lease import LEASE
from edgek.kinds.node import NODE
from edgek.kinds.persistent_volume_claim import PERSISTENT_VOLUME_CLAIM
from edgek.kinds.pod import POD
from edgek.kinds.pod_certificate_request import POD_CERTIFICATE_REQUEST
from edgek.kinds.resource_slice import RESOURCE_SLICE
from edgek.kinds.service_account import SERVICE_ACCOUNT
from edgek.pki.requests import describe_request
from server.admission.chain import Attributes
from server.admission.node_pods import May, check_pod, check_pod_certificate, check_token
from server.admission.refusal import forbidden
from server.request.principals import NODE_PREFIX, NODES, node_of
from server.request.reader import Reader

_OWN_LABELS = {
    "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os",
    "beta.kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type", "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
}  # fmt: skip
_OWN_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_NODE_SIGNERS = ("kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet")
_CLAIM_STATUS = ("capacity", "conditions", "allocatedResources", "allocatedResourceStatuses")


class NodeRestriction:
    """``may``: what RBAC lets a node do besides, as tokens for further audiences."""

    def __init__(self, reader: Reader, *, may: May = lambda user, info: False) -> None:
        self._reader = reader
        self._may = may
        # By where they are stored: an older version of a kind is restricted no less.
        self._checks = {
            POD.storage_prefix: self._pod,
            NODE.storage_prefix: _check_node,
            SERVICE_ACCOUNT.storage_prefix: self._token,
            LEASE.storage_prefix: _check_lease,
            PERSISTENT_VOLUME_CLAIM.storage_prefix: _check_claim,
            CSI_NODE.storage_prefix: _check_csi_node,
            RESOURCE_SLICE.storage_prefix: _check_slice,
            POD_CERTIFICATE_REQUEST.storage_prefix: self._pod_certificate,
            CERTIFICATE_SIGNING_REQUEST.storage_prefix: _check_request,
        }

    async def admit(self, attributes: Attributes) -> None:
        """Refuses before others mutate, as upstream; changes nothing."""
        if NODES not in attributes.user.groups:
            return
        if not attributes.user.name.startswith(NODE_PREFIX):
            return  # a group alone makes no node; the Node authorizer lets such a user do nothing
        node = node_of(attributes.user)
        if not node:
            text = f'could not determine node from user "{attributes.user.name}"'
            raise forbidden(attributes, text)
        if check := self._checks.get(attributes.kind.storage_prefix):
            check(node, attributes)

    async def validate(self, attributes: Attributes) -> None:
        """All is said in admit."""

    def _pod(self, node: str, a: Attributes) -> None:
        check_pod(node, a, self._reader)

    def _token(self, node: str, a: Attributes) -> None:
        check_token(node, a, self._reader, self._may)

    def _pod_certificate(self, node: str, a: Attributes) -> None:
        check_pod_certificate(node, a, self._reader)


def _named(a: Attributes) -> str:
    return a.name or str(get_path(a.obj, "metadata", "name", default=""))


def _check_node(node: str, a: Attributes) -> None:
    if _named(a) != node:
        raise forbidden(a, f'node "{node}" is not allowed to modify node "{_named(a)}"')
    if a.operation == "UPDATE":
        _check_node_update(node, a, a.old or {"metadata": {}})
    elif a.operation == "CREATE" and (bad := _foreign_labels(labels(a.obj), {})):
        text = f'node "{node}" is not allowed to set the following labels: {bad}'
        raise forbidden(a, text)


def _check_node_update(node: str, a: Attributes, old: Obj) -> None:
    if get_path(a.obj, "spec", "taints", default=[]) != get_path(old, "spec", "taints", default=[]):
        raise forbidden(a, f'node "{node}" is not allowed to modify taints')
    if owner_references(a.obj) != owner_references(old):
        raise forbidden(a, f'node "{node}" is not allowed to modify ownerReferences')
    if bad := _foreign_labels(labels(a.obj), labels(old)):
        raise forbidden(a, f'node "{node}" is not allowed to modify labels: {bad}')


def _check_lease(node: str, a: Attributes) -> None:
    if a.namespace != "kube-node-lease":
        raise forbidden(a, 'can only access leases in the "kube-node-lease" system namespace')
    if _named(a) != node:
        text = "can only access node lease with the same name as the requesting node"
        raise forbidden(a, text)


def _check_claim(node: str, a: Attributes) -> None:
    """How far a volume has grown; everything else about a claim is not the node's."""
    if a.subresource != "status":
        raise forbidden(a, "may only update PVC status")
    if a.operation != "UPDATE":
        raise forbidden(a, f'unexpected operation "{a.operation}"')
    if _without_status(a.obj) != _without_status(a.old or {}):
        text = "not allowed to update fields other than status.capacity and status.conditions"
        raise forbidden(a, f'node "{node}" is {text}')


def _without_status(claim: Obj) -> Obj:
    status = {k: v for k, v in (claim.get("status") or {}).items() if k not in _CLAIM_STATUS}
    stamps = ("resourceVersion", "managedFields")
    meta = {k: v for k, v in (claim.get("metadata") or {}).items() if k not in stamps}
    return {**claim, "metadata": meta, "status": status}


def _check_csi_node(node: str, a: Attributes) -> None:
    if _named(a) != node:
        raise forbidden(a, "can only access CSINode with the same name as the requesting node")


def _check_slice(node: str, a: Attributes) -> None:
    """Of updates the Node authorizer knows enough; of the rest only the object says whose it is."""
    if a.operation not in ("CREATE", "DELETE"):
        return
    obj = a.obj if a.operation == "CREATE" else a.old
    if get_path(obj, "spec", "nodeName", default="") != node:
        text = "ResourceSlice with the same NodeName as the requesting node"
        raise forbidden(a, f"can only {a.operation.lower()} {text}")


def _check_request(node: str, a: Attributes) -> None:
    """A node asks for certificates in its own name."""
    if a.operation != "CREATE" or get_path(a.obj, "spec", "signerName") not in _NODE_SIGNERS:
        return
    try:
        asked = describe_request(base64.b64decode(get_path(a.obj, "spec", "request", default="")))
    except ValueError as err:
        raise forbidden(a, f"unable to parse csr: {err}") from err
    if asked.common_name != a.user.name:
        raise forbidden(a, f"can only create a node CSR with CN={a.user.name}")


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
