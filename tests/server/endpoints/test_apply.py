"""Server-side apply as clients see it: who owns what, conflicts, and what is refused."""

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgek.aio.clock import FakeClock
from edgek.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING
from server.request.model import User
from tests.support.api import ADMIN, open_api
from tests.support.wire import APPLY, JSON_PATCH, MERGE, Wire, owners

MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def config_map(name: str = "one", **data: str) -> Any:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def data(*keys: str) -> Any:
    return {"f:data": {f"f:{key}": {} for key in keys}}


DEPLOYMENT: Any = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"tier": "front"}},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "busybox:1"}]},
        },
    },
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def wire(clock: FakeClock) -> AsyncIterator[Wire]:
    async with open_api(user=ADMIN, clock=clock) as api:
        yield Wire(api)


async def test_the_first_apply_creates(wire: Wire) -> None:
    status, made = await wire.apply(f"{MAPS}/one", config_map(a="1"), "me")
    assert status == 201
    assert made["data"] == {"a": "1"}
    assert owners(made) == {"me Apply": data("a")}
    (entry,) = made["metadata"]["managedFields"]
    assert entry["apiVersion"] == "v1"
    assert entry["fieldsType"] == "FieldsV1"


async def test_the_same_again_writes_nothing(wire: Wire, clock: FakeClock) -> None:
    first = await wire.applied(f"{MAPS}/one", config_map(a="1"), "me")
    clock.advance(3600)
    status, again = await wire.apply(f"{MAPS}/one", config_map(a="1"), "me")
    assert status == 200
    assert again == first


async def test_what_is_named_no_more_goes(wire: Wire) -> None:
    await wire.applied(f"{MAPS}/one", config_map(a="1", b="2"), "me")
    got = await wire.applied(f"{MAPS}/one", config_map(a="1"), "me")
    assert got["data"] == {"a": "1"}
    assert owners(got) == {"me Apply": data("a")}


@pytest.mark.parametrize("other", ["applies", "updates"])
async def test_what_somebody_else_owns_too_stays(wire: Wire, other: str) -> None:
    await wire.applied(f"{MAPS}/one", config_map(a="1", b="2"), "me")
    if other == "applies":
        await wire.applied(f"{MAPS}/one", config_map(b="2"), "you")
    else:
        await wire.ok("PATCH", f"{MAPS}/one", {"data": {"b": "3"}}, type=MERGE)
        await wire.applied(f"{MAPS}/one", config_map(a="1", b="3"), "me")
    got = await wire.applied(f"{MAPS}/one", config_map(a="1"), "me")
    assert "b" in got["data"]


async def test_two_managers_of_different_fields_need_no_order(wire: Wire) -> None:
    await wire.applied(f"{MAPS}/one", config_map(a="1"), "me")
    there = await wire.applied(f"{MAPS}/one", config_map(b="2"), "you")
    await wire.applied(f"{MAPS}/two", config_map("two", b="2"), "you")
    back = await wire.applied(f"{MAPS}/two", config_map("two", a="1"), "me")
    assert there["data"] == back["data"] == {"a": "1", "b": "2"}
    assert owners(there) == owners(back) == {"me Apply": data("a"), "you Apply": data("b")}


async def test_the_same_value_is_owned_together_and_another_one_conflicts(wire: Wire) -> None:
    await wire.applied(f"{MAPS}/one", config_map(a="1"), "me")
    both = await wire.applied(f"{MAPS}/one", config_map(a="1"), "you")
    assert owners(both) == {"me Apply": data("a"), "you Apply": data("a")}
    assert all("time" in e for e in both["metadata"]["managedFields"])
    status, refused = await wire.apply(f"{MAPS}/one", config_map(a="2"), "you")
    assert (status, refused["reason"]) == (409, "Conflict")
    assert refused["message"] == 'Apply failed with 1 conflict: conflict with "me": .data.a'
    assert refused["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "me"', "field": ".data.a"}
    ]
    forced = await wire.applied(f"{MAPS}/one", config_map(a="2"), "you", force="true")
    assert owners(forced) == {"you Apply": data("a")}


async def test_all_conflicts_are_told_by_manager(wire: Wire) -> None:
    wire.agent = "kubectl-create/v1.37"
    await wire.ok("POST", DEPLOYMENTS, DEPLOYMENT)
    await wire.ok("PUT", f"{DEPLOYMENTS}/web/scale", scale(5), fieldManager="scaler")
    other = copy.deepcopy(DEPLOYMENT)
    other["metadata"]["labels"]["tier"] = "back"
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "busybox:2"
    status, refused = await wire.apply(f"{DEPLOYMENTS}/web", other, "me")
    assert status == 409
    assert refused["message"] == (
        "Apply failed with 3 conflicts: "
        'conflicts with "kubectl-create" using apps/v1:\n'
        "- .metadata.labels.tier\n"
        '- .spec.template.spec.containers[name="main"].image\n'
        'conflicts with "scaler" with subresource "scale" using apps/v1:\n'
        "- .spec.replicas"
    )


def scale(replicas: int) -> Any:
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas},
    }


async def test_a_dry_run_tells_and_writes_nothing(wire: Wire) -> None:
    path = f"{MAPS}/one"
    status, told = await wire.apply(path, config_map(a="1"), "me", dryRun="All")
    assert (status, owners(told)) == (201, {"me Apply": data("a")})
    assert (await wire("GET", path))[0] == 404
    before = await wire.applied(path, config_map(a="1"), "me")
    told = await wire.applied(path, config_map(a="2"), "me", dryRun="All")
    assert told["data"] == {"a": "2"}
    assert await wire.ok("GET", path) == before


async def test_a_status_is_applied_through_its_own_url(wire: Wire) -> None:
    await wire.applied(f"{DEPLOYMENTS}/web", DEPLOYMENT, "me")
    body = copy.deepcopy(DEPLOYMENT)
    body["spec"]["replicas"] = 7
    body["status"] = {"replicas": 1}
    got = await wire.applied(f"{DEPLOYMENTS}/web/status", body, "keeper")
    assert (got["status"]["replicas"], got["spec"]["replicas"]) == (1, 3)
    assert owners(got)["keeper Apply status"] == {
        "f:metadata": {"f:labels": {"f:tier": {}}},
        "f:status": {"f:replicas": {}},
    }
    body["status"] = {"replicas": 9}
    main = await wire.applied(f"{DEPLOYMENTS}/web", body, "me")
    assert main["status"]["replicas"] == 1
    assert "f:status" not in owners(main)["me Apply"]


async def test_a_scale_is_applied_to_the_object(wire: Wire) -> None:
    await wire.applied(f"{DEPLOYMENTS}/web", DEPLOYMENT, "me")
    status, refused = await wire.apply(f"{DEPLOYMENTS}/web/scale", scale(5), "scaler")
    assert (status, refused["details"]["causes"][0]["field"]) == (409, ".spec.replicas")
    got = await wire.applied(f"{DEPLOYMENTS}/web/scale", scale(5), "scaler", force="true")
    assert (got["kind"], got["spec"]["replicas"]) == ("Scale", 5)
    found = owners(await wire.ok("GET", f"{DEPLOYMENTS}/web"))
    assert found["scaler Apply scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in found["me Apply"]["f:spec"]


async def test_an_object_that_nobody_tracked_is_somebodys_from_its_first_apply(wire: Wire) -> None:
    await wire.ok("POST", MAPS, config_map(a="1", b="2"))
    forget: Any = {"metadata": {"managedFields": [{}]}}
    bare = await wire.ok("PATCH", f"{MAPS}/one", forget, type=MERGE)
    assert owners(bare) == {}
    await wire.ok("PATCH", f"{MAPS}/one", {"data": {"c": "3"}}, type=MERGE)
    got = await wire.applied(f"{MAPS}/one", config_map(a="1"), "me")
    assert owners(got) == {
        "me Apply": data("a"),
        "before-first-apply Update": {"f:data": {".": {}, "f:a": {}, "f:b": {}, "f:c": {}}},
    }
    status, refused = await wire.apply(f"{MAPS}/one", config_map(a="2"), "me")
    assert (status, '"before-first-apply" using v1' in refused["message"]) == (409, True)


LAST = "kubectl.kubernetes.io/last-applied-configuration"


async def client_side(wire: Wire, text: str) -> None:
    """As kubectl apply without --server-side leaves an object."""
    body = config_map(a="1", b="2")
    body["metadata"]["annotations"] = {LAST: text}
    await wire.ok("POST", MAPS, body, fieldManager="kubectl-client-side-apply")


APPLIED = (
    '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"},"data":{"a":"1","b":"2"}}'
)


async def test_kubectl_takes_over_what_it_applied_on_the_client_side(wire: Wire) -> None:
    await client_side(wire, APPLIED)
    assert (await wire.apply(f"{MAPS}/one", config_map(a="9", b="2"), "another"))[0] == 409
    got = await wire.applied(f"{MAPS}/one", config_map(a="9", b="2"), "kubectl")
    assert got["data"] == {"a": "9", "b": "2"}
    kept = got["metadata"]["annotations"][LAST]
    assert '"a":"9"' in kept, "the annotation is kept true for the way back"
    assert kept.endswith("\n")


async def test_kubectl_conflicts_where_somebody_changed_it_since(wire: Wire) -> None:
    await client_side(wire, APPLIED)
    await wire.ok("PATCH", f"{MAPS}/one", {"data": {"a": "5"}}, type=MERGE)
    status, refused = await wire.apply(f"{MAPS}/one", config_map(a="9", b="8"), "kubectl")
    assert status == 409
    fields = [cause["field"] for cause in refused["details"]["causes"]]
    assert fields == [".data.a"], "b is as kubectl left it"


@pytest.mark.parametrize("text", ["{", "[]", '{"apiVersion":"v2"}', '{"apiVersion":"v1","data":3}'])
async def test_an_annotation_without_sense_allows_nothing(wire: Wire, text: str) -> None:
    await client_side(wire, text)
    assert (await wire.apply(f"{MAPS}/one", config_map(a="9"), "kubectl"))[0] == 409


async def test_managers_of_other_versions_are_asked_in_theirs(wire: Wire) -> None:
    root = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    one: Any = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50},
    }
    await wire.applied(root.format("v1") + "/h", one, "old")
    two = {**one, "apiVersion": "autoscaling/v2"}
    two["spec"] = {"scaleTargetRef": target, "maxReplicas": 4}
    status, refused = await wire.apply(root.format("v2") + "/h", two, "new")
    assert (status, refused["details"]["causes"][0]["field"]) == (409, ".spec.maxReplicas")
    cpu = {"type": "Utilization", "averageUtilization": 60}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": cpu}}
    two["spec"] |= {"maxReplicas": 3, "metrics": [metric]}
    status, refused = await wire.apply(root.format("v2") + "/h", two, "new")
    causes = refused["details"]["causes"]
    assert [c["field"] for c in causes] == [".spec.targetCPUUtilizationPercentage"]
    got = await wire.applied(root.format("v2") + "/h", two, "new", force="true")
    versions = {e["manager"]: e["apiVersion"] for e in got["metadata"]["managedFields"]}
    assert versions == {"old": "autoscaling/v1", "new": "autoscaling/v2"}


async def test_an_older_resource_version_is_refused(wire: Wire) -> None:
    first = await wire.applied(f"{MAPS}/one", config_map(a="1"), "me")
    await wire.applied(f"{MAPS}/one", config_map(a="2"), "me")
    body = config_map(a="3")
    body["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"]
    status, refused = await wire.apply(f"{MAPS}/one", body, "me")
    assert (status, "object has been modified" in refused["message"]) == (409, True)


def changed(**meta: Any) -> Any:
    body = config_map(a="1")
    body["metadata"] |= meta
    return body


REFUSED: Any = {
    "no manager": (
        config_map(a="1"), {"fieldManager": ""}, 422,
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for '
        "apply patch",
    ),
    "a long manager": (
        config_map(a="1"), {"fieldManager": "x" * 129}, 422,
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Too long: may not be more than 128 '
        "bytes",
    ),
    "no yaml": (b"a: [", {}, 400, "error decoding YAML: "),
    "a list": (b"[]", {}, 400, "error decoding YAML: "),
    "another kind": (
        {**config_map(), "kind": "Secret"}, {}, 400, "invalid object type: /v1, Kind=Secret"
    ),
    "no kind": ({"metadata": {"name": "one"}}, {}, 400, "invalid object type: /, Kind="),
    "managed fields": (changed(managedFields=[]), {}, 400, "metadata.managedFields must be nil"),
    "an unknown field": (
        {**config_map(), "stray": 1}, {"fieldValidation": "Ignore"}, 400,
        "failed to create typed patch object (/one; /v1, Kind=ConfigMap): .stray: field not "
        "declared in schema",
    ),
    "metadata that are none": (
        {**config_map(), "metadata": "x"}, {}, 400, "failed to create typed patch object (/; "
    ),
    "another name": (
        config_map("two"), {}, 400,
        "the name of the object (two) does not match the name on the URL (one)",
    ),
    "no name": (
        {**config_map(), "metadata": {}}, {}, 400,
        "the name of the object (one based on URL) was undeterminable: name must be provided",
    ),
    "another namespace": (
        changed(namespace="other"), {}, 400,
        "the namespace of the provided object does not match the namespace sent on the request",
    ),
    "a uid of nothing": (
        changed(uid="u"), {}, 409,
        'Operation cannot be fulfilled on configmaps "one": uid mismatch: the provided object '
        "specified uid u, and no existing object was found",
    ),
    "a key twice": (
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"},"data":{},"data":{}}',
        {"fieldValidation": "Strict"}, 400, "error strict decoding YAML: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_refused(wire: Wire, case: str) -> None:
    body, query, code, message = REFUSED[case]
    query = {"fieldManager": "me", **query}
    status, refused = await wire("PATCH", f"{MAPS}/one", body, type=APPLY, **query)
    assert (status, refused["message"][: len(message)]) == (code, message)
    assert (await wire("GET", f"{MAPS}/one"))[0] == 404, "and nothing is made"


async def test_a_key_that_comes_twice_is_warned_of(wire: Wire) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {a: b, a: c}\n"
    got = await wire.applied(f"{MAPS}/one", body, "me")
    assert got["data"] == {"a": "c"}
    assert any('key "a" already set in map' in text for text in wire.warnings)


async def test_force_is_for_apply_alone(wire: Wire) -> None:
    await wire.ok("POST", MAPS, config_map(a="1"))
    status, refused = await wire("PATCH", f"{MAPS}/one", {}, type=MERGE, force="true")
    assert status == 422
    assert refused["message"] == (
        'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for '
        "non-apply patch"
    )


async def test_a_subresource_is_not_created(wire: Wire) -> None:
    assert (await wire.apply(f"{DEPLOYMENTS}/web/status", DEPLOYMENT, "me"))[0] == 404
    assert (await wire.apply(f"{DEPLOYMENTS}/web/scale", scale(1), "me"))[0] == 404


async def test_creating_by_apply_needs_the_right_to_create() -> None:
    async with open_api(user=User(name="jane")) as api:
        admin = Wire(api)
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}
        client = api.client(ADMIN)
        await client.create(CLUSTER_ROLE, {"metadata": {"name": "patcher"}, "rules": [rule]})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}
        binding = {
            "metadata": {"name": "jane"},
            "roleRef": {**reference, "name": "patcher"},
            "subjects": [subject],
        }
        await client.create(CLUSTER_ROLE_BINDING, binding)
        status, refused = await admin.apply(f"{MAPS}/one", config_map(a="1"), "me")
        assert status == 403
        assert 'User "jane" cannot create resource "configmaps"' in refused["message"]


async def test_kubectls_migration_of_managers_is_a_patch_of_the_list(wire: Wire) -> None:
    """As kubectl's csaupgrade: a JSON patch puts the entries of the client-side manager under
    the name of the server-side one."""
    await client_side(wire, APPLIED)
    before = await wire.ok("GET", f"{MAPS}/one")
    (entry,) = before["metadata"]["managedFields"]
    migrated = {**entry, "manager": "kubectl", "operation": "Apply"}
    patch = [
        {"op": "replace", "path": "/metadata/managedFields", "value": [migrated]},
        {"op": "replace", "path": "/metadata/resourceVersion",
         "value": before["metadata"]["resourceVersion"]},
    ]  # fmt: skip
    got = await wire.ok("PATCH", f"{MAPS}/one", patch, type=JSON_PATCH)
    assert list(owners(got)) == ["kubectl Apply"]
    got = await wire.applied(f"{MAPS}/one", config_map(a="1"), "kubectl")
    assert got["data"] == {"a": "1"}, "what is applied no more is known to be kubectl's"


async def test_the_time_of_an_entry_moves_with_its_fields(wire: Wire, clock: FakeClock) -> None:
    first = await wire.applied(f"{MAPS}/one", config_map(a="1"), "me")
    clock.advance(3600)
    second = await wire.applied(f"{MAPS}/one", config_map(b="2"), "you")
    times = {e["manager"]: e["time"] for e in second["metadata"]["managedFields"]}
    assert times["me"] == first["metadata"]["managedFields"][0]["time"] < times["you"]
