"""AdmissionReview: the question to a webhook, and what its answer means. Pure.

As apiserver pkg/admission/plugin/webhook/request and webhook/errors; sentences are upstream's.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from edgek.api.errors import ApiError, Refused
from edgek.api.meta import Obj
from edgek.kinds import NAMESPACE
from edgek.kinds.kind import Kind
from edgek.kinds.webhook_client_config import REVIEW_VERSIONS
from server.admission.asked import object_type, resource_type
from server.admission.chain import Attributes
from server.admission.webhooks.hooks import Hook
from server.request.model import user_info

GROUP = "admission.k8s.io"


class BadAnswer(Exception):
    """The webhook answered, but not the question."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One call of one webhook, with the objects in the version that it wants."""

    hook: Hook
    kind: Kind
    obj: Obj | None
    old: Obj | None
    uid: str

    @property
    def version(self) -> str:
        """The first version of AdmissionReview that both sides know."""
        return next((v for v in self.hook.review_versions if v in REVIEW_VERSIONS), "v1")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    allowed: bool
    refusal: ApiError | None = None
    patch: Sequence[Any] | None = None
    warnings: Sequence[str] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


def review_of(attributes: Attributes, question: Question) -> Obj:
    """The AdmissionReview to send. NB: ``object`` and its like are null where there is none."""
    kind, request_kind, sub = question.kind, attributes.kind, attributes.subresource
    request: Obj = {
        "uid": question.uid,
        "kind": object_type(kind, sub),
        "resource": resource_type(kind),
        "requestKind": object_type(request_kind, sub),
        "requestResource": resource_type(request_kind),
        "operation": attributes.operation,
        "userInfo": user_info(attributes.user),
        "object": question.obj,
        "oldObject": question.old,
        "dryRun": attributes.dry_run,
        "options": attributes.options or None,
    }
    optional = {
        "subResource": sub,
        "requestSubResource": sub,
        "name": attributes.name,
        # A Namespace counts as in itself (RequestInfo's namespace upstream).
        "namespace": attributes.name if request_kind == NAMESPACE else attributes.namespace,
    }
    request |= {k: v for k, v in optional.items() if v}
    version = f"{GROUP}/{question.version}"
    return {"kind": "AdmissionReview", "apiVersion": version, "request": request}


def verdict_of(answer: Obj, question: Question, *, mutating: bool) -> Verdict:
    """Raises BadAnswer."""
    response = answer.get("response")
    if not isinstance(response, dict):
        raise BadAnswer("webhook response was absent")
    if question.version == "v1":
        _check_v1(answer, response, question.uid, mutating=mutating)
    result, allowed = response.get("status"), response.get("allowed")
    if not isinstance(allowed, bool | None) or not isinstance(result, dict | None):
        raise BadAnswer("webhook response cannot be decoded")
    return Verdict(
        allowed=allowed is True,
        refusal=None if allowed is True else denial(question.hook.name, result),
        patch=_patch(response, question.version) if mutating else None,
        warnings=[w for w in response.get("warnings") or () if isinstance(w, str)],
        annotations=_texts(response.get("auditAnnotations")),
    )


def _check_v1(answer: Obj, response: Obj, uid: str, *, mutating: bool) -> None:
    if response.get("uid", "") != uid:
        raise BadAnswer(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
    version, kind = answer.get("apiVersion") or "", answer.get("kind") or ""
    if (version, kind) != (f"{GROUP}/v1", "AdmissionReview"):
        given = f"{version if '/' in str(version) else f'/{version}'}, Kind={kind}"
        expected = f"{GROUP}/v1, Kind=AdmissionReview"
        raise BadAnswer(f"expected webhook response of {expected}, got {given}")
    patch, patch_type = response.get("patch"), response.get("patchType")
    if not mutating:
        for field_, value in (("patch", patch), ("patchType", patch_type)):
            if value:
                raise BadAnswer(f"validating webhook may not return response.{field_}")
    elif patch and patch_type is None:
        raise BadAnswer("webhook returned response.patch but not response.patchType")
    elif patch_type is not None and not patch:
        raise BadAnswer("webhook returned response.patchType but not response.patch")
    elif patch_type == "":
        raise BadAnswer('webhook returned invalid response.patchType of ""')


def _patch(response: Obj, version: str) -> Sequence[Any] | None:
    text = response.get("patch")
    if not text:
        return None
    kind = response.get("patchType") or ("JSONPatch" if version == "v1beta1" else "")
    if kind != "JSONPatch":
        raise BadAnswer(f'unsupported patch type "{kind}"')
    try:
        patch = orjson.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, TypeError) as err:
        why = f"received undecodable patch in webhook response: {err}"
        raise BadAnswer(why) from err
    if not isinstance(patch, list):
        raise BadAnswer("received undecodable patch in webhook response: it is no list")
    return patch


def _texts(given: Any) -> dict[str, str]:
    found = given if isinstance(given, dict) else {}
    return {k: v for k, v in found.items() if isinstance(v, str)}


def denial(webhook: str, result: Obj | None) -> ApiError:
    """As webhookerrors.ToStatusErr: the webhook's own Status, made one of a failure."""
    status = dict(result or {})
    code = status.get("code")
    status["code"] = code if isinstance(code, int) and 400 <= code <= 599 else 400
    said = status.get("message") or status.get("reason")
    why = f": {said}" if said else " without explanation"
    status["message"] = f'admission webhook "{webhook}" denied the request{why}'
    if not isinstance(status.get("details"), dict | None):
        del status["details"]
    return Refused(status)


TOTAL_WARNING = 4096
ONE_WARNING = 256


def add_warnings(known: list[str], new: Sequence[str]) -> None:
    """Each once, and not without end: from 4096 characters in all on, each is cut to 256, and
    what is beyond is dropped. As apiserver filters/warning.go."""
    for text in new:
        if not text or text in known:
            continue
        used = sum(map(len, known))
        if used + len(text) <= TOTAL_WARNING:
            known.append(text)
        elif used + min(len(text), ONE_WARNING) <= TOTAL_WARNING:
            known.append(text[:ONE_WARNING])
