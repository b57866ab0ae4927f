"""Every way to write an object tells who wrote what; what changes nothing is no write."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgek.aio.clock import FakeClock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Key, Obj
from edgek.control.informer import Informers
from edgek.kinds import CONFIG_MAP
from server.admission.chain import Attributes, Plugin
from tests.support.api import ADMIN, admin, open_api
from tests.support.wire import JSON_PATCH, MERGE, STRATEGIC, Wire, owners

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
POD: Any = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "labels": {"app": "x"}},
    "spec": {"containers": [{"name": "main", "image": "busybox"}]},
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def wire(clock: FakeClock) -> AsyncIterator[Wire]:
    async with open_api(user=ADMIN, clock=clock) as api:
        yield Wire(api)


def config_map(**data: str) -> Any:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": data}


async def test_who_creates_owns_all_of_it(wire: Wire) -> None:
    made = await wire.ok("POST", PODS, POD, fieldManager="maker")
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("maker", "Update", "v1")
    assert entry["time"] == made["metadata"]["creationTimestamp"]
    fields = entry["fieldsV1"]
    assert fields["f:metadata"] == {"f:labels": {".": {}, "f:app": {}}}
    container = fields["f:spec"]["f:containers"]['k:{"name":"main"}']
    assert container.keys() >= {".", "f:name", "f:image", "f:terminationMessagePath"}
    assert "f:status" not in fields


async def test_a_manager_is_named_or_told_by_its_user_agent(wire: Wire) -> None:
    wire.agent = "kubectl-edit/v1.37.0 (linux/arm64)"
    made = await wire.ok("POST", MAPS, config_map(a="1"))
    assert list(owners(made)) == ["kubectl-edit Update"]


PATCHES: Any = {
    "merge": ({"data": {"b": "2"}}, MERGE),
    "strategic": ({"data": {"b": "2"}}, STRATEGIC),
    "json": ([{"op": "add", "path": "/data/b", "value": "2"}], JSON_PATCH),
    "put": (config_map(a="1", b="2"), ""),
}


@pytest.mark.parametrize("how", PATCHES)
async def test_who_changes_a_field_owns_it(wire: Wire, how: str, clock: FakeClock) -> None:
    await wire.ok("POST", MAPS, config_map(a="1", b="1"), fieldManager="maker")
    body, media_type = PATCHES[how]
    clock.advance(60)
    method = "PATCH" if media_type else "PUT"
    got = await wire.ok(method, f"{MAPS}/one", body, type=media_type, fieldManager="changer")
    assert owners(got) == {
        "maker Update": {"f:data": {".": {}, "f:a": {}}},
        "changer Update": {"f:data": {"f:b": {}}},
    }
    times = [e["time"] for e in got["metadata"]["managedFields"]]
    assert times[0] < times[1]


async def test_what_is_removed_is_nobodys(wire: Wire) -> None:
    await wire.ok("POST", MAPS, config_map(a="1", b="1"), fieldManager="maker")
    patch = {"data": {"b": None}}
    got = await wire.ok("PATCH", f"{MAPS}/one", patch, type=MERGE, fieldManager="remover")
    assert owners(got) == {"maker Update": {"f:data": {".": {}, "f:a": {}}}}
    got = await wire.ok("PUT", f"{MAPS}/one", config_map(), fieldManager="remover")
    assert owners(got) == {"maker Update": {"f:data": {}}}, "an empty map is still there"


async def test_a_status_is_owned_through_its_url(wire: Wire) -> None:
    made = await wire.ok("POST", PODS, POD, fieldManager="maker")
    body = {**made, "status": {"phase": "Running"}, "spec": {**made["spec"], "hostname": "no"}}
    got = await wire.ok("PUT", f"{PODS}/p/status", body, fieldManager="kubelet")
    assert owners(got)["kubelet Update status"] == {"f:status": {"f:phase": {}}}
    patch = {"status": {"phase": "Failed"}, "metadata": {"labels": {"app": "y"}}}
    got = await wire.ok("PATCH", f"{PODS}/p", patch, type=MERGE, fieldManager="other")
    assert owners(got)["other Update"] == {"f:metadata": {"f:labels": {"f:app": {}}}}


async def test_replicas_are_owned_through_scale(wire: Wire) -> None:
    labels = {"app": "x"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": POD["spec"]},
        },
    }
    await wire.ok("POST", DEPLOYMENTS, deployment, fieldManager="maker")
    patch = {"spec": {"replicas": 4}}
    await wire.ok("PATCH", f"{DEPLOYMENTS}/web/scale", patch, type=MERGE, fieldManager="scaler")
    found = owners(await wire.ok("GET", f"{DEPLOYMENTS}/web"))
    assert found["scaler Update scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in found["maker Update"]["f:spec"]


async def test_nobody_owns_where_a_pod_runs(wire: Wire) -> None:
    """Upstream's binding writes past the field manager."""
    before = await wire.ok("POST", PODS, POD, fieldManager="maker")
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "n1"},
    }
    await wire.ok("POST", f"{PODS}/p/binding", binding, fieldManager="scheduler")
    after = await wire.ok("GET", f"{PODS}/p")
    assert after["spec"]["nodeName"] == "n1"
    assert after["metadata"]["managedFields"] == before["metadata"]["managedFields"]


async def test_a_write_that_changes_nothing_is_none(wire: Wire, clock: FakeClock) -> None:
    before = await wire.ok("POST", MAPS, config_map(a="1"), fieldManager="maker")
    clock.advance(60)
    for method, body, media_type in (
        ("PUT", config_map(a="1"), ""),
        ("PATCH", {"data": {"a": "1"}}, MERGE),
        ("PUT", before, ""),
    ):
        got = await wire.ok(method, f"{MAPS}/one", body, type=media_type, fieldManager="other")
        assert got == before


async def test_a_client_that_knows_no_managed_fields_does_not_lose_them(wire: Wire) -> None:
    made = await wire.ok("POST", MAPS, config_map(a="1"), fieldManager="maker")
    del made["metadata"]["managedFields"]
    made["data"]["b"] = "2"
    got = await wire.ok("PUT", f"{MAPS}/one", made, fieldManager="other")
    assert owners(got).keys() == {"maker Update", "other Update"}


async def test_a_client_may_rewrite_the_entries(wire: Wire) -> None:
    made = await wire.ok("POST", MAPS, config_map(a="1"), fieldManager="maker")
    made["metadata"]["managedFields"][0]["manager"] = "renamed"
    got = await wire.ok("PUT", f"{MAPS}/one", made, fieldManager="other")
    assert list(owners(got)) == ["renamed Update"]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"operation": "Sell"}, 'metadata.managedFields[0].operation: Invalid value: "Sell"'),
        ({"fieldsType": "V2"}, 'metadata.managedFields[0].fieldsType: Invalid value: "V2"'),
        ({"manager": "x" * 129}, "metadata.managedFields[0].manager: Too long"),
        ({"subresource": "x" * 257}, "metadata.managedFields[0].subresource: Too long"),
    ],
)
async def test_entries_that_make_no_sense_are_not_taken(
    wire: Wire, entry: Any, problem: str
) -> None:
    made = await wire.ok("POST", MAPS, config_map(a="1"), fieldManager="maker")
    before = made["metadata"]["managedFields"]
    made["metadata"]["managedFields"] = [{**before[0], **entry}]
    status, got = await wire("PUT", f"{MAPS}/one", made, fieldManager="other")
    if status == 200:  # what cannot be read is as if it were not there
        assert got["metadata"]["managedFields"] == before
    else:
        assert (status, problem in got["message"]) == (422, True)


class Labeller(Plugin):
    """An admission plugin that changes metadata, ``entries`` among it."""

    def __init__(self, entries: Any) -> None:
        self.entries = entries

    async def admit(self, attributes: Attributes) -> None:
        meta: Obj = attributes.obj["metadata"]
        meta["labels"] = {"seen": "yes"}
        if self.entries is not None:
            meta["managedFields"] = self.entries

    async def validate(self, attributes: Attributes) -> None:
        """Nothing to refuse."""


async def test_what_admission_adds_is_nobodys() -> None:
    async with open_api(user=ADMIN, plugins=[Labeller(None)]) as api:
        made = await Wire(api).ok("POST", MAPS, config_map(a="1"), fieldManager="maker")
    assert made["metadata"]["labels"] == {"seen": "yes"}
    assert owners(made) == {"maker Update": {"f:data": {".": {}, "f:a": {}}}}


async def test_admission_cannot_break_the_entries() -> None:
    async with open_api(user=ADMIN, plugins=[Labeller([{"manager": "x"}])]) as api:
        wire = Wire(api)
        made = await wire.ok("POST", MAPS, config_map(a="1"), fieldManager="maker")
    assert list(owners(made)) == ["maker Update"]
    assert any("invalid state after admission" in text for text in wire.warnings)


async def test_more_than_ten_updaters_become_fewer(wire: Wire, clock: FakeClock) -> None:
    await wire.ok("POST", MAPS, config_map(start="1"), fieldManager="maker")
    for number in range(14):
        clock.advance(1)
        patch = {"data": {f"k{number}": "1"}}
        await wire.ok("PATCH", f"{MAPS}/one", patch, type=MERGE, fieldManager=f"m{number}")
    got = owners(await wire.ok("GET", f"{MAPS}/one"))
    assert len(got) == 10
    assert got["ancient-changes Update"]["f:data"].keys() >= {"f:start", "f:k0", "f:k4"}


async def test_an_owner_that_is_named_twice_is_kept_once(wire: Wire) -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u1"}
    body = config_map(a="1")
    body["metadata"]["ownerReferences"] = [owner, {**owner, "uid": "u2"}, owner]
    made = await wire.ok("POST", MAPS, body)
    assert [o["uid"] for o in made["metadata"]["ownerReferences"]] == ["u1", "u2"]
    assert any("duplicate UID(s) observed: u1" in text for text in wire.warnings)


async def test_what_is_empty_in_metadata_is_not_there_at_all(wire: Wire) -> None:
    lists = {"ownerReferences": [], "finalizers": []}
    body = config_map(a="1")
    body["metadata"] |= lists | {"labels": {}, "annotations": {}}
    made = await wire.ok("POST", MAPS, body)
    assert not made["metadata"].keys() & {*lists, "labels", "annotations"}
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u1"}
    held = {"ownerReferences": [owner], "finalizers": ["example.com/hold"]}
    patched = await wire.ok("PATCH", f"{MAPS}/one", {"metadata": held}, type=MERGE)
    assert patched["metadata"].keys() >= held.keys()
    freed = await wire.ok("PATCH", f"{MAPS}/one", {"metadata": lists}, type=MERGE)
    assert not freed["metadata"].keys() & lists.keys()


class Listener(Plugin):
    """Keeps what it was told of each operation."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    async def admit(self, attributes: Attributes) -> None:
        self.told.append((attributes.operation, attributes.options.get("kind", "")))

    async def validate(self, attributes: Attributes) -> None:
        """Nothing to refuse."""


async def test_admission_is_told_what_a_request_does_and_not_how_it_is_made() -> None:
    listener = Listener()
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}}
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    async with open_api(user=ADMIN, plugins=[listener]) as api:
        wire = Wire(api)
        await wire.applied(f"{MAPS}/one", config_map(a="1"), "me")
        await wire.applied(f"{MAPS}/one", config_map(a="2"), "me")
        await wire.ok("PATCH", f"{MAPS}/one", {"data": {"a": "3"}}, type=MERGE)
        await wire.ok("PUT", f"{leases}/a", lease)
    assert listener.told == [
        ("CREATE", "CreateOptions"), ("UPDATE", "UpdateOptions"), ("UPDATE", "UpdateOptions"),
        ("CREATE", "CreateOptions"),
    ]  # fmt: skip


async def test_a_control_loop_that_writes_back_what_it_watches_takes_nobodys_fields(
    wire: Wire,
) -> None:
    """What loops share has no managedFields: it would be much of their memory."""
    client = admin(wire.api)
    async with Tasks("test") as tasks:
        informers = Informers(client, tasks)
        informer = informers.get(CONFIG_MAP)
        await informers.wait_synced()
        seen: asyncio.Future[Obj] = asyncio.get_running_loop().create_future()
        informer.on_change(lambda old, new: seen.set_result(new) if new and not old else None)
        await wire.ok("POST", MAPS, config_map(a="1"), fieldManager="maker")
        shared = await seen
        assert "managedFields" not in shared["metadata"]
        await client.update(CONFIG_MAP, {**shared, "data": {"a": "1", "b": "2"}})
    stored = await client.get(CONFIG_MAP, Key("default", "one"))
    assert owners(stored) == {
        "maker Update": {"f:data": {".": {}, "f:a": {}}},
        "admin Update": {"f:data": {"f:b": {}}},
    }


async def test_a_control_loop_shares_what_was_there_before_it(wire: Wire) -> None:
    """Each of thousands of objects once in memory, after a restart too."""
    await wire.ok("POST", MAPS, config_map(a="1"))
    async with Tasks("test") as tasks:
        informers = Informers(admin(wire.api), tasks)
        informer = informers.get(CONFIG_MAP)
        await informers.wait_synced()
        key = Key("default", "one")
        assert informer.get(key) is wire.api.reader.get(CONFIG_MAP, key)
        assert informer.get(key) is not None
