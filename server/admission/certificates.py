"""Certificates: who approves, signs or vouches for a signer must be allowed to for that signer,
and nobody asks for a certificate that may do everything.

As plugin/pkg/admission/certificates: approval, signing, ctbattest and subjectrestriction, and the
check in PodCertificateRequest's strategy. The verbs ``approve``, ``sign`` and ``attest`` are on the
resource ``signers``, by the signer's name or ``domain/*``.
"""

import base64
from collections.abc import Callable

from edgek.aio.clock import Clock
from edgek.api.meta import Obj, get_path
from edgek.api.time import format_time
from edgek.kinds.certificate_signing_request import CERTIFICATE_SIGNING_REQUEST
from edgek.kinds.pod_certificate_request import POD_CERTIFICATE_REQUEST
from edgek.kinds.trust_bundle import CLUSTER_TRUST_BUNDLE
from edgek.pki.requests import describe_request
from server.admission.chain import Attributes
from server.admission.rbac_escalation import only_for_garbage
from server.admission.refusal import forbidden
from server.request.info import RequestInfo
from server.request.model import User
from server.request.principals import MASTERS

May = Callable[[User, RequestInfo], bool]
API_CLIENT = "kubernetes.io/kube-apiserver-client"


class Certificates:
    def __init__(self, *, may: May, clock: Clock) -> None:
        self._may = may
        self._clock = clock
        self._checks = {
            CERTIFICATE_SIGNING_REQUEST.storage_prefix: self._request,
            POD_CERTIFICATE_REQUEST.storage_prefix: self._pod_request,
            CLUSTER_TRUST_BUNDLE.storage_prefix: self._bundle,
        }

    async def admit(self, attributes: Attributes) -> None:
        """Dates conditions that come without: who approves need not know the time here."""
        a = attributes
        if a.kind.storage_prefix != CERTIFICATE_SIGNING_REQUEST.storage_prefix:
            return
        if a.operation == "UPDATE" and a.subresource in ("approval", "status"):
            date_conditions(a.obj, a.old or {}, now=format_time(self._clock.now()))

    async def validate(self, attributes: Attributes) -> None:
        if check := self._checks.get(attributes.kind.storage_prefix):
            check(attributes)

    def _request(self, a: Attributes) -> None:
        match a.operation, a.subresource:
            case "CREATE", "":
                _check_subject(a)
            case "UPDATE", "approval":
                self._check_signer(a, "approve")
            case "UPDATE", "status" if _is_signed(a.obj, a.old or {}):
                self._check_signer(a, "sign")

    def _check_signer(self, a: Attributes, verb: str) -> None:
        signer = get_path(a.old, "spec", "signerName", default="")
        if not self._allowed(a.user, verb, signer):
            text = f'user not permitted to {verb} requests with signerName "{signer}"'
            raise forbidden(a, text)

    def _pod_request(self, a: Attributes) -> None:
        signer = get_path(a.old, "spec", "signerName", default="")
        if a.operation != "UPDATE" or a.subresource != "status":
            return
        if not self._allowed(a.user, "sign", signer):
            text = f'User "{a.user.name}" is not permitted to "sign" for signer "{signer}"'
            raise forbidden(a, text)

    def _bundle(self, a: Attributes) -> None:
        """Whose certificates others trust for a signer; a bundle of no signer is anybody's."""
        signer = get_path(a.obj, "spec", "signerName", default="")
        if not signer or a.operation not in ("CREATE", "UPDATE"):
            return
        if a.old is not None and only_for_garbage(a.obj, a.old):
            return
        if not self._allowed(a.user, "attest", signer):
            raise forbidden(a, f'user not permitted to attest for signerName "{signer}"')

    def _allowed(self, user: User, verb: str, signer: str) -> bool:
        if MASTERS in user.groups:
            return True
        names = (signer, f"{signer.partition('/')[0]}/*")
        return any(self._may(user, _of_signer(verb, name)) for name in names)


def date_conditions(obj: Obj, old: Obj, *, now: str) -> None:
    """As populateConditionTimestamps of the strategy: a transition is dated when it happens."""
    before = {c.get("type"): c for c in get_path(old, "status", "conditions", default=())}
    for condition in get_path(obj, "status", "conditions", default=()):
        condition["lastUpdateTime"] = condition.get("lastUpdateTime") or now
        same = before.get(condition.get("type")) or {}
        if same.get("status") != condition.get("status"):
            same = {}
        since = condition.get("lastTransitionTime") or same.get("lastTransitionTime")
        condition["lastTransitionTime"] = since or now


def _check_subject(a: Attributes) -> None:
    if get_path(a.obj, "spec", "signerName") != API_CLIENT:
        return
    try:
        asked = describe_request(base64.b64decode(get_path(a.obj, "spec", "request", default="")))
    except ValueError as err:
        raise forbidden(a, f"failed to parse CSR: {err}") from err
    if MASTERS in asked.organizations:
        raise forbidden(a, f"use of {API_CLIENT} signer with {MASTERS} group is not allowed")


def _is_signed(new: Obj, old: Obj) -> bool:
    """What only signers write has changed; the decision is kept out of /status anyway."""
    return any(
        get_path(new, "status", part) != get_path(old, "status", part)
        for part in ("certificate", "conditions")
    )


def _of_signer(verb: str, name: str) -> RequestInfo:
    return RequestInfo(
        is_resource=True,
        verb=verb,
        group=CERTIFICATE_SIGNING_REQUEST.group,
        version="*",
        resource="signers",
        name=name,
    )
