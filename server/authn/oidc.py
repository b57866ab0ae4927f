"""OpenID Connect: ID tokens of a provider, who vouches for users outside of Kubernetes.

As apiserver plugin/pkg/authenticator/token/oidc, without distributed claims. Only tokens that
name our provider as their issuer are looked at; what is wrong with one is said without it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from edgek.aio.clock import Clock
from edgek.api.errors import Unauthorized
from server.authn.authenticator import TokenOwner
from server.authn.bearer import bearer_owner
from server.authn.jws import key_id, verify
from server.authn.jwt import Claims, looks_like_jwt, peek_claims
from server.authn.oidc_keys import ProviderKeys
from server.config_identity import OidcConfig
from server.request.model import Request, User
from server.request.principals import AUTHENTICATED

_FRESH_SECONDS = 10.0
_MOST_FRESH = 256


class OidcAuthenticator:
    def __init__(self, config: OidcConfig, *, api_audiences: Sequence[str], clock: Clock) -> None:
        self._config = config
        self._api_audiences = api_audiences
        self._clock = clock
        self._keys = ProviderKeys(config.issuer, ca_pem=config.ca_pem, clock=clock)
        self._fresh: dict[str, tuple[float, Claims]] = {}

    async def authenticate(self, request: Request) -> User | None:
        owner = await bearer_owner(request, self)
        return owner.user if owner else None

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenOwner | None:
        """A user of ours is meant for this API, whatever else the token says."""
        if not looks_like_jwt(token) or peek_claims(token).get("iss") != self._config.issuer:
            return None
        meant = [a for a in self._api_audiences if not audiences or a in audiences]
        if not meant:
            return None
        try:
            now = self._clock.now().timestamp()
            claims = await self._known(token, now)
            check_claims(claims, self._config, now=now)
            return TokenOwner(user=user_from(claims, self._config), audiences=meant)
        except ValueError as err:
            raise Unauthorized from err

    async def _known(self, token: str, now: float) -> Claims:
        """A signature that was good is good for some seconds more, as upstream's token cache:
        RSA on every request is much for a small board."""
        until, claims = self._fresh.get(token, (0.0, {}))
        if now < until:
            return claims
        claims = await self._verified(token)
        if len(self._fresh) >= _MOST_FRESH:
            self._fresh.clear()
        self._fresh[token] = (now + _FRESH_SECONDS, claims)
        return claims

    async def _verified(self, token: str) -> Claims:
        keys = await self._keys.find(key_id(token))
        if not keys:
            raise ValueError("oidc: verify token: no key of the provider fits")
        problem = ValueError()
        for key in keys:
            try:
                return verify(token, dict(key), self._config.signing_algs)
            except ValueError as err:
                problem = err
        raise ValueError(f"oidc: verify token: {problem}")


def check_claims(claims: Claims, config: OidcConfig, *, now: float) -> None:
    """Raises ValueError where the token is not for us, or not now."""
    meant = claims.get("aud")
    if config.client_id not in (meant if isinstance(meant, list) else [meant]):
        raise ValueError("oidc: verify token: the token is for another audience")
    if not isinstance(expires := claims.get("exp"), int | float) or expires < now:
        raise ValueError("oidc: verify token: oidc: token is expired")
    if isinstance(begins := claims.get("nbf"), int | float) and begins > now + 300:
        raise ValueError("oidc: verify token: the token is not valid yet")
    for claim, wanted in config.required_claims.items():
        if claim not in claims:
            raise ValueError(f"oidc: required claim {claim} not present in ID token")
        if claims[claim] != wanted:
            raise ValueError(f"oidc: required claim {claim} value does not match")


def user_from(claims: Claims, config: OidcConfig) -> User:
    """Raises ValueError where a claim is missing or of another type."""
    groups = [f"{config.groups_prefix}{group}" for group in _groups(claims, config.groups_claim)]
    name = f"{config.username_prefix}{_username(claims, config.username_claim)}"
    return User(name=name, groups=(*groups, AUTHENTICATED))


def _username(claims: Mapping[str, Any], claim: str) -> str:
    found = claims.get(claim)
    if not isinstance(found, str) or not found:
        why = "claim not present" if found is None else "claim is no text, or empty"
        raise ValueError(f'oidc: parse username claims "{claim}": {why}')
    if claim == "email" and claims.get("email_verified", True) is not True:
        raise ValueError("oidc: email not verified")
    return found


def _groups(claims: Mapping[str, Any], claim: str) -> Sequence[str]:
    """None, one, or a list of them."""
    found = claims.get(claim) if claim else None
    if found is None:
        return ()
    groups = [found] if isinstance(found, str) else found
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise ValueError(f'oidc: parse groups claim "{claim}": neither text nor a list of it')
    return groups
