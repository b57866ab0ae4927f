"""Issues service-account tokens: the TokenRequest subresource, without its HTTP.

As registry/core/serviceaccount/storage/token.go and pkg/serviceaccount/claims.go. A token may be
bound to a pod, secret or node and is worthless when that object is gone; the check is in
``service_account.py``.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from edgek.aio.clock import Clock
from edgek.api.errors import BadRequest, Conflict, Invalid, NotFound
from edgek.api.meta import Key, Obj, get_path, name, namespace, uid
from edgek.api.time import format_time
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.kind import Kind
from edgek.kinds.node import NODE
from edgek.kinds.pod import POD
from edgek.kinds.secret import SECRET
from edgek.kinds.service_account import SERVICE_ACCOUNT
from server.authn.jwt import Claims, SigningKey
from server.request.principals import service_account_user
from server.request.reader import Reader

TOKEN_REQUEST = Kind(
    group="authentication.k8s.io", version="v1", kind="TokenRequest", plural="tokenrequests"
)
MIN_SECONDS = 600
MAX_SECONDS = 1 << 32
WARN_AFTER = 3607
"""Tokens that the kubelet mounts by default ask for exactly this many seconds. They live a year,
for programs that read their token only once: as ServiceAccountTokenGenerator's extended expiry."""
_YEAR = timedelta(days=365)
_BINDABLE: tuple[tuple[str, str, Kind], ...] = (
    ("Pod", "pod", POD), ("Secret", "secret", SECRET), ("Node", "node", NODE),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TokenIssuer:
    """Our name, key and audiences. ``also`` are names of ours whose tokens are taken as well,
    ``api_audiences`` whom a token must be meant for that is shown to this API."""

    issuer: str
    key: SigningKey
    clock: Clock
    also: tuple[str, ...] = ()
    api_audiences: tuple[str, ...] = ()
    max_seconds: int = 0
    """Longer tokens are shortened to this; 0 for no such limit."""

    @property
    def accepted(self) -> tuple[str, ...]:
        return (self.issuer, *self.also)

    @property
    def audiences(self) -> tuple[str, ...]:
        """For whom a token must be meant that is shown to this API."""
        return self.api_audiences or self.accepted

    def sign(self, claims: Claims) -> str:
        return self.key.sign(claims)


def issue_token(
    request: Obj,
    *,
    account: Key,
    reader: Reader,
    issuer: TokenIssuer,
    dry_run: bool = False,
    warn: Callable[[str], None] = lambda text: None,
) -> Obj:
    """The TokenRequest with its status. Raises NotFound, Invalid, BadRequest or Conflict."""
    found = reader.get(SERVICE_ACCOUNT, account)
    if found is None:
        raise NotFound.of(SERVICE_ACCOUNT, account.name)
    _check_metadata(request, account)
    spec = _checked_spec(request, issuer.audiences)
    bound = _bound_objects(spec, found, reader)
    seconds, most = spec["expirationSeconds"], issuer.max_seconds
    if most and seconds > most:
        warn(f"requested expiration of {seconds} seconds shortened to {most} seconds")
        spec["expirationSeconds"] = most
    now = issuer.clock.now()
    lifetime, warn_after = _lifetime(spec, bound, issuer.audiences)
    shown_end = now + timedelta(seconds=spec["expirationSeconds"])
    claims: Claims = {
        "aud": spec["audiences"],
        "exp": int((now + lifetime).timestamp()),
        "iat": int(now.timestamp()),
        "nbf": int(now.timestamp()),
        "iss": issuer.issuer,
        "jti": str(uuid.uuid4()),
        "sub": service_account_user(account.namespace, account.name),
        "kubernetes.io": {
            "namespace": account.namespace,
            "serviceaccount": {"name": account.name, "uid": uid(found)},
            **{label: _claim(obj) for label, obj in bound.items()},
        },
    }
    if warn_after:
        claims["kubernetes.io"]["warnafter"] = int(shown_end.timestamp())
    token = "" if dry_run else issuer.sign(claims)
    return _answer(account, spec, token=token, created=format_time(now), end=format_time(shown_end))


def _answer(account: Key, spec: Obj, *, token: str, created: str, end: str) -> Obj:
    return {
        "kind": TOKEN_REQUEST.kind,
        "apiVersion": TOKEN_REQUEST.api_version,
        "metadata": {
            "name": account.name,
            "namespace": account.namespace,
            "creationTimestamp": created,
        },
        "spec": spec,
        "status": {"token": token, "expirationTimestamp": end},
    }


def _check_metadata(request: Obj, account: Key) -> None:
    """What the body says of itself may be left out, but not differ from the URL."""
    errors = FieldErrors()
    for field, wanted in (("name", account.name), ("namespace", account.namespace)):
        given = get_path(request, "metadata", field, default="")
        if given not in ("", wanted):
            text = f"must match the service account {field} if specified"
            errors.invalid(FieldPath("metadata").child(field), given, text)
    if errors:
        raise Invalid.of(TOKEN_REQUEST, account.name, errors)


def _checked_spec(request: Obj, audiences: Sequence[str]) -> Obj:
    """A copy of the spec with defaults filled in."""
    spec = request.get("spec") or {}
    seconds = spec.get("expirationSeconds")
    errors, path = FieldErrors(), FieldPath("spec").child("expirationSeconds")
    if seconds is None:
        seconds = 3600
    elif not isinstance(seconds, int) or isinstance(seconds, bool):
        errors.wrong_type(path, seconds, "must be an integer")
    elif seconds < MIN_SECONDS:
        errors.invalid(path, seconds, "may not specify a duration less than 10 minutes")
    elif seconds > MAX_SECONDS:
        errors.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")
    if errors:
        raise Invalid.of(TOKEN_REQUEST, "", errors)
    wanted = list(spec.get("audiences") or audiences)
    return {**spec, "audiences": wanted, "expirationSeconds": seconds}


def _bound_objects(spec: Obj, account: Obj, reader: Reader) -> dict[str, Obj]:
    """Claim label -> object. A pod brings its node along, as upstream since 1.30."""
    ref = spec.get("boundObjectRef")
    if not ref:
        return {}
    label, kind = _bindable(ref)
    space = namespace(account) if kind.namespaced else ""
    obj = reader.get(kind, Key(space, str(ref.get("name") or "")))
    if obj is None:
        raise NotFound.of(kind, str(ref.get("name") or ""))
    if ref.get("uid") and ref["uid"] != uid(obj):
        why = (
            f"the UID in the bound object reference ({ref['uid']}) does not match the UID in "
            "record. The object might have been deleted and then recreated"
        )
        raise Conflict.of(kind, name(obj), why)
    if kind is POD:
        _check_runs_as(obj, account)
        return {label: obj, **_node_of(obj, reader)}
    return {label: obj}


def _node_of(pod: Obj, reader: Reader) -> dict[str, Obj]:
    """Also of a node that is gone: its name alone still says where the pod runs."""
    node = get_path(pod, "spec", "nodeName", default="")
    if not node:
        return {}
    return {"node": reader.get(NODE, Key("", node)) or {"metadata": {"name": node}}}


def _claim(obj: Obj) -> Claims:
    return {"name": name(obj), **({"uid": found} if (found := uid(obj)) else {})}


def _bindable(ref: Any) -> tuple[str, Kind]:
    kind_name, api_version = get_path(ref, "kind"), get_path(ref, "apiVersion", default="v1")
    for known, label, kind in _BINDABLE:
        if kind_name == known and api_version == "v1":
            return label, kind
    # As GroupVersionKind.String writes it: the core group is empty and keeps its slash.
    shown = api_version if "/" in api_version else f"/{api_version}"
    raise BadRequest(f"cannot bind token to object of type {shown}, Kind={kind_name or ''}")


def _check_runs_as(pod: Obj, account: Obj) -> None:
    if get_path(pod, "spec", "serviceAccountName") != name(account):
        raise BadRequest(
            f'cannot bind token for serviceaccount "{name(account)}" to pod running with '
            "different serviceaccount name."
        )


def _lifetime(spec: Obj, bound: dict[str, Obj], audiences: Sequence[str]) -> tuple[timedelta, bool]:
    """(how long it works, whether the end it shows comes earlier)."""
    seconds = spec["expirationSeconds"]
    if "pod" in bound and seconds == WARN_AFTER and spec["audiences"] == list(audiences):
        return _YEAR, True
    return timedelta(seconds=seconds), False
