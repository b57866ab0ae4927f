"""CSR signer: approved requests for client certificates get them; old requests are cleaned up.

As pkg/controller/certificates signer and cleaner, for the signers of the cluster's client CA:
kube-apiserver-client-kubelet and kubelet-serving (nodes), and kube-apiserver-client (people);
all but the first are approved by people. The CA's key comes with the constructor and is used here
and nowhere else.
"""

import base64
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from edgek.api.conditions import find_condition, is_true
from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, get_path, uid
from edgek.api.time import format_time, parse_time
from edgek.control.controller import DONE, Context, ForKind, Result, Watch
from edgek.kinds import CERTIFICATE_SIGNING_REQUEST
from edgek.pki.certificates import LEAF_DAYS, KeyPair, Profile, describe
from edgek.pki.requests import RequestDescription, describe_request, sign_request
from server.authn.csr_policy import KUBELET_CLIENT, check_usages, sign_node_csr
from server.controllers.csr_approving import conditions_of
from server.request.principals import NODE_PREFIX, NODES

API_CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
SIGNERS = (KUBELET_CLIENT, KUBELET_SERVING, API_CLIENT)
MASTERS = "system:masters"
_SERVING_USAGES = {"digital signature", "key encipherment", "server auth"}
_CLIENT_USAGES = {"digital signature", "key encipherment", "client auth"}
_LEAST_SECONDS = 600

# As cleaner.go: how long a request is kept after its last step.
KEPT = {
    "Approved": timedelta(hours=1),
    "Denied": timedelta(hours=1),
    "Failed": timedelta(hours=1),
}
KEPT_PENDING = timedelta(hours=24)


def build(context: Context, *, ca: KeyPair) -> "CsrSigner":
    return CsrSigner(context, ca)


def sign(csr: Obj, *, ca: KeyPair, now: datetime) -> bytes:
    """PEM. Raises ValueError where the request is not what its signer signs."""
    signer = csr["spec"]["signerName"]
    if signer == KUBELET_CLIENT:
        return sign_node_csr(csr, ca=ca, now=now)
    spec = csr["spec"]
    pem = base64.b64decode(spec["request"], validate=True)
    asked = describe_request(pem)
    check = _check_serving if signer == KUBELET_SERVING else _check_client
    check(asked, spec.get("usages") or ())
    profile = Profile(
        common_name=asked.common_name,
        organizations=asked.organizations,
        names=asked.names if signer == KUBELET_SERVING else (),
        server=signer == KUBELET_SERVING,
        client=signer == API_CLIENT,
        duration=_duration(spec),
    )
    return sign_request(pem, ca=ca, profile=profile, now=now)


def _duration(spec: Obj) -> timedelta:
    most = LEAF_DAYS * 86400
    return timedelta(seconds=max(_LEAST_SECONDS, min(spec.get("expirationSeconds") or most, most)))


def _check_client(asked: RequestDescription, usages: Sequence[str]) -> None:
    """As validAPIServerClientUsages."""
    for usage in usages:
        if usage not in _CLIENT_USAGES:
            raise ValueError(f"invalid usage for client certificate: {usage}")
    if "client auth" not in usages:
        raise ValueError("missing required usage for client certificate: client auth")
    if MASTERS in asked.organizations:  # refused on creation too; an old object may have it
        raise ValueError(f"use of {API_CLIENT} signer with {MASTERS} group is not allowed")


def _check_serving(asked: RequestDescription, usages: Sequence[str]) -> None:
    """As pkg/apis/certificates ValidateKubeletServingCSR."""
    if asked.organizations != (NODES,):
        raise ValueError(f"subject organization is not {NODES}")
    if not asked.name_types & {"DNS", "IP"}:
        raise ValueError("DNS or IP subjectAltName is required")
    for kind in sorted(asked.name_types - {"DNS", "IP"}):
        raise ValueError(f"{kind} subjectAltNames are not allowed")
    check_usages(usages, _SERVING_USAGES)
    if not asked.common_name.startswith(NODE_PREFIX):
        raise ValueError(f"subject common name does not begin with {NODE_PREFIX}")


def is_to_be_signed(csr: Obj) -> bool:
    conditions = conditions_of(csr)
    return (
        get_path(csr, "spec", "signerName") in SIGNERS
        and is_true(conditions, "Approved")
        and not is_true(conditions, "Denied")
        and not is_true(conditions, "Failed")
        and not get_path(csr, "status", "certificate")
    )


def plan_status(csr: Obj, *, ca: KeyPair, now: datetime) -> Obj:
    """The status with the certificate, or with why there is none."""
    status: Obj = csr.get("status") or {}
    try:
        pem = sign(csr, ca=ca, now=now)
    except ValueError as err:
        stamp = format_time(now)
        failed = {
            "type": "Failed",
            "status": "True",
            "reason": "SignerValidationFailure",
            "message": str(err),
            "lastUpdateTime": stamp,
            "lastTransitionTime": stamp,
        }
        return {**status, "conditions": [*conditions_of(csr), failed]}
    return {**status, "certificate": base64.b64encode(pem).decode()}


def expires_at(csr: Obj) -> datetime:
    """When the request is of no more use to anybody."""
    conditions = conditions_of(csr)
    ends = [
        parse_time(found.get("lastUpdateTime") or csr["metadata"]["creationTimestamp"]) + kept
        for kind, kept in KEPT.items()
        if (found := find_condition(conditions, kind)) is not None
        # Approved alone waits for its signer, which may be another one than us.
        and (kind != "Approved" or get_path(csr, "status", "certificate"))
    ]
    if certificate := get_path(csr, "status", "certificate"):
        with suppress(ValueError):
            ends.append(describe(base64.b64decode(certificate)).not_after)
    created = parse_time(csr["metadata"]["creationTimestamp"])
    return min(ends, default=created + KEPT_PENDING)


class CsrSigner:
    """One delay per request that exists, until it expires; none without requests."""

    name = "csrsigning"
    kind = CERTIFICATE_SIGNING_REQUEST

    def __init__(self, context: Context, ca: KeyPair) -> None:
        self._client = context.client
        self._clock = context.clock
        self._ca = ca
        self._requests = context.informers.get(CERTIFICATE_SIGNING_REQUEST)
        self.watches: Sequence[Watch] = (ForKind(CERTIFICATE_SIGNING_REQUEST),)

    async def reconcile(self, key: Key) -> Result:
        csr, now = self._requests.get(key), self._clock.now()
        if csr is None:
            return DONE
        if is_to_be_signed(csr):
            status = plan_status(csr, ca=self._ca, now=now)
            await self._client.update_status(CERTIFICATE_SIGNING_REQUEST, {**csr, "status": status})
            return DONE
        left = (expires_at(csr) - now).total_seconds()
        if left > 0:
            return Result(requeue_after=left + 1)
        with suppress(NotFound):
            preconditions = {"uid": uid(csr)}
            await self._client.delete(CERTIFICATE_SIGNING_REQUEST, key, preconditions=preconditions)
        return DONE
