"""What nobody needs any more goes, each thing by a timer of its own."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edgek.aio.clock import FakeClock
from edgek.api.meta import Obj, labels, name
from edgek.api.time import format_time
from edgek.kinds import CERTIFICATE_SIGNING_REQUEST as CSR
from edgek.kinds import CONFIG_MAP, POD, SECRET, SERVICE_ACCOUNT
from server.authn.legacy import INVALID_SINCE, TOKEN_TYPE
from server.controllers import bootstrap_tokens, csr_cleaning, legacy_token_cleaning
from server.controllers.bootstrap_tokens import LONG_AGO, plan_expiry
from server.controllers.csr_cleaning import plan_end
from server.controllers.legacy_token_cleaning import TRACKING, plan_idle
from server.controllers.legacy_token_usage import LAST_USED
from tests.support.cluster import pod
from tests.support.loops import running
from tests.support.memory_api import MemoryApi

MADE = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600.0
DAY = timedelta(days=1)


def request(named: str, *kinds: str, certificate: str = "") -> Obj:
    conditions = [{"type": k, "status": "True", "lastUpdateTime": format_time(MADE)} for k in kinds]
    meta = {"name": named, "creationTimestamp": format_time(MADE)}
    status = {"conditions": conditions} | ({"certificate": certificate} if certificate else {})
    return {"metadata": meta, "spec": {}, "status": status}


@pytest.mark.parametrize(
    ("csr", "hours"),
    [
        (request("pending"), 24),
        (request("issued", "Approved", certificate="x"), 1),
        (request("approved", "Approved"), None),
        (request("denied", "Denied"), 1),
        (request("failed", "Approved", "Failed"), 1),
    ],
)
def test_when_a_request_may_go(csr: Obj, hours: int | None) -> None:
    assert plan_end(csr) == (None if hours is None else MADE + timedelta(hours=hours))


@pytest.mark.looptime
async def test_requests_go_in_time_and_nothing_is_done_before() -> None:
    api = MemoryApi()
    async with running(api, csr_cleaning.build) as loops:
        now = format_time(loops.context.clock.now())
        for csr in (request("pending"), request("denied", "Denied")):
            csr["metadata"]["creationTimestamp"] = now
            for condition in csr["status"]["conditions"]:
                condition["lastUpdateTime"] = now
            api.put(CSR, csr)
        await loops.settle(HOUR - 10)
        assert api.writes == []
        await loops.settle(60)
        assert [name(c) for c in api.all(CSR)] == ["pending"]
        await loops.settle(23 * HOUR)
        assert api.all(CSR) == []


@pytest.mark.looptime
async def test_a_clock_that_is_set_forward_by_decades_makes_nobody_wait_for_them() -> None:
    api = MemoryApi()
    async with running(api, csr_cleaning.build) as loops:
        real = loops.context.clock.now() + timedelta(days=20_000)
        csr = request("pending")
        csr["metadata"]["creationTimestamp"] = format_time(real - timedelta(days=2))
        api.put(CSR, csr)
        await loops.settle(HOUR)
        assert len(api.all(CSR)) == 1
        clock = loops.context.clock
        assert isinstance(clock, FakeClock)
        clock.advance(20_000 * 24 * HOUR)
        await loops.settle(HOUR)
        assert api.all(CSR) == []


def token(named: str, expiration: str | None, namespace: str = "kube-system") -> Obj:
    data = {"token-id": ""}
    if expiration is not None:
        data["expiration"] = base64.b64encode(expiration.encode()).decode()
    meta = {"name": named, "namespace": namespace}
    return {"metadata": meta, "type": "bootstrap.kubernetes.io/token", "data": data}


def test_an_expiration_that_cannot_be_read_is_over() -> None:
    assert plan_expiry(token("t", "soon")) == LONG_AGO
    assert plan_expiry({"data": {"expiration": "%%%"}}) == LONG_AGO
    assert plan_expiry(token("t", None)) is None
    assert plan_expiry(token("t", "2026-01-01T00:00:00Z")) == MADE


@pytest.mark.looptime
async def test_a_bootstrap_token_goes_when_it_expires() -> None:
    api = MemoryApi()
    async with running(api, bootstrap_tokens.build) as loops:
        later = format_time(loops.context.clock.now() + timedelta(hours=1))
        api.put(SECRET, token("soon", later))
        api.put(SECRET, token("never", None))
        api.put(SECRET, token("elsewhere", "2000-01-01T00:00:00Z", "default"))
        await loops.settle(HOUR - 10)
        assert api.writes == []
        await loops.settle(20)
        assert sorted(name(s) for s in api.all(SECRET)) == ["elsewhere", "never"]


def legacy(named: str, made: str, **marks: str) -> Obj:
    meta: dict[str, Any] = {"name": named, "namespace": "default", "creationTimestamp": made}
    meta |= {"labels": marks, "annotations": {"kubernetes.io/service-account.name": "app"}}
    return {"metadata": meta, "type": TOKEN_TYPE, "data": {}}


def test_a_year_counts_from_the_last_use_that_can_be_known() -> None:
    secret = legacy("t", "2026-01-01T00:00:00Z", **{LAST_USED: "2026-03-01"})
    assert plan_idle(secret, tracked=MADE) == datetime(2027, 3, 2, tzinfo=UTC)
    assert plan_idle(secret, tracked=datetime(2026, 6, 1, tzinfo=UTC)).month == 6


@pytest.mark.looptime
async def test_a_token_nobody_uses_is_marked_after_a_year_and_goes_after_another() -> None:
    api = MemoryApi()
    async with running(api, legacy_token_cleaning.build) as loops:
        now = loops.context.clock.now()
        day = "%Y-%m-%d"
        old, since = format_time(now - 900 * DAY), (now - 800 * DAY).strftime(day)
        meta = {"name": TRACKING.name, "namespace": TRACKING.namespace}
        api.put(CONFIG_MAP, {"metadata": meta, "data": {"since": since}})
        recent, long_ago = ((now - n * DAY).strftime(day) for n in (100, 380))
        for secret in (
            legacy("idle", old),
            legacy("mounted", old),
            legacy("by-hand", old),
            legacy("young", format_time(now)),
            legacy("used", old, **{LAST_USED: recent}),
            legacy("marked", old, **{INVALID_SINCE: recent}),
            legacy("over", old, **{INVALID_SINCE: long_ago}),
        ):
            api.put(SECRET, secret)
        api.put(POD, pod("p", volumes=[{"name": "v", "secret": {"secretName": "mounted"}}]))
        await loops.settle()
        assert len(api.all(SECRET)) == 7, "they are listed by no account yet"
        refs = [{"name": n} for n in ("idle", "mounted", "young", "used", "marked", "over")]
        account = {"metadata": {"name": "app", "namespace": "default"}, "secrets": refs}
        api.put(SERVICE_ACCOUNT, account)
        await loops.settle()
        found = {name(s): labels(s).get(INVALID_SINCE) for s in api.all(SECRET)}
        assert found == {
            "idle": now.strftime(day),
            "mounted": None,
            "by-hand": None,
            "young": None,
            "used": None,
            "marked": recent,
        }


@pytest.mark.looptime
async def test_nothing_is_called_unused_before_use_was_watched_for_a_year() -> None:
    api = MemoryApi()
    async with running(api, legacy_token_cleaning.build) as loops:
        now = loops.context.clock.now()
        account = {"metadata": {"name": "app", "namespace": "default"}}
        api.put(SERVICE_ACCOUNT, account | {"secrets": [{"name": "idle"}]})
        api.put(SECRET, legacy("idle", format_time(now - 900 * DAY)))
        await loops.settle()
        tracking = api.one(CONFIG_MAP, TRACKING.namespace, TRACKING.name) or {}
        assert tracking["data"] == {"since": now.strftime("%Y-%m-%d")}
        assert INVALID_SINCE not in labels(api.all(SECRET)[0])
