"""Joining a cluster: from a token to a client certificate, and keeping that certificate fresh.

Order matters for safety. First the server's CA is fetched over a connection that trusts nobody
and carries no secret, and held against the hash in the token; only then, over a connection that
trusts this CA alone, the token is shown and a certificate requested. The request is signed by the
node key, which is made once and kept: it is how the server knows this machine again
(``server/authn/csr_policy.py`` has that side).

The certificate is renewed at two thirds of its life; an agent that was off for longer than the
rest joins again with the stored token. A server that does not answer is waited for; what waiting
cannot mend is a StartError.
"""

import asyncio
import base64
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from agent.node.apart import make_request, read_identity
from agent.node.identity import SERVER_NAME, IdentityStore, NodeIdentity
from agent.node.trust import fetch_ca
from edgek.aio.clock import Clock
from edgek.aio.outage import Outage
from edgek.api.conditions import find_condition
from edgek.api.errors import ApiError, Expired, ServiceUnavailable, Timeout, Unauthorized
from edgek.api.meta import Key, Obj, get_path, key_of, name, resource_version
from edgek.client.client import Client
from edgek.client.http import Access, HttpTransport
from edgek.kinds.certificate_signing_request import CERTIFICATE_SIGNING_REQUEST
from edgek.pki.tokens import JoinToken, ca_hash
from edgek.roles import StartError

log = logging.getLogger(__name__)

SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
SIGN_TIMEOUT = 120.0
REOPEN_DELAY = 0.5
FIRST_DELAY, MAX_DELAY = 1.0, 30.0
"""Clocks are set and machines suspended: the renewal date is looked at again once a day."""


@dataclass(frozen=True, kw_only=True)
class Joining:
    """Where to join, with what, as whom. ``token`` may be None once the machine has joined."""

    server: str
    data_dir: Path
    node_name: str
    token: JoinToken | None = None


async def join(joining: Joining, *, clock: Clock) -> NodeIdentity:
    """The stored identity where it is good, else a new one."""
    store = IdentityStore(joining.data_dir)
    stored = store.load(joining.node_name)
    if stored is not None and clock.now() < stored.not_after and _is_pinned(stored, joining.token):
        return stored
    if stored is not None:
        log.warning("stored client certificate is of no use, joining again: %r", stored)
    token = joining.token or store.token()
    if token is None:
        raise StartError(
            "a token is needed to join: give --token the content of "
            "/var/lib/edgek/server/node-token on the server"
        )
    return await _patiently(lambda: _bootstrap(joining, store, token), joining.server, clock)


async def keep_fresh(
    joining: Joining, identity: NodeIdentity, *, transport: HttpTransport, clock: Clock
) -> NoReturn:
    """Renews for ever: new credentials go into ``transport`` and to disk."""
    store = IdentityStore(joining.data_dir)
    while True:
        while not identity.is_due(clock.now()):
            await clock.sleep_until(identity.renew_at)
        identity = await _patiently(
            lambda: _renew(joining, store, transport), joining.server, clock
        )
        await transport.replace(identity.access(joining.server))
        log.info("client certificate renewed: %r", identity)


def _is_pinned(identity: NodeIdentity, token: JoinToken | None) -> bool:
    """False where the token given now is of another cluster than the stored identity."""
    return token is None or token.ca_hash in ("", ca_hash(identity.ca))


async def _patiently(
    attempt: Callable[[], Awaitable[NodeIdentity]], server: str, clock: Clock
) -> NodeIdentity:
    """Tries until the server answers, with growing pauses."""
    delay = FIRST_DELAY
    outage = Outage(log, f"joining by {server}")
    while True:
        try:
            got = await attempt()
            outage.over()
            return got
        except (ServiceUnavailable, Timeout) as err:
            outage.failed(err)
        await clock.sleep(delay * random.uniform(0.5, 1.0))
        delay = min(delay * 2, MAX_DELAY)


async def _bootstrap(joining: Joining, store: IdentityStore, token: JoinToken) -> NodeIdentity:
    ca = await fetch_ca(joining.server, token=token, known=store.ca())
    access = Access(server=joining.server, ca=ca, token=str(token), server_name=SERVER_NAME)
    transport = HttpTransport(access)
    try:
        identity = await _certify(joining, store, Client(transport), ca=ca)
    finally:
        await transport.close()
    store.save(identity, token=token)
    log.info("joined the cluster server=%s: %r", joining.server, identity)
    return identity


async def _renew(joining: Joining, store: IdentityStore, transport: HttpTransport) -> NodeIdentity:
    """With the certificate in use; joins again where the server takes it no more."""
    ca = transport.access.ca
    try:
        identity = await _certify(joining, store, Client(transport), ca=ca)
    except _Refused:
        token = joining.token or store.token()
        if token is None:
            raise
        return await _bootstrap(joining, store, token)
    store.save(identity)
    return identity


class _Refused(StartError):
    """The server does not know our credentials."""


async def _certify(
    joining: Joining, store: IdentityStore, client: Client, *, ca: bytes
) -> NodeIdentity:
    try:
        key, request = await make_request(joining.node_name, store.key())
    except ValueError as err:
        raise StartError(f"node.key in {store.home} is damaged; remove it to join anew") from err
    store.save_key(key)
    try:
        certificate = await request_certificate(client, request)
    except Unauthorized as err:
        raise _Refused(
            f"the server {joining.server} refused the token; give --token the content of "
            "/var/lib/edgek/server/node-token on the server"
        ) from err
    except (ServiceUnavailable, Timeout):
        raise
    except ApiError as err:
        raise StartError(f"the server {joining.server} refused to let us join: {err}") from err
    try:
        return await read_identity(joining.node_name, ca=ca, certificate=certificate, key=key)
    except ValueError as err:
        raise StartError(
            f"the server {joining.server} gave a certificate that is not ours"
        ) from err


async def request_certificate(client: Client, request: bytes) -> bytes:
    """Asks for this node's client certificate and waits for it; PEM."""
    csr = await client.create(CERTIFICATE_SIGNING_REQUEST, _csr(request))
    try:
        async with asyncio.timeout(SIGN_TIMEOUT):
            while True:
                if certificate := _issued(csr):
                    return certificate
                csr = await _next(client, csr)
    except TimeoutError as err:
        raise Timeout(f"certificate request {name(csr)} is not approved yet") from err


def _csr(request: bytes) -> Obj:
    return {
        "apiVersion": CERTIFICATE_SIGNING_REQUEST.api_version,
        "kind": CERTIFICATE_SIGNING_REQUEST.kind,
        "metadata": {"generateName": "node-csr-"},
        "spec": {
            "request": base64.b64encode(request).decode(),
            "signerName": SIGNER,
            "usages": ["digital signature", "client auth"],
        },
    }


def _issued(csr: Obj) -> bytes | None:
    """The certificate, None while there is none. Raises StartError where there will be none."""
    status = csr.get("status") or {}
    for kind in ("Denied", "Failed"):
        if condition := find_condition(status.get("conditions"), kind):
            raise StartError(str(condition.get("message") or f"the request was {kind.lower()}"))
    certificate = get_path(status, "certificate")
    return base64.b64decode(certificate) if certificate else None


async def _next(client: Client, csr: Obj) -> Obj:
    """The request's next state. A watch that ends or is too old is made up for by a look."""
    key = key_of(csr)
    try:
        async with client.watch(
            CERTIFICATE_SIGNING_REQUEST,
            resource_version=resource_version(csr),
            field_selector=f"metadata.name={key.name}",
        ) as events:
            async for event in events:
                if event.type in ("ADDED", "MODIFIED"):
                    return event.obj
    except Expired:
        pass
    await asyncio.sleep(REOPEN_DELAY)  # or a server that closes watches at once makes us spin
    return await client.get(CERTIFICATE_SIGNING_REQUEST, Key("", key.name))
