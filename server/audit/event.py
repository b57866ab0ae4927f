"""One audit event (audit.k8s.io/v1 Event) from what is known of a request. Pure.

As apiserver pkg/audit/request.go. Bodies are in it from the level Request on; what a body holds,
as that of a Secret, is for the policy to leave out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edgek.api.meta import Obj
from server.audit.policy import Detail
from server.request.info import RequestInfo
from server.request.model import Request, User, user_info


@dataclass(kw_only=True)
class Record:
    """What is known of a request so far. ``request_object`` and ``response_object`` are only
    filled where the level wants them; ``status`` once there is an answer."""

    audit_id: str
    detail: Detail
    request: Request
    user: User | None
    received: datetime
    impersonated: User | None = None
    request_object: Any = None
    response_object: Any = None
    status: Obj | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


def build_event(record: Record, stage: str, *, now: datetime) -> Obj:
    request, info = record.request, record.request.info
    event: Obj = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": record.detail.level,
        "auditID": record.audit_id,
        "stage": stage,
        "requestURI": request.path + (f"?{request.raw_query}" if request.raw_query else ""),
        "verb": info.verb,
        "user": user_info(record.user) if record.user else {},
        "sourceIPs": [request.remote or "::1"],  # our own control loops have no socket
        "requestReceivedTimestamp": _stamp(record.received),
        "stageTimestamp": _stamp(now),
    }
    optional = {
        "impersonatedUser": user_info(record.impersonated) if record.impersonated else None,
        "userAgent": request.header("user-agent"),
        "objectRef": _object_ref(info, record) if info.is_resource else None,
        "responseStatus": record.status,
        "requestObject": _body(record.request_object, record.detail),
        "responseObject": _body(record.response_object, record.detail),
        "annotations": dict(record.annotations),
    }
    return event | {key: value for key, value in optional.items() if value}


def status_of(code: int, answer: Any) -> Obj:
    """Of a failure the whole Status but what only repeats it, of the rest the code."""
    if isinstance(answer, dict) and answer.get("kind") == "Status" and code >= 400:
        kept = ("metadata", "status", "message", "reason", "details", "code")
        return {key: answer[key] for key in kept if key in answer}
    return {"metadata": {}, "code": code}


def _object_ref(info: RequestInfo, record: Record) -> Obj:
    created = record.response_object if info.verb == "create" else None
    meta = created.get("metadata") or {} if isinstance(created, dict) else {}
    found = {
        "resource": info.resource,
        "namespace": info.namespace,
        "name": info.name or meta.get("name"),
        "uid": meta.get("uid"),
        "apiGroup": info.group,
        "apiVersion": info.version,
        "resourceVersion": meta.get("resourceVersion"),
        "subresource": info.subresource,
    }
    return {key: value for key, value in found.items() if value}


def _body(body: Any, detail: Detail) -> Any:
    if detail.managed_fields or not isinstance(body, dict):
        return body
    items = [_unmanaged(item) for item in body["items"]] if "items" in body else None
    return _unmanaged(body) | ({"items": items} if items is not None else {})


def _unmanaged(obj: Obj) -> Obj:
    meta = {k: v for k, v in (obj.get("metadata") or {}).items() if k != "managedFields"}
    return {**obj, "metadata": meta} if "metadata" in obj else obj


def _stamp(moment: datetime) -> str:
    """metav1.MicroTime."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
