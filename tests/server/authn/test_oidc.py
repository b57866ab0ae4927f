"""Users of an OpenID provider log in with its tokens, over real HTTPS."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from edgek.aio.clock import FakeClock
from edgek.api.errors import Unauthorized
from server.authn.jws import verify
from server.authn.oidc import OidcAuthenticator, check_claims, user_from
from server.config_identity import SIGNING_ALGS, OidcConfig
from server.request.model import Request, User
from tests.support.oidc_provider import Key, Provider, oidc_provider

CONFIG = OidcConfig(
    issuer="https://id.example.com",
    client_id="edgek",
    username_claim="sub",
    username_prefix="oidc:",
    groups_claim="groups",
    groups_prefix="oidc:",
    required_claims={},
    ca_pem=b"",
    signing_algs=("RS256",),
)


def authenticator(provider: Provider, clock: FakeClock) -> OidcAuthenticator:
    assert provider.peer is not None
    config = replace(CONFIG, issuer=provider.issuer, ca_pem=provider.peer.ca.certificate)
    return OidcAuthenticator(config, api_audiences=("api",), clock=clock)


def claims_of(provider: Provider, clock: FakeClock, **more: Any) -> dict[str, Any]:
    soon = (clock.now() + timedelta(hours=1)).timestamp()
    return {"iss": provider.issuer, "aud": "edgek", "sub": "jane", "exp": int(soon), **more}


def bearing(token: str) -> Request:
    return Request(method="GET", path="/", headers={"authorization": f"Bearer {token}"})


async def test_a_token_of_the_provider_logs_its_user_in() -> None:
    key, clock = Key("k1"), FakeClock()
    async with oidc_provider(key) as provider:
        login = authenticator(provider, clock)
        token = key.sign(claims_of(provider, clock, groups=["dev"]))
        for _ in range(3):
            user = await login.authenticate(bearing(token))
            assert user == User(name="oidc:jane", groups=("oidc:dev", "system:authenticated"))
        assert provider.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_nothing_is_fetched_before_the_first_token_comes() -> None:
    key, clock = Key("k1"), FakeClock()
    async with oidc_provider(key) as provider:
        login = authenticator(provider, clock)
        other = key.sign({**claims_of(provider, clock), "iss": "https://other"})
        assert await login.authenticate(bearing(other)) is None
        assert await login.authenticate(bearing("no-jwt")) is None
        assert provider.asked == []


async def test_new_keys_are_found_and_unknown_ones_do_not_make_us_ask_all_the_time() -> None:
    old, new, clock = Key("k1"), Key("k2"), FakeClock()
    async with oidc_provider(old) as provider:
        login = authenticator(provider, clock)
        claims = claims_of(provider, clock)
        assert await login.authenticate(bearing(old.sign(claims)))
        provider.keys = [new]
        assert await login.authenticate(bearing(old.sign(claims)))
        for _ in range(3):
            with pytest.raises(Unauthorized):
                await login.authenticate(bearing(new.sign(claims)))
        assert provider.asked.count("/keys") == 1
        clock.advance(11)
        assert await login.authenticate(bearing(new.sign(claims)))
        assert provider.asked.count("/keys") == 2


async def test_a_provider_that_is_down_is_a_refusal_and_its_known_keys_hold() -> None:
    key, clock = Key("k1"), FakeClock()
    async with oidc_provider(key) as provider:
        known, unknown = authenticator(provider, clock), authenticator(provider, clock)
        token = key.sign(claims_of(provider, clock))
        assert await known.authenticate(bearing(token))
    assert await known.authenticate(bearing(token))
    with pytest.raises(Unauthorized) as caught:
        await unknown.authenticate(bearing(token))
    assert str(caught.value.__cause__) == "oidc: verify token: no key of the provider fits"


async def test_a_discovery_document_of_another_issuer_is_not_believed() -> None:
    key, clock = Key("k1"), FakeClock()
    async with oidc_provider(key) as provider:
        provider.claimed_issuer = "https://other"
        with pytest.raises(Unauthorized):
            await authenticator(provider, clock).authenticate(
                bearing(key.sign(claims_of(provider, clock)))
            )
        assert "/keys" not in provider.asked


async def test_a_forged_token_is_refused_without_being_quoted() -> None:
    key, clock = Key("k1"), FakeClock()
    async with oidc_provider(key) as provider:
        forged = Key("k1").sign(claims_of(provider, clock))
        with pytest.raises(Unauthorized) as caught:
            await authenticator(provider, clock).authenticate(bearing(forged))
        assert str(caught.value.__cause__) == "oidc: verify token: invalid signature"
        head, _, signature = forged.rpartition(".")
        assert head not in repr(caught.value)
        assert signature not in repr(caught.value)


async def test_such_a_user_is_meant_for_this_api_and_no_other() -> None:
    key, clock = Key("k1"), FakeClock()
    async with oidc_provider(key) as provider:
        login, token = authenticator(provider, clock), key.sign(claims_of(provider, clock))
        owner = await login.authenticate_token(token, ("vault", "api"))
        assert owner is not None
        assert list(owner.audiences) == ["api"]
        assert await login.authenticate_token(token, ("vault",)) is None


@pytest.mark.parametrize("algorithm", SIGNING_ALGS)
def test_each_algorithm_verifies_what_it_signed_and_only_that(algorithm: str) -> None:
    key, other = Key("k", algorithm), Key("k", algorithm)
    token = key.sign({"sub": "jane"})
    assert verify(token, dict(key.jwk()), SIGNING_ALGS) == {"sub": "jane"}
    head, _, signature = token.rpartition(".")
    for bad_token, jwk in (
        (token, other.jwk()),
        (f"{head}x.{signature}", key.jwk()),
        (f"{head}.{signature[:-8]}", key.jwk()),
        (f"{head}.", key.jwk()),
    ):
        with pytest.raises(ValueError, match=r"invalid signature|malformed|JSON|unexpected"):
            verify(bad_token, dict(jwk), SIGNING_ALGS)
    with pytest.raises(ValueError, match="not accepted"):
        verify(token, dict(key.jwk()), tuple(a for a in SIGNING_ALGS if a != algorithm))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256"])
def test_the_token_does_not_choose_what_its_key_is_used_for(algorithm: str) -> None:
    key = Key("k", "RS256")
    jwk = {k: v for k, v in key.jwk().items() if k != "alg"}
    with pytest.raises(ValueError, match=r"not accepted|not one for this algorithm"):
        verify(key.sign({}, algorithm=algorithm), jwk, SIGNING_ALGS)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": "other"}, "for another audience"),
        ({"aud": ["other"]}, "for another audience"),
        ({"exp": 999}, "token is expired"),
        ({"exp": None}, "token is expired"),
        ({"exp": "2000"}, "token is expired"),
        ({"nbf": 5000}, "not valid yet"),
        ({"hd": None}, "required claim hd"),
        ({"hd": "b.org"}, "required claim hd value does not match"),
    ],
)
def test_a_token_that_is_not_for_us_is_refused(claims: Mapping[str, Any], words: str) -> None:
    good = {"aud": ["x", "edgek"], "exp": 2000, "nbf": 900, "hd": "a.org"}
    config = replace(CONFIG, required_claims={"hd": "a.org"})
    check_claims(good, config, now=1000)
    with pytest.raises(ValueError, match=words):
        check_claims({**good, **claims}, config, now=1000)


@pytest.mark.parametrize(
    ("claims", "fields", "name", "groups"),
    [
        ({"sub": "a"}, {}, "oidc:a", []),
        ({"sub": "a", "groups": "dev"}, {}, "oidc:a", ["oidc:dev"]),
        ({"sub": "a", "groups": ["x", "y"]}, {"groups_claim": ""}, "oidc:a", []),
        (
            {"email": "a@b", "email_verified": True},
            {"username_claim": "email", "username_prefix": ""},
            "a@b",
            [],
        ),
    ],
)
def test_claims_become_a_user(
    claims: dict[str, Any], fields: Any, name: str, groups: list[str]
) -> None:
    user = user_from(claims, replace(CONFIG, **fields))
    assert (user.name, user.groups) == (name, (*groups, "system:authenticated"))


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({}, 'parse username claims "email": claim not present'),
        ({"email": 7}, "claim is no text"),
        ({"email": "a@b", "email_verified": False}, "email not verified"),
        ({"email": "a@b", "email_verified": "true"}, "email not verified"),
        ({"email": "a@b", "groups": [1]}, 'parse groups claim "groups"'),
        ({"email": "a@b", "groups": {"a": "b"}}, 'parse groups claim "groups"'),
    ],
)
def test_claims_of_the_wrong_form_are_refused(claims: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        user_from(claims, replace(CONFIG, username_claim="email"))
