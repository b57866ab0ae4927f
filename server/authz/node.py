"""Node authorizer: an agent may read what the pods on its node need, and nothing beyond.

As plugin/pkg/auth/authorizer/node with AuthorizeNodeWithSelectors. Upstream keeps a graph; here
the pods of one node are few and indexed, so their references are simply looked through. What a
node may do to its own objects in detail (no foreign labels, no foreign status) is for admission:
``server/admission/node_restriction.py``.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from edgek.api.meta import Key, Obj, get_path, namespace
from edgek.kinds.persistent_volume import PERSISTENT_VOLUME as VOLUME
from edgek.kinds.persistent_volume_claim import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds.pod import POD
from edgek.kinds.pod_certificate_request import POD_CERTIFICATE_REQUEST
from edgek.kinds.pod_references import references, volume_secrets
from edgek.kinds.provisioned import STORAGE_NODE, may_reclaim
from edgek.kinds.resource_slice import RESOURCE_SLICE
from server.authz.authorizer import NO_OPINION, Decision, Verdict
from server.authz.default_roles import NODE_RULES
from server.request.info import RequestInfo
from server.request.model import User
from server.request.principals import NODES, node_of
from server.request.reader import Reader
from server.request.rules import rule_allows

_ALLOW = Verdict(Decision.ALLOW)
_READ = ("get", "list", "watch")


def _no(reason: str) -> Verdict:
    return Verdict(Decision.NO_OPINION, reason)


class NodeAuthorizer:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._special: dict[tuple[str, str], Callable[[str, RequestInfo], Verdict]] = {
            ("", "secrets"): self._read_referenced,
            ("", "configmaps"): self._read_referenced,
            ("", "persistentvolumeclaims"): self._claims,
            ("", "persistentvolumes"): self._volumes,
            ("", "serviceaccounts"): self._account_token,
            ("", "pods"): self._pods,
            ("", "nodes"): self._nodes,
            ("coordination.k8s.io", "leases"): self._leases,
            ("storage.k8s.io", "csinodes"): self._csi_nodes,
            ("resource.k8s.io", "resourceslices"): self._slices,
            ("certificates.k8s.io", "podcertificaterequests"): self._pod_certificates,
        }

    def authorize(self, user: User, info: RequestInfo, *, explain: bool = False) -> Verdict:
        if NODES not in user.groups:
            return NO_OPINION
        node = node_of(user)
        if not node:
            return _no(f'unknown node for user "{user.name}"')
        special = self._special.get((info.group, info.resource)) if info.is_resource else None
        return special(node, info) if special else _by_rules(info)

    def _read_referenced(self, node: str, info: RequestInfo) -> Verdict:
        if info.verb not in _READ:
            return _no("can only read resources of this type")
        if info.subresource and info.resource != "persistentvolumeclaims":
            return _no("cannot read subresource")
        if not info.asked_name:
            return _no("can only read namespaced object of this type by name")
        wanted = (info.resource, info.asked_name)
        if any(wanted in references(pod) for pod in self._pods_of(node, info.namespace)):
            return _ALLOW
        if info.resource == "secrets" and self._mounts_by(node, info):
            return _ALLOW
        return self._unrelated(node)

    def _mounts_by(self, node: str, info: RequestInfo) -> bool:
        """Whether a volume that a pod of the node claims names the secret. Volumes name secrets
        of any namespace, so all pods of the node are looked at."""
        wanted = (info.namespace, info.asked_name)
        return any(
            wanted in volume_secrets(volume)
            for claim in self._claims_of(node)
            if (volume := self._reader.get(VOLUME, _volume_key(claim))) and _is_bond(volume, claim)
        )

    def _claims_of(self, node: str) -> Iterator[Obj]:
        for pod in self._reader.indexed(POD, "spec.nodeName", node):
            for plural, of in references(pod):
                if plural == CLAIM.plural:
                    found = self._reader.get(CLAIM, Key(namespace(pod), of))
                    if found is not None:
                        yield found

    def _volumes(self, node: str, info: RequestInfo) -> Verdict:
        """Those that its pods claim, and those of its own disk (edgek/kinds/provisioned.py), which
        it deletes when it has taken the data away."""
        if info.subresource or info.verb not in (*_READ, "delete"):
            return _no("can only read and delete resources of this type")
        if info.verb != "get" and info.asked_label(STORAGE_NODE) == node:
            return _ALLOW
        if not info.asked_name:
            return _no("can only read resources of this type by name")
        volume = self._reader.get(VOLUME, Key("", info.asked_name))
        if volume is not None and (info.verb == "delete" or may_reclaim(volume, node)):
            return _ALLOW if may_reclaim(volume, node) else self._unrelated(node)
        for claim in self._claims_of(node):
            named = _volume_key(claim).name == info.asked_name
            if info.verb != "delete" and named and (volume is None or _is_bond(volume, claim)):
                return _ALLOW
        return self._unrelated(node)

    def _claims(self, node: str, info: RequestInfo) -> Verdict:
        """How far the volume has grown is the node's to say, of claims that its pods use."""
        if info.subresource == "status" and info.verb in ("update", "patch"):
            info = replace(info, verb="get")
        return self._read_referenced(node, info)

    def _csi_nodes(self, node: str, info: RequestInfo) -> Verdict:
        if info.verb not in ("get", "create", "update", "patch", "delete"):
            return _no("can only get, create, update, patch, or delete a CSINode")
        if info.subresource:
            return _no("cannot authorize CSINode subresources")
        if info.verb != "create" and info.name != node:
            return _no("can only access CSINode with the same name as the requesting node")
        return _ALLOW

    def _slices(self, node: str, info: RequestInfo) -> Verdict:
        """What devices a node offers; what is in a new one is for admission."""
        if info.subresource:
            return _no("cannot authorize ResourceSlice subresources")
        if info.verb == "create":
            return _ALLOW
        if info.verb in ("list", "watch", "deletecollection"):
            if info.asked_field("spec.nodeName") == node:
                return _ALLOW
            return _no(
                "can only list/watch/deletecollection resourceslices with spec.nodeName field "
                "selector"
            )
        found = self._reader.get(RESOURCE_SLICE, Key("", info.name))
        if get_path(found, "spec", "nodeName") == node:
            return _ALLOW
        return self._unrelated(node)

    def _pod_certificates(self, node: str, info: RequestInfo) -> Verdict:
        """Requests that it made itself; what is in a new one is for admission."""
        if info.subresource or info.verb not in (*_READ, "create"):
            return _no("can only create and read PodCertificateRequests")
        if info.verb == "create":
            return _ALLOW
        if info.verb in ("list", "watch"):
            if info.asked_field("spec.nodeName") == node:
                return _ALLOW
            return _no(
                f"can only list/watch podcertificaterequests with spec.nodeName={node} field "
                "selector"
            )
        found = self._reader.get(POD_CERTIFICATE_REQUEST, Key(info.namespace, info.name))
        return _ALLOW if get_path(found, "spec", "nodeName") == node else self._unrelated(node)

    def _account_token(self, node: str, info: RequestInfo) -> Verdict:
        if info.verb != "create" or info.subresource != "token":
            return _no("can only create tokens for individual service accounts")
        for pod in self._pods_of(node, info.namespace):
            if get_path(pod, "spec", "serviceAccountName") == info.name:
                return _ALLOW
        return self._unrelated(node)

    def _pods(self, node: str, info: RequestInfo) -> Verdict:
        if info.subresource or info.verb not in _READ:
            return _by_rules(info)
        if info.verb == "get" or info.asked_name:
            pod = self._reader.get(POD, Key(info.namespace, info.asked_name))
            if pod is None and info.verb == "get":
                return _ALLOW  # it may learn that its pod is gone
            if pod is not None and get_path(pod, "spec", "nodeName") == node:
                return _ALLOW
            return self._unrelated(node)
        if info.asked_field("spec.nodeName") == node:
            return _ALLOW
        return _no(f"can only list/watch pods with spec.nodeName={node} field selector")

    def _nodes(self, node: str, info: RequestInfo) -> Verdict:
        if info.verb == "create" and not info.subresource:
            return _ALLOW
        if info.verb in (*_READ, "update", "patch") and info.asked_name == node:
            return _ALLOW if info.subresource in ("", "status") else _by_rules(info)
        return _no(f"node '{node}' cannot {info.verb} other nodes, only its own")

    def _leases(self, node: str, info: RequestInfo) -> Verdict:
        if info.namespace != "kube-node-lease":
            return _no('can only access leases in the "kube-node-lease" system namespace')
        if info.verb in ("get", "update", "patch", "delete") and info.name != node:
            return _no("can only access node lease with the same name as the requesting node")
        return _by_rules(info)

    def _pods_of(self, node: str, space: str) -> Iterator[Obj]:
        for pod in self._reader.indexed(POD, "spec.nodeName", node):
            if namespace(pod) == space:
                yield pod

    def _unrelated(self, node: str) -> Verdict:
        return _no(f"no relationship found between node '{node}' and this object")


def _volume_key(claim: Obj) -> Key:
    return Key("", get_path(claim, "spec", "volumeName", default=""))


def _is_bond(volume: Obj, claim: Obj) -> bool:
    """Anybody may name a volume in a claim; only the binder answers with the claim's uid."""
    return bool(get_path(volume, "spec", "claimRef", "uid") == claim["metadata"].get("uid"))


def _by_rules(info: RequestInfo) -> Verdict:
    return _ALLOW if any(rule_allows(rule, info) for rule in NODE_RULES) else NO_OPINION
