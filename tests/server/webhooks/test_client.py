"""WebhookClient against real HTTPS servers: who is believed, and what each failure says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from edgek.aio.tasks import cancel_and_wait
from edgek.api.meta import Obj
from edgek.kinds import ENDPOINT_SLICE, SERVICE
from edgek.pki.certificates import Profile, new_ca, new_pair
from server.request.fake import FakeReader
from server.webhooks.client import (
    CONNECTIONS,
    TO_ONE,
    CallFailed,
    ClientCertificate,
    WebhookClient,
)
from tests.support.https_peer import Peer, https_peer, service_of, slice_of

HOOK: Obj = {"service": {"namespace": "default", "name": "hook", "path": "/check"}}
POST = 'Post "https://hook.default.svc:443/check?timeout=5s": '


async def echo(request: web.Request) -> web.StreamResponse:
    return web.json_response(
        {"got": await request.json(), "path": request.path_qs, "host": request.host}
    )


@asynccontextmanager
async def client(reader: FakeReader, **more: ClientCertificate) -> AsyncIterator[WebhookClient]:
    made = WebhookClient(reader, **more)
    try:
        yield made
    finally:
        await made.close()


def routed(peer: Peer, *, ready: bool = True) -> FakeReader:
    return FakeReader(
        (SERVICE, service_of("hook", "default")),
        (ENDPOINT_SLICE, slice_of("hook", "default", peer.port, ready=ready)),
    )


def hook(peer: Peer) -> Obj:
    return HOOK | {"caBundle": peer.ca_bundle}


async def failure(calls: WebhookClient, config: Obj, *, timeout: float = 5) -> str:
    with pytest.raises(CallFailed) as caught:
        await calls.call(config, {}, timeout=timeout)
    return str(caught.value)


async def test_a_service_is_called_at_its_endpoint_under_its_own_name() -> None:
    async with https_peer(echo) as peer, client(routed(peer)) as calls:
        answer = await calls.call(hook(peer), {"a": 1}, timeout=5)
    assert answer == {"got": {"a": 1}, "path": "/check?timeout=5s", "host": "hook.default.svc"}


async def test_a_url_is_called_as_it_is() -> None:
    async with https_peer(echo) as peer, client(FakeReader()) as calls:
        answer = await calls.call(peer.config("/x/y"), {}, timeout=2.5)
    assert answer["path"] == "/x/y?timeout=2.5s"


async def test_a_webhook_that_hangs_holds_up_no_other() -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        arrived.append(request)
        if len(arrived) == TO_ONE:
            full.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    arrived: list[object] = []
    full = asyncio.Event()
    async with https_peer(hang) as bad, https_peer(echo) as good, client(FakeReader()) as calls:
        waiting = [
            asyncio.create_task(calls.call(bad.config(), {}, timeout=30))
            for _ in range(2 * CONNECTIONS)
        ]
        async with asyncio.timeout(10):
            await full.wait()
            assert (await calls.call(good.config(), {"a": 1}, timeout=5))["got"] == {"a": 1}
        await cancel_and_wait(*waiting)
        assert len(arrived) == TO_ONE


async def test_connections_are_kept_and_one_that_was_closed_meanwhile_is_no_failure() -> None:
    async def once_closed(request: web.Request) -> web.StreamResponse:
        if len(peer.connections) == 1 and seen:
            assert request.transport is not None
            request.transport.close()
        seen.append(request)
        return await echo(request)

    seen: list[web.Request] = []
    async with https_peer(once_closed) as peer, client(FakeReader()) as calls:
        for _ in range(3):
            await calls.call(peer.config(), {}, timeout=5)
        assert len(peer.connections) == 2


async def test_shows_its_certificate_to_who_asks_for_one() -> None:
    now = datetime.now(UTC)
    ca = new_ca("clients", now=now)
    pair = new_pair(ca, Profile(common_name="apiserver", client=True), now=now)
    own = ClientCertificate(certificate=pair.certificate, key=pair.key)
    async with https_peer(echo, client_ca=ca.certificate) as peer:
        async with client(FakeReader(), own=own) as calls:
            assert await calls.call(peer.config(), {}, timeout=5)
        async with client(FakeReader()) as calls:
            assert await failure(calls, peer.config())


async def test_line_breaks_in_a_bundle_do_not_matter() -> None:
    async with https_peer(echo) as peer, client(routed(peer)) as calls:
        broken = "\n".join([peer.ca_bundle[:40], peer.ca_bundle[40:], ""])
        assert await calls.call(HOOK | {"caBundle": broken}, {}, timeout=5)


async def test_an_answer_about_much_may_be_as_large_as_that() -> None:
    much = "x" * 5_000_000
    async with https_peer(echo, max_size=10_000_000) as peer, client(FakeReader()) as calls:
        assert (await calls.call(peer.config(), {"much": much}, timeout=20))["got"]["much"] == much


async def test_a_certificate_of_another_authority_is_not_believed() -> None:
    async with https_peer(echo) as other, https_peer(echo) as peer, client(routed(peer)) as calls:
        config = HOOK | {"caBundle": other.ca_bundle}
        assert await failure(calls, config) == (
            POST + "tls: failed to verify certificate: x509: certificate signed by unknown "
            "authority"
        )
        assert "signed by unknown authority" in await failure(calls, dict(HOOK))


async def test_a_certificate_of_another_name_is_not_believed() -> None:
    names = ("other.default.svc",)
    async with https_peer(echo, names=names) as peer, client(routed(peer)) as calls:
        assert await failure(calls, hook(peer)) == (
            POST + "tls: failed to verify certificate: x509: certificate is not valid for "
            "hook.default.svc"
        )


async def test_a_certificate_past_its_time_is_not_believed() -> None:
    long_ago = datetime.now(UTC) - timedelta(days=800)
    async with https_peer(echo, now=long_ago) as peer, client(routed(peer)) as calls:
        assert "x509: certificate has expired or is not yet valid" in await failure(
            calls, hook(peer)
        )


async def test_a_missing_service_endpoint_or_port_is_named() -> None:
    async with https_peer(echo) as peer:
        async with client(FakeReader()) as calls:
            assert await failure(calls, hook(peer)) == POST + 'service "hook" not found'
        async with client(routed(peer, ready=False)) as calls:
            assert await failure(calls, hook(peer)) == (
                POST + 'no endpoints available for service "hook"'
            )
        async with client(routed(peer)) as calls:
            config = {"service": {**HOOK["service"], "port": 8443}, "caBundle": peer.ca_bundle}
            assert 'no service port 8443 found for service "hook"' in await failure(calls, config)


async def test_a_refused_connection_is_told_as_such() -> None:
    async with https_peer(echo) as peer:
        config = peer.config()
    async with client(FakeReader()) as calls:
        assert f"dial tcp 127.0.0.1:{peer.port}: connect: connection refused" in await failure(
            calls, config
        )


async def test_a_name_that_nobody_knows_is_told_as_such() -> None:
    async with client(FakeReader()) as calls:
        said = await failure(calls, {"url": "https://nowhere.invalid/x"})
    assert said == (
        'Post "https://nowhere.invalid/x?timeout=5s": dial tcp: lookup nowhere.invalid: '
        "no such host"
    )


async def test_who_never_answers_is_waited_for_no_longer_than_the_timeout() -> None:
    never = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with https_peer(silent) as peer, client(FakeReader()) as calls:
        url = f"https://127.0.0.1:{peer.port}/hook?timeout=0.2s"
        said = await failure(calls, peer.config(), timeout=0.2)
        never.set()
    assert said == f'Post "{url}": context deadline exceeded'


async def test_who_hangs_up_without_an_answer_is_an_eof() -> None:
    async def rude(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with https_peer(rude) as peer, client(FakeReader()) as calls:
        assert (await failure(calls, peer.config())).endswith(": EOF")


async def test_who_breaks_off_within_the_answer_is_an_unexpected_eof() -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b'{"a"')
        assert request.transport is not None
        request.transport.close()
        return answer

    async with https_peer(broken) as peer, client(FakeReader()) as calls:
        assert "EOF" in await failure(calls, peer.config())


async def test_an_answer_that_goes_on_and_on_is_cut_off() -> None:
    async def talkative(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": str(10**12)})
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await answer.write(b" " * 65536)
        return answer

    async with https_peer(talkative) as peer, client(FakeReader()) as calls:
        said = await failure(calls, peer.config())
    assert said == "response body exceeded the limit of 3145728 bytes"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (web.Response(text="garbage"), "invalid character 'g' looking for beginning of value"),
        (web.Response(), "unexpected end of JSON input"),
        (web.json_response([1]), "the answer is no JSON object"),
        (web.Response(status=500, text="boom"), 'an error on the server ("boom") has prevented'),
        (web.Response(status=404), "the server could not find the requested resource"),
        (
            web.json_response({"kind": "Status", "message": "no such thing"}, status=422),
            "no such thing",
        ),
        (
            web.Response(status=302, headers={"Location": "https://127.0.0.1:1/"}),
            "the server responded with the status code 302 but did not return more information",
        ),
    ],
    ids=["garbage", "nothing", "a list", "500", "404", "a Status", "a redirect"],
)
async def test_an_answer_that_is_none_is_told(answer: web.Response, says: str) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return answer

    async with https_peer(handle) as peer, client(FakeReader()) as calls:
        assert says in await failure(calls, peer.config())


async def test_a_configuration_that_cannot_be_used_is_told() -> None:
    async with client(FakeReader()) as calls:
        assert "must have either service or URL" in await failure(calls, {})
        bad = {"url": "https://127.0.0.1:1/", "caBundle": "bm8gcGVt"}
        assert "could not get REST client" in await failure(calls, bad)
