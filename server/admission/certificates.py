"""Certificates: who approves or signs a CertificateSigningRequest must be allowed to for its
signer, and nobody asks for a certificate that may do everything.

As plugin/pkg/admission/certificates: approval, signing and subjectrestriction. The verbs
``approve`` and ``sign`` are on the resource ``signers``, by the signer's name or ``domain/*``.
"""

import base64
from collections.abc import Callable

from edgek.api.meta import Obj, get_path
from edgek.kinds.certificate_signing_request import CERTIFICATE_SIGNING_REQUEST
from edgek.pki.requests import describe_request
from server.admission.chain import Attributes
from server.admission.refusal import forbidden
from server.request.info import RequestInfo
from server.request.model import User
from server.request.principals import MASTERS

May = Callable[[User, RequestInfo], bool]
API_CLIENT = "kubernetes.io/kube-apiserver-client"


class Certificates:
    def __init__(self, *, may: May) -> None:
        self._may = may

    async def admit(self, attributes: Attributes) -> None:
        """Changes nothing."""

    async def validate(self, attributes: Attributes) -> None:
        a = attributes
        if a.kind.storage_prefix != CERTIFICATE_SIGNING_REQUEST.storage_prefix:
            return
        match a.operation, a.subresource:
            case "CREATE", "":
                _check_subject(a)
            case "UPDATE", "approval":
                self._check_signer(a, "approve")
            case "UPDATE", "status" if _is_signed(a.obj, a.old or {}):
                self._check_signer(a, "sign")

    def _check_signer(self, a: Attributes, verb: str) -> None:
        signer = get_path(a.old, "spec", "signerName", default="")
        domain = signer.partition("/")[0]
        if MASTERS in a.user.groups:
            return
        if not any(self._may(a.user, _of_signer(verb, n)) for n in (signer, f"{domain}/*")):
            text = f'user not permitted to {verb} requests with signerName "{signer}"'
            raise forbidden(a, text)


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
