"""Tokens of Secrets hold while their Secret holds them, and no longer."""

import base64
from typing import Any

import pytest

from edgek.aio.clock import FakeClock
from edgek.api.errors import Unauthorized
from edgek.api.meta import Key, Obj
from edgek.kinds import SECRET, SERVICE_ACCOUNT
from edgek.pki.keys import new_key
from server.authn.jwt import SigningKey
from server.authn.legacy import LegacyTokenAuthenticator, UsedTokens, mint_legacy
from server.authn.tokens import TokenIssuer
from server.request.fake import FakeReader
from server.request.model import Request, User

KEY = SigningKey(new_key())
ACCOUNT: Obj = {"metadata": {"name": "web", "namespace": "shop", "uid": "u1"}}
TOKEN = mint_legacy(KEY, ACCOUNT, "t")


def secret(token: str = TOKEN, **meta: Any) -> Obj:
    data = {"token": base64.b64encode(token.encode()).decode()}
    return {"metadata": {"name": "t", "namespace": "shop", **meta}, "data": data}


def authenticator(
    reader: FakeReader, clock: FakeClock | None = None, used: UsedTokens | None = None
) -> LegacyTokenAuthenticator:
    issuer = TokenIssuer(issuer="https://k", key=KEY, clock=clock or FakeClock())
    return LegacyTokenAuthenticator(issuer=issuer, reader=reader, used=used or UsedTokens())


def bearing(token: str) -> Request:
    return Request(method="GET", path="/", headers={"authorization": f"Bearer {token}"})


async def test_its_holder_is_the_account() -> None:
    reader = FakeReader((SERVICE_ACCOUNT, ACCOUNT), (SECRET, secret()))
    request = bearing(TOKEN)
    assert await authenticator(reader).authenticate(request) == User(
        name="system:serviceaccount:shop:web",
        uid="u1",
        groups=("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"),
    )
    assert request.warnings == []


async def test_who_uses_one_that_was_made_for_the_account_is_told_of_better_ones() -> None:
    listing = {**ACCOUNT, "secrets": [{"name": "t"}]}
    reader, request = FakeReader((SERVICE_ACCOUNT, listing), (SECRET, secret())), bearing(TOKEN)
    assert await authenticator(reader).authenticate(request)
    assert request.warnings[0].startswith("Use tokens from the TokenRequest API")


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([(SERVICE_ACCOUNT, ACCOUNT)], "has been invalidated"),
        ([(SERVICE_ACCOUNT, ACCOUNT), (SECRET, secret("other"))], "does not match server's copy"),
        (
            [(SERVICE_ACCOUNT, ACCOUNT), (SECRET, secret(deletionTimestamp="x"))],
            "has been invalidated",
        ),
        (
            [
                (SERVICE_ACCOUNT, ACCOUNT),
                (SECRET, secret(labels={"kubernetes.io/legacy-token-invalid-since": "x"})),
            ],
            "has been marked invalid",
        ),
        ([(SECRET, secret())], "service account has been deleted"),
        (
            [
                (SERVICE_ACCOUNT, {"metadata": {**ACCOUNT["metadata"], "uid": "u2"}}),
                (SECRET, secret()),
            ],
            "UID does not match",
        ),
    ],
)
async def test_it_ends_with_its_secret_and_its_account(objects: Any, words: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        await authenticator(FakeReader(*objects)).authenticate(bearing(TOKEN))
    assert words in str(caught.value.__cause__)
    assert TOKEN not in str(caught.value.__cause__)


async def test_a_token_that_another_key_signed_is_refused() -> None:
    forged = mint_legacy(SigningKey(new_key()), ACCOUNT, "t")
    reader = FakeReader((SERVICE_ACCOUNT, ACCOUNT), (SECRET, secret(forged)))
    with pytest.raises(Unauthorized):
        await authenticator(reader).authenticate(bearing(forged))


async def test_its_use_is_told_once_a_day() -> None:
    clock, used = FakeClock(), UsedTokens()
    reader = FakeReader((SERVICE_ACCOUNT, ACCOUNT), (SECRET, secret()))
    takes, key = authenticator(reader, clock, used), Key("shop", "t")
    await takes.authenticate(bearing(TOKEN))
    today = clock.now().date().isoformat()
    assert await used.take() == {key: today}
    await takes.authenticate(bearing(TOKEN))
    clock.advance(86400)
    await takes.authenticate(bearing(TOKEN))
    assert await used.take() == {key: clock.now().date().isoformat()}
    assert today != clock.now().date().isoformat()
