"""Which requests for node certificates are approved: pure decisions for the CSR controller.

A machine proves who it is by its node key, made once and kept in its data directory: it signs
every certificate request, and no secret ever leaves the machine. The first machine that joins
under a node name has the fingerprint of its key recorded (a Secret in kube-system, which no node
can read or write); from then on the name is only given to the same key, to the node itself
(authenticated by its certificate, it may change its key), or to anybody again once the Node
object has been deleted. So two machines of one name cannot both be in the cluster, and a stolen
join token does not let its holder become a node that is already there.

The controller, for each CSR that is neither approved nor denied::

    decision = judge(csr, record=<Secret record_key(node)>, node_exists=..., now=...)
    None      leave it to people     Denial    write condition Denied with its message
    Approval  write decision.record FIRST (create, or update where it has a resourceVersion; a
              conflict means: look again), then the condition Approved, then sign_node_csr

As pkg/controller/certificates/approver/sarapprove.go where it is not about names.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from edgek.api.meta import Key, Obj, get_path, resource_version
from edgek.api.time import parse_time
from edgek.kinds.secret import SECRET
from edgek.pki.certificates import LEAF_DAYS, KeyPair, Profile
from edgek.pki.requests import RequestDescription, describe_request, sign_request
from server.request.principals import AGENT_BOOTSTRAPPERS, NODE_PREFIX, NODES

KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
RECORD_TYPE = "edgek.io/node-identity"
REGISTRATION_TIME = timedelta(minutes=5)
"""How long a name stays taken while its Node object has not appeared yet."""
_USAGES = {"client auth", "digital signature", "key encipherment"}


@dataclass(frozen=True, kw_only=True)
class Approval:
    """``record`` is the Secret to write first; None where it is up to date."""

    node: str
    message: str
    record: Obj | None


@dataclass(frozen=True, kw_only=True)
class Denial:
    reason: str
    message: str


def record_key(node: str) -> Key:
    return Key("kube-system", f"{node}.node-identity.edgek")


def requested_node(csr: Obj) -> str:
    """The node name a CSR is about, "" where it asks for no node's client certificate."""
    try:
        common_name = _request(csr).common_name if _is_kubelet_client(csr) else ""
    except ValueError:
        return ""
    return common_name.removeprefix(NODE_PREFIX) if common_name.startswith(NODE_PREFIX) else ""


def judge(
    csr: Obj, *, record: Obj | None, node_exists: bool, now: datetime
) -> Approval | Denial | None:
    """None where it is not for us: another signer, or asked for by a person."""
    spec = csr.get("spec") or {}
    groups = spec.get("groups") or ()
    if not _is_kubelet_client(csr) or not {AGENT_BOOTSTRAPPERS, NODES} & set(groups):
        return None
    try:
        request = _request(csr)
        node = _node_name(request, spec.get("usages") or ())
    except ValueError as err:
        return Denial(reason="InvalidRequest", message=str(err))
    known = _recorded(record)
    if spec.get("username") == f"{NODE_PREFIX}{node}" and NODES in groups:
        message = "Auto approving self kubelet client certificate after SubjectAccessReview."
    elif AGENT_BOOTSTRAPPERS not in groups:
        return Denial(reason="OtherNode", message=f"{spec.get('username')} is not node {node}")
    elif known not in ("", request.key) and _holds(record, node_exists=node_exists, now=now):
        return Denial(reason="NodeNameTaken", message=_taken(node, known))
    else:
        message = "Auto approving kubelet client certificate after SubjectAccessReview."
    new = None if known == request.key else _record(node, request.key, record)
    return Approval(node=node, message=message, record=new)


def sign_node_csr(csr: Obj, *, ca: KeyPair, now: datetime) -> bytes:
    """PEM for an approved CSR. Raises ValueError where the request asks for something else."""
    spec = csr["spec"]
    node = _node_name(_request(csr), spec.get("usages") or ())
    seconds = spec.get("expirationSeconds") or LEAF_DAYS * 86400
    profile = Profile(
        common_name=f"{NODE_PREFIX}{node}",
        organizations=(NODES,),
        client=True,
        duration=timedelta(seconds=min(seconds, LEAF_DAYS * 86400)),
    )
    return sign_request(_pem(csr), ca=ca, profile=profile, now=now)


def _is_kubelet_client(csr: Obj) -> bool:
    return bool(get_path(csr, "spec", "signerName") == KUBELET_CLIENT)


def _pem(csr: Obj) -> bytes:
    return base64.b64decode(get_path(csr, "spec", "request", default=""), validate=True)


def _request(csr: Obj) -> RequestDescription:
    return describe_request(_pem(csr))


def _node_name(request: RequestDescription, usages: Sequence[str]) -> str:
    """As pkg/apis/certificates ValidateKubeletClientCSR, with its sentences."""
    if request.organizations != (NODES,):
        raise ValueError(f"subject organization is not {NODES}")
    for kind in sorted(request.name_types):
        raise ValueError(f"{kind} subjectAltNames are not allowed")
    if not request.common_name.startswith(NODE_PREFIX):
        raise ValueError(f"subject common name does not begin with {NODE_PREFIX}")
    check_usages(usages, _USAGES)
    return request.common_name.removeprefix(NODE_PREFIX)


def check_usages(usages: Sequence[str], wanted: set[str]) -> None:
    """All of them; the one that only RSA keys are for may be left out. Raises ValueError."""
    if set(usages) not in (wanted, wanted - {"key encipherment"}):
        raise ValueError(f"usages did not match [{' '.join(sorted(wanted))}]")


def _recorded(record: Obj | None) -> str:
    text = get_path(record, "data", "key", default="")
    return base64.b64decode(text).decode()


def _holds(record: Obj | None, *, node_exists: bool, now: datetime) -> bool:
    created = get_path(record, "metadata", "creationTimestamp")
    return node_exists or bool(created and now < parse_time(created) + REGISTRATION_TIME)


def _record(node: str, key: str, old: Obj | None) -> Obj:
    where = record_key(node)
    metadata = {"name": where.name, "namespace": where.namespace}
    if old is not None:
        metadata["resourceVersion"] = resource_version(old)
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": metadata,
        "type": RECORD_TYPE,
        "data": {"key": base64.b64encode(key.encode()).decode()},
    }


def _taken(node: str, known: str) -> str:
    return (
        f'node name "{node}" is taken by another machine (node key {known[:23]}...); give this '
        "machine another --node-name, or, if it replaces that one or has lost its data directory, "
        f"first run: kubectl delete node {node}"
    )
