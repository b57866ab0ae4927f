"""Joining a real server over real TLS: tokens, pins, keys, and the exact line the user reads."""

import asyncio
import base64
import re
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.node.join import Joining, join, keep_fresh
from edgek.aio.clock import SystemClock
from edgek.api.conditions import with_condition
from edgek.api.errors import NotFound, Unauthorized
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.client.http import Access, HttpTransport
from edgek.kinds import CERTIFICATE_SIGNING_REQUEST as CSR
from edgek.kinds import NAMESPACE, NODE, POD, SECRET
from edgek.pki.certificates import describe
from edgek.pki.tokens import JoinToken, parse_join_token
from edgek.roles import StartError
from server.authn.csr_policy import Approval, judge, record_key, requested_node, sign_node_csr
from server.authz.bootstrap import plan_bootstrap
from server.config import OPTIONS, parse_config
from server.http import HttpServer
from server.identity import ServerIdentity, prepare_identity
from server.parts import open_api
from server.request.model import User
from server.storage.sqlite import SqliteEngine

PI = Key("", "pi")


class SetClock(SystemClock):
    """The real clock, put forward."""

    ahead = timedelta()

    def now(self):
        return super().now() + self.ahead


@dataclass
class Server:
    url: str
    identity: ServerIdentity
    admin: Client
    clock: SetClock
    life: int = 3600

    def joining(self, home: Path, *, name: str = "pi", token: JoinToken | None = None) -> Joining:
        token = token or self.identity.agent_token
        return Joining(server=self.url, data_dir=home, node_name=name, token=token)

    async def sign(self) -> None:
        """A small stand-in for the CSR controller: the same policy, without its queue."""
        async with self.admin.watch(CSR) as events:
            async for event in events:
                status = event.obj.get("status") or {}
                if event.type in ("ADDED", "MODIFIED") and not status:
                    await self._decide(event.obj)

    async def _decide(self, csr: Obj) -> None:
        csr = {**csr, "spec": {**csr["spec"], "expirationSeconds": self.life}}
        record = await self._find(SECRET, record_key(requested_node(csr)))
        node = await self._find(NODE, Key("", requested_node(csr)))
        decision = judge(csr, record=record, node_exists=node is not None, now=self.clock.now())
        assert decision is not None
        approved = isinstance(decision, Approval)
        if approved and decision.record:
            verb = self.admin.update if record else self.admin.create
            await verb(SECRET, decision.record)
        condition = {
            "type": "Approved" if approved else "Denied",
            "status": "True",
            "message": decision.message,
        }
        conditions = with_condition([], condition, now="2026-01-01T00:00:00Z")
        body = {"status": {"conditions": conditions}}
        key = Key("", csr["metadata"]["name"])
        await self.admin.patch(CSR, key, body, subresource="approval")
        if approved:
            pem = sign_node_csr(csr, ca=self.identity.client_ca, now=self.clock.now())
            body = {"status": {"certificate": base64.b64encode(pem).decode()}}
            await self.admin.patch(CSR, key, body, subresource="status")

    async def _find(self, kind, key: Key) -> Obj | None:
        try:
            return await self.admin.get(kind, key)
        except NotFound:
            return None


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    settings = {o.key: () if o.multiple else o.default for o in OPTIONS}
    settings |= {"data_dir": str(tmp_path / "srv"), "write_kubeconfig": str(tmp_path / "k.yaml")}
    config = parse_config({**settings, "advertise_address": "192.0.2.1"})
    clock = SetClock()
    identity = prepare_identity(config, now=clock.now())
    running = open_api(config, identity, clock, engine=SqliteEngine(":memory:"))
    admin = running.api.client(User(name="admin", groups=("system:masters",)))
    for namespace in ("kube-system", "kube-public"):
        await admin.create(NAMESPACE, {"metadata": {"name": namespace}})
    for kind, obj in plan_bootstrap(running.api.reader).create:
        await admin.create(kind, obj)
    http = HttpServer(running.api.handle)
    port = await http.listen("127.0.0.1", 0, identity.tls_context())
    found = Server(f"https://127.0.0.1:{port}", identity, admin, clock)
    signer = asyncio.create_task(found.sign())
    yield found
    signer.cancel()
    await asyncio.gather(signer, return_exceptions=True)
    await http.close()
    await running.api.close()


async def using(identity, server: Server, kind=NODE, key: Key = PI) -> Exception | None:
    """What the server says to a request made with that identity; None: it was served."""
    transport = HttpTransport(identity.access(server.url))
    try:
        await Client(transport).get(kind, key)
    except Exception as err:
        return err
    finally:
        await transport.close()
    return None


async def test_a_full_token_leads_to_a_working_node_certificate(server: Server, tmp_path: Path):
    identity = await join(server.joining(tmp_path / "a"), clock=server.clock)
    assert describe(identity.certificate).common_name == "system:node:pi"
    assert isinstance(await using(identity, server), NotFound)  # allowed, and not there yet
    home = tmp_path / "a/agent"
    assert {p.name: p.stat().st_mode & 0o777 for p in home.iterdir()} == dict.fromkeys(
        ("node.key", "node.crt", "node.json", "server-ca.crt", "token"), 0o600
    )


async def test_a_bare_secret_joins_as_well(server: Server, tmp_path: Path):
    secret = JoinToken(secret=server.identity.agent_token.secret)
    assert await join(server.joining(tmp_path / "a", token=secret), clock=server.clock)


async def test_a_second_start_needs_no_server(server: Server, tmp_path: Path):
    first = await join(server.joining(tmp_path / "a"), clock=server.clock)
    nowhere = replace(server.joining(tmp_path / "a"), server="https://127.0.0.1:1", token=None)
    assert await join(nowhere, clock=server.clock) == first


async def test_a_wrong_token_is_told_in_one_line(server: Server, tmp_path: Path):
    wrong = replace(server.identity.agent_token, secret="0" * 32)
    with pytest.raises(StartError) as caught:
        await join(server.joining(tmp_path / "a", token=wrong), clock=server.clock)
    assert str(caught.value) == (
        f"the server {server.url} refused the token; give --token the content of "
        "/var/lib/edgek/server/node-token on the server"
    )


async def test_a_wrong_ca_hash_is_told_in_one_line_and_the_token_is_kept_back(tmp_path: Path):
    """The impostor answers /cacerts with a CA of its own and keeps what it is sent."""
    from aiohttp import web

    from edgek.pki.certificates import Profile, new_ca, new_pair

    now = SystemClock().now()
    ca = new_ca("server-ca", now=now)
    leaf = new_pair(ca, Profile(common_name="s", names=("127.0.0.1", "kubernetes"), server=True),
                    now=now)  # fmt: skip
    seen: list[tuple[str, str]] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        seen.append((request.path, request.headers.get("authorization", "")))
        return web.Response(body=ca.certificate)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (tmp_path / "leaf.pem").write_bytes(leaf.certificate + leaf.key)
    context.load_cert_chain(tmp_path / "leaf.pem")
    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        await web.SockSite(runner, listener, ssl_context=context).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        token = parse_join_token("K10" + "ab" * 32 + "::node:topsecret")
        joining = Joining(server=url, data_dir=tmp_path / "a", node_name="pi", token=token)
        with pytest.raises(StartError) as caught:
            await join(joining, clock=SystemClock())
        await runner.cleanup()
    line = re.sub(r"hash [0-9a-f]{12}", "hash FOUND", str(caught.value))
    assert line == (
        f"the server {url} is not the one the token is from: its CA has the hash FOUND..., "
        "not abababababab...; the token was not sent"
    )
    assert seen == [("/cacerts", "")]


async def test_no_token_at_all_is_told_in_one_line(server: Server, tmp_path: Path):
    joining = replace(server.joining(tmp_path / "a"), token=None)
    with pytest.raises(StartError, match=r"^a token is needed to join: give --token the content"):
        await join(joining, clock=server.clock)


async def test_a_second_machine_of_the_same_name_is_refused(server: Server, tmp_path: Path):
    first = await join(server.joining(tmp_path / "a"), clock=server.clock)
    with pytest.raises(StartError, match=r'^node name "pi" is taken by another machine'):
        await join(server.joining(tmp_path / "b"), clock=server.clock)
    assert isinstance(await using(first, server), NotFound)


async def test_the_same_machine_gets_a_new_certificate_after_its_old_one_expired(
    server: Server, tmp_path: Path
):
    first = await join(server.joining(tmp_path / "a"), clock=server.clock)
    server.clock.ahead = timedelta(hours=2)
    assert isinstance(await using(first, server), Unauthorized)
    second = await join(replace(server.joining(tmp_path / "a"), token=None), clock=server.clock)
    assert second.key == first.key
    assert isinstance(await using(second, server), NotFound)


class Watched(HttpTransport):
    """Says when it has been given other credentials."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self.replaced = asyncio.Event()

    async def replace(self, access: Access) -> None:
        await super().replace(access)
        self.replaced.set()


async def test_a_certificate_is_renewed_in_use_before_it_expires(server: Server, tmp_path: Path):
    joining = server.joining(tmp_path / "a")
    first = await join(joining, clock=server.clock)
    transport = Watched(first.access(server.url))
    server.clock.ahead = timedelta(minutes=50)
    task = asyncio.create_task(keep_fresh(joining, first, transport=transport, clock=server.clock))
    await asyncio.wait_for(transport.replaced.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await transport.close()
    assert transport.access.client_cert != first.certificate
    assert (tmp_path / "a/agent/node.crt").read_bytes() == transport.access.client_cert


async def test_a_certificate_that_has_not_begun_by_a_clock_set_back_is_renewed(
    server: Server, tmp_path: Path
):
    joining = server.joining(tmp_path / "a")
    server.clock.ahead = timedelta(days=30)
    ahead = await join(joining, clock=server.clock)
    transport = Watched(ahead.access(server.url))
    server.clock.ahead = timedelta(days=0)
    task = asyncio.create_task(keep_fresh(joining, ahead, transport=transport, clock=server.clock))
    async with asyncio.timeout(10):
        await transport.replaced.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await transport.close()
    renewed = describe(transport.access.client_cert)
    assert renewed.not_before <= server.clock.now() < renewed.not_after


async def test_a_half_written_identity_is_made_whole(server: Server, tmp_path: Path):
    first = await join(server.joining(tmp_path / "a"), clock=server.clock)
    (tmp_path / "a/agent/node.crt").unlink()
    again = await join(server.joining(tmp_path / "a"), clock=server.clock)
    assert again.key == first.key


async def test_a_node_certificate_does_not_open_other_doors(server: Server, tmp_path: Path):
    from edgek.api.errors import Forbidden

    identity = await join(server.joining(tmp_path / "a"), clock=server.clock)
    error = await using(identity, server, SECRET, record_key("pi"))
    assert isinstance(error, Forbidden)
    assert 'User "system:node:pi" cannot get resource "secrets"' in str(error)
    assert isinstance(await using(identity, server, POD, Key("default", "x")), NotFound)
