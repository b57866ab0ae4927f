"""Token Secrets: a Secret of type kubernetes.io/service-account-token holds its account's token.

As pkg/controller/serviceaccount/tokens_controller.go, and as before 1.24 each account is given one
Secret and lists it. They go with their account. Only under --legacy-service-account-tokens.
"""

import base64
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from edgek.api.errors import Conflict, NotFound
from edgek.api.meta import Key, Obj, annotations, is_deleting, key_of, name, uid
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import SECRET, SERVICE_ACCOUNT
from edgek.kinds.secret import SERVICE_ACCOUNT_NAME
from server.authn.legacy import SERVICE_ACCOUNT_UID, TOKEN_TYPE, account_key

Mint = Callable[[Obj, str], str]
"""The token of an account for the Secret of that name."""
_ONLY = f"type={TOKEN_TYPE}"
_OF = "service account"


@dataclass(frozen=True, kw_only=True)
class TokenPlan:
    """``update`` are whole Secrets; ``create``: the account has none that it lists."""

    delete: Sequence[Obj] = ()
    update: Sequence[Obj] = ()
    create: bool = False


def build(context: Context, *, ca_pem: bytes, mint: Mint) -> "TokenSecrets":
    return TokenSecrets(context, ca_pem, mint)


def plan_tokens(
    account: Obj | None, secrets: Sequence[Obj], *, ca_pem: bytes, mint: Mint
) -> TokenPlan:
    if account is None or is_deleting(account):
        return TokenPlan(delete=[s for s in secrets if not is_deleting(s)])
    mine = [s for s in secrets if annotations(s).get(SERVICE_ACCOUNT_UID, uid(account)) ==
            uid(account)]  # fmt: skip
    filled = [(s, filled_secret(s, account, ca_pem=ca_pem, mint=mint)) for s in mine]
    listed = {ref.get("name") for ref in account.get("secrets") or ()}
    return TokenPlan(
        delete=[s for s in secrets if s not in mine and not is_deleting(s)],
        update=[new for old, new in filled if new != old],
        create=not any(name(s) in listed for s in mine if not is_deleting(s)),
    )


def filled_secret(secret: Obj, account: Obj, *, ca_pem: bytes, mint: Mint) -> Obj:
    """With all that is missing; the same where nothing is."""
    data = dict(secret.get("data") or {})
    namespace = account["metadata"]["namespace"]
    data["ca.crt"] = _encoded(ca_pem)
    data["namespace"] = data.get("namespace") or _encoded(namespace.encode())
    data["token"] = data.get("token") or _encoded(mint(account, name(secret)).encode())
    about = {SERVICE_ACCOUNT_NAME: name(account), SERVICE_ACCOUNT_UID: uid(account)}
    metadata = {**secret["metadata"], "annotations": {**annotations(secret), **about}}
    return {**secret, "metadata": metadata, "data": data}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


class TokenSecrets:
    """NB: the account is asked for, not read from the cache: a Secret may come before it does,
    and must not be deleted for that; and its list must show what the last run wrote."""

    name = "serviceaccount-token-controller"
    kind = SERVICE_ACCOUNT

    def __init__(self, context: Context, ca_pem: bytes, mint: Mint) -> None:
        self._client = context.client
        self._ca_pem = ca_pem
        self._mint = mint
        self._secrets = context.informers.get(SECRET, field_selector=_ONLY)
        self._secrets.add_index(_OF, lambda secret: (str(account_key(secret)),))
        self.watches: Sequence[Watch] = (
            ForKind(SERVICE_ACCOUNT),
            Mapped(SECRET, lambda secret: (account_key(secret),), field_selector=_ONLY),
        )

    async def reconcile(self, key: Key) -> Result:
        account = await self._account(key)
        secrets = self._secrets.by_index(_OF, str(key))
        plan = plan_tokens(account, secrets, ca_pem=self._ca_pem, mint=self._mint)
        for secret in plan.delete:
            await self._delete(secret)
        for secret in plan.update:
            with suppress(NotFound):
                await self._client.update(SECRET, secret)
        if plan.create and account is not None and not await self._lists_one(account):
            await self._give(account)
        return DONE

    async def _account(self, key: Key) -> Obj | None:
        try:
            return await self._client.get(SERVICE_ACCOUNT, key)
        except NotFound:
            return None

    async def _lists_one(self, account: Obj) -> bool:
        """Whether the cache only has not seen it yet."""
        for ref in account.get("secrets") or ():
            with suppress(NotFound):
                key = Key(account["metadata"]["namespace"], ref.get("name") or "")
                found = await self._client.get(SECRET, key)
                if found.get("type") == TOKEN_TYPE:
                    return True
        return False

    async def _give(self, account: Obj) -> None:
        """The Secret first: an account must not list what is not there. One that nobody comes to
        list is taken back."""
        meta = {
            "generateName": f"{name(account)}-token-",
            "namespace": account["metadata"]["namespace"],
            "annotations": {SERVICE_ACCOUNT_NAME: name(account), SERVICE_ACCOUNT_UID: uid(account)},
        }
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": TOKEN_TYPE}
        made = await self._client.create(SECRET, secret)
        refs = [*(account.get("secrets") or ()), {"name": name(made)}]
        try:
            await self._client.update(SERVICE_ACCOUNT, {**account, "secrets": refs})
        except (Conflict, NotFound):
            await self._delete(made)
            raise

    async def _delete(self, secret: Obj) -> None:
        with suppress(NotFound, Conflict):  # Conflict: another one of that name
            await self._client.delete(SECRET, key_of(secret), preconditions={"uid": uid(secret)})
