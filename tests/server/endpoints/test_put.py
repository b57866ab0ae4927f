"""PUT: which kinds it creates, and which it only updates from a known revision."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgek.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING
from server.request.model import User
from tests.support.api import ADMIN, open_api
from tests.support.wire import Wire, owners

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
MAPS = "/api/v1/namespaces/default/configmaps"
LEASE: Any = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "a"},
    "spec": {"holderIdentity": "me", "leaseDurationSeconds": 1},
}


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with open_api(user=ADMIN) as api:
        yield Wire(api)


async def test_a_lease_is_created_by_put(wire: Wire) -> None:
    status, made = await wire("PUT", f"{LEASES}/a", LEASE, fieldManager="holder")
    assert status == 201
    assert made["metadata"]["uid"]
    assert list(owners(made)) == ["holder Update"]
    made["spec"]["holderIdentity"] = "you"
    assert (await wire("PUT", f"{LEASES}/a", made))[0] == 200


async def test_other_kinds_are_not(wire: Wire) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    assert (await wire("PUT", f"{MAPS}/a", body))[0] == 404


@pytest.mark.parametrize(
    ("meta", "code", "message"),
    [
        ({"name": "b"}, 400, "does not match the name on the URL (a)"),
        ({"name": "a", "uid": "u"}, 409, "uid mismatch"),
        ({"name": "a", "namespace": "other"}, 400, "does not match the namespace"),
        ({}, 400, "name must be provided"),
    ],
)
async def test_what_is_put_must_fit_its_url(wire: Wire, meta: Any, code: int, message: str) -> None:
    status, refused = await wire("PUT", f"{LEASES}/a", {**LEASE, "metadata": meta})
    assert (status, message in refused["message"]) == (code, True)


async def test_some_kinds_must_say_which_revision_they_replace(wire: Wire) -> None:
    await wire.ok("PUT", f"{LEASES}/a", LEASE)
    status, refused = await wire("PUT", f"{LEASES}/a", LEASE)
    assert status == 422
    assert refused["message"] == (
        'leases.coordination.k8s.io "a" is invalid: metadata.resourceVersion: Invalid value: 0x0: '
        "must be specified for an update"
    )
    made = await wire.ok("GET", f"{LEASES}/a")
    assert (await wire("PUT", f"{LEASES}/a", made))[0] == 200


async def test_creating_by_put_needs_the_right_to_create() -> None:
    async with open_api(user=User(name="jane")) as api:
        client = api.client(ADMIN)
        rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"]}
        await client.create(CLUSTER_ROLE, {"metadata": {"name": "writer"}, "rules": [rule]})
        group = "rbac.authorization.k8s.io"
        binding = {
            "metadata": {"name": "jane"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "writer"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "jane"}],
        }
        await client.create(CLUSTER_ROLE_BINDING, binding)
        status, refused = await Wire(api)("PUT", f"{LEASES}/a", LEASE)
        assert (status, "cannot create resource" in refused["message"]) == (403, True)
