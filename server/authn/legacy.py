"""Legacy tokens: those in Secrets of type kubernetes.io/service-account-token. Only under
--legacy-service-account-tokens.

They never expire and name no audience; they hold while their Secret holds them and their account
exists. As pkg/serviceaccount/legacy.go. ``server/controllers/service_account_tokens.py`` makes
them, ``UsedTokens`` tells it which of them are in use.
"""

import asyncio
import base64
import hmac
from collections.abc import Mapping, Sequence
from functools import lru_cache

from edgek.api.errors import Unauthorized
from edgek.api.meta import Key, Obj, annotations, get_path, is_deleting, labels, name, uid
from edgek.kinds.secret import SECRET, SERVICE_ACCOUNT_NAME
from edgek.kinds.service_account import SERVICE_ACCOUNT
from server.authn.authenticator import TokenOwner
from server.authn.bearer import bearer_token
from server.authn.jwt import Claims, SigningKey, looks_like_jwt, peek_claims
from server.authn.tokens import TokenIssuer
from server.request.model import Request, User
from server.request.principals import account_groups, service_account_user
from server.request.reader import Reader

ISSUER = "kubernetes/serviceaccount"
TOKEN_TYPE = "kubernetes.io/service-account-token"
SERVICE_ACCOUNT_UID = "kubernetes.io/service-account.uid"
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
_CLAIM = f"{ISSUER}/"
_OLD = (
    "Use tokens from the TokenRequest API or manually created secret-based tokens instead of "
    "auto-generated secret-based tokens."
)
_MOST_USED = 1000


def mint_legacy(key: SigningKey, account: Obj, secret_name: str) -> str:
    """The token to put into that Secret of the account; the same one each time but for its
    signature."""
    namespace = account["metadata"]["namespace"]
    return key.sign(
        {
            "iss": ISSUER,
            f"{_CLAIM}namespace": namespace,
            f"{_CLAIM}secret.name": secret_name,
            f"{_CLAIM}service-account.name": name(account),
            f"{_CLAIM}service-account.uid": uid(account),
            "sub": service_account_user(namespace, name(account)),
        }
    )


def account_key(secret: Obj) -> Key:
    """The account a token Secret is of."""
    return Key(secret["metadata"]["namespace"], annotations(secret).get(SERVICE_ACCOUNT_NAME, ""))


class UsedTokens:
    """Secrets whose tokens were seen on a day, told once each day. Bounded: where there are more,
    some are told again."""

    def __init__(self) -> None:
        self._days: dict[Key, str] = {}
        self._new: dict[Key, str] = {}
        self._some = asyncio.Event()

    def note(self, secret: Key, day: str) -> None:
        if self._days.get(secret) == day or len(self._new) >= _MOST_USED:
            return
        if len(self._days) >= _MOST_USED:
            self._days.clear()
        self._days[secret] = self._new[secret] = day
        self._some.set()

    async def take(self) -> Mapping[Key, str]:
        """Secret -> day; waits until there are any."""
        await self._some.wait()
        self._some.clear()
        new, self._new = self._new, {}
        return new


class LegacyTokenAuthenticator:
    def __init__(self, *, issuer: TokenIssuer, reader: Reader, used: UsedTokens) -> None:
        self._issuer = issuer
        self._reader = reader
        self._used = used
        self._read = lru_cache(maxsize=256)(self._verify)

    async def authenticate(self, request: Request) -> User | None:
        token = bearer_token(request)
        owner = await self.authenticate_token(token, ()) if token else None
        if owner is not None and self._is_generated(self._read(token)):
            request.warnings.append(_OLD)
        return owner.user if owner else None

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenOwner | None:
        if not looks_like_jwt(token) or peek_claims(token).get("iss") != ISSUER:
            return None
        meant = [a for a in self._issuer.audiences if not audiences or a in audiences]
        if not meant:
            return None
        try:
            claims = self._read(token)
            user = self._checked(claims, token)
        except (ValueError, KeyError, TypeError) as err:
            raise Unauthorized from err
        self._used.note(_secret_key(claims), self._issuer.clock.now().date().isoformat())
        return TokenOwner(user=user, audiences=meant)

    def _verify(self, token: str) -> Claims:
        claims = self._issuer.key.verify(token)
        namespace = claims[f"{_CLAIM}namespace"]
        if claims["sub"] != service_account_user(
            namespace, claims[f"{_CLAIM}service-account.name"]
        ):
            raise ValueError("sub claim does not match the service account")
        return claims

    def _checked(self, claims: Claims, token: str) -> User:
        """Raises ValueError where the Secret or the account is no longer what it was."""
        secret = self._reader.get(SECRET, _secret_key(claims))
        if secret is None or is_deleting(secret):
            raise ValueError("service account token has been invalidated")
        stored = base64.b64decode(get_path(secret, "data", "token", default=""))
        if not hmac.compare_digest(stored, token.encode()):
            raise ValueError("service account token does not match server's copy")
        if INVALID_SINCE in labels(secret):
            raise ValueError("the token's secret has been marked invalid")
        account = self._reader.get(SERVICE_ACCOUNT, _account_key(claims))
        if account is None or is_deleting(account):
            raise ValueError("service account has been deleted")
        if uid(account) != claims[f"{_CLAIM}service-account.uid"]:
            raise ValueError("the service account's UID does not match the claim")
        key = _account_key(claims)
        return User(
            name=service_account_user(key.namespace, key.name),
            uid=uid(account),
            groups=account_groups(key.namespace),
        )

    def _is_generated(self, claims: Claims) -> bool:
        """Whether the account lists the Secret, as those that we made ourselves."""
        account = self._reader.get(SERVICE_ACCOUNT, _account_key(claims)) or {}
        wanted = _secret_key(claims).name
        return any(ref.get("name") == wanted for ref in account.get("secrets") or ())


def _secret_key(claims: Claims) -> Key:
    return Key(claims[f"{_CLAIM}namespace"], claims[f"{_CLAIM}secret.name"])


def _account_key(claims: Claims) -> Key:
    return Key(claims[f"{_CLAIM}namespace"], claims[f"{_CLAIM}service-account.name"])
