"""Service-account tokens: signed by us, not expired, meant for us, and all they name still there.

As pkg/serviceaccount/jwt.go and claims.go. Signatures are verified once per token and remembered;
dates and the bound objects are looked at on every request, so that deleting a pod or an account
ends its tokens at once. The tokens of Secrets are in ``legacy.py``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from edgek.aio.clock import Clock
from edgek.api.errors import Unauthorized
from edgek.api.meta import Key, Obj, get_path, uid
from edgek.api.time import parse_time
from edgek.kinds.kind import Kind
from edgek.kinds.node import NODE
from edgek.kinds.pod import POD
from edgek.kinds.secret import SECRET
from edgek.kinds.service_account import SERVICE_ACCOUNT
from server.authn.authenticator import TokenOwner
from server.authn.bearer import bearer_owner
from server.authn.jwt import Claims, looks_like_jwt, peek_claims
from server.authn.tokens import TokenIssuer
from server.request.model import Request, User
from server.request.principals import CREDENTIAL_ID, account_groups, service_account_user
from server.request.reader import Reader

LEEWAY = timedelta(seconds=60)
"""For clocks, and for a pod's last words after its grace period."""
_EXTRA = "authentication.kubernetes.io/"
INVALIDATED = "service account token has been invalidated"


class ServiceAccountAuthenticator:
    def __init__(self, *, issuer: TokenIssuer, reader: Reader, clock: Clock) -> None:
        self._issuer = issuer
        self._reader = reader
        self._clock = clock
        self._read = lru_cache(maxsize=1024)(self._verify)

    async def authenticate(self, request: Request) -> User | None:
        owner = await bearer_owner(request, self)
        return owner.user if owner else None

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenOwner | None:
        if not looks_like_jwt(token):
            return None
        try:
            known = self._read(token)
            return self._checked(known, audiences or self._issuer.audiences) if known else None
        except (ValueError, KeyError, TypeError) as err:
            raise Unauthorized from err

    def _verify(self, token: str) -> "_Known | None":
        """What is true of a token for ever; None where it is none of ours. Raises ValueError,
        KeyError or TypeError for claims that do not hold."""
        if peek_claims(token).get("iss") not in self._issuer.accepted:
            return None
        claims = self._issuer.key.verify(token)
        private = claims["kubernetes.io"]
        namespace, account = private["namespace"], private["serviceaccount"]
        user_name = service_account_user(namespace, account["name"])
        if claims["sub"] != user_name:
            raise ValueError("the subject is not the account")
        user = User(
            name=user_name,
            uid=account["uid"],
            groups=account_groups(namespace),
            extra=_extra(claims),
        )
        return _Known(
            user=user,
            audiences=tuple(claims["aud"]),
            since=_moment(claims["nbf"]) - LEEWAY,
            until=_moment(claims["exp"]) + LEEWAY,
            objects=tuple(_objects(private)),
        )

    def _checked(self, known: "_Known", wanted: Sequence[str]) -> TokenOwner:
        meant = [audience for audience in known.audiences if audience in wanted]
        if not meant:
            raise ValueError(
                f"token audiences {_quoted(known.audiences)} is invalid for the target audiences "
                f"{_quoted(wanted)}"
            )
        now = self._clock.now()
        if now > known.until:
            raise ValueError("service account token has expired")
        if now < known.since:
            raise ValueError("service account token is not valid yet")
        for kind, namespace, ref in known.objects:
            self._check_object(kind, namespace, ref, now)
        return TokenOwner(user=known.user, audiences=meant)

    def _check_object(self, kind: Kind, namespace: str, ref: Obj, now: datetime) -> None:
        obj = self._reader.get(kind, Key(namespace, ref["name"]))
        if obj is None or uid(obj) != ref["uid"]:
            raise ValueError(INVALIDATED)
        deleted = get_path(obj, "metadata", "deletionTimestamp")
        if deleted and now > parse_time(deleted) + LEEWAY:
            raise ValueError(INVALIDATED)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """A token whose signature is good: whose it is, for whom, when, and while which objects
    exist."""

    user: User
    audiences: Sequence[str]
    since: datetime
    until: datetime
    objects: Sequence[tuple[Kind, str, Obj]]


def _quoted(texts: Sequence[str]) -> str:
    return "[" + " ".join(f'"{text}"' for text in texts) + "]"


def _objects(private: Claims) -> Iterator[tuple[Kind, str, Obj]]:
    namespace = private["namespace"]
    yield SERVICE_ACCOUNT, namespace, private["serviceaccount"]
    if "pod" in private:
        yield POD, namespace, private["pod"]
    elif "node" in private:  # beside a pod it only informs: the pod is the binding
        yield NODE, "", private["node"]
    if "secret" in private:
        yield SECRET, namespace, private["secret"]


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _extra(claims: Claims) -> dict[str, tuple[str, ...]]:
    extra: dict[str, tuple[str, ...]] = {CREDENTIAL_ID: (f"JTI={claims['jti']}",)}
    for label in ("pod", "node"):
        if ref := claims["kubernetes.io"].get(label):
            extra[f"{_EXTRA}{label}-name"] = (ref["name"],)
            if ref.get("uid"):
                extra[f"{_EXTRA}{label}-uid"] = (ref["uid"],)
    return extra
