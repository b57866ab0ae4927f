"""What every kind's objects go through, on the real server in process."""

import asyncio
import contextlib

import pytest

from edgek.aio.clock import FakeClock
from edgek.api import errors
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, POD, POD_TEMPLATE, SERVICE
from server.app import Api

A = Key("default", "a")


def config_map(name: str = "a", **more: object) -> Obj:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"k": "v"}, **more}


def pod(name: str = "a", **spec: object) -> Obj:
    container = {"name": "main", "image": "busybox"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], **spec},
    }


def service(name: str = "a", **spec: object) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"port": 80}], **spec},
    }


async def test_the_server_stamps_what_only_it_may_set(client: Client, clock: FakeClock) -> None:
    forged = config_map()
    forged["metadata"] |= {"uid": "mine", "creationTimestamp": "1999-01-01T00:00:00Z"}
    made = await client.create(CONFIG_MAP, forged)
    assert made["metadata"]["uid"].startswith("uid-")
    assert made["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert made["metadata"]["resourceVersion"].isdecimal()


async def test_a_name_is_generated_and_drawn_again_when_taken(client: Client, api: Api) -> None:
    names = iter(["one", "one", "two"])
    api.env.registry.suffix = lambda: next(names)
    made = []
    for _ in range(2):
        obj = config_map()
        obj["metadata"] = {"namespace": "default", "generateName": "x-"}
        made.append((await client.create(CONFIG_MAP, obj))["metadata"]["name"])
    assert made == ["x-one", "x-two"]


async def test_a_second_of_the_same_name_already_exists(client: Client) -> None:
    await client.create(CONFIG_MAP, config_map())
    with pytest.raises(errors.AlreadyExists, match='configmaps "a" already exists'):
        await client.create(CONFIG_MAP, config_map())


async def test_of_two_creates_at_once_one_succeeds(client: Client) -> None:
    results = await asyncio.gather(
        *(client.create(CONFIG_MAP, config_map()) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(r, errors.AlreadyExists) for r in results) == 4


async def test_an_update_with_an_old_resource_version_conflicts(client: Client) -> None:
    old = await client.create(CONFIG_MAP, config_map())
    await client.update(CONFIG_MAP, {**old, "data": {"k": "new"}})
    with pytest.raises(errors.Conflict, match="the object has been modified"):
        await client.update(CONFIG_MAP, {**old, "data": {"k": "other"}})


async def test_of_many_pinned_updates_at_once_one_succeeds(client: Client) -> None:
    old = await client.create(CONFIG_MAP, config_map())
    results = await asyncio.gather(
        *(client.update(CONFIG_MAP, {**old, "data": {"n": str(n)}}) for n in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(r, errors.Conflict) for r in results) == 7


async def test_patches_of_different_fields_at_once_all_take_effect(client: Client) -> None:
    await client.create(CONFIG_MAP, config_map())
    await asyncio.gather(*(client.patch(CONFIG_MAP, A, {"data": {f"k{n}": "x"}}) for n in range(9)))
    assert len((await client.get(CONFIG_MAP, A))["data"]) == 10


async def test_an_update_that_changes_nothing_is_not_written(client: Client) -> None:
    old = await client.create(CONFIG_MAP, config_map())
    new = await client.update(CONFIG_MAP, old)
    assert new["metadata"]["resourceVersion"] == old["metadata"]["resourceVersion"]


async def test_a_dry_run_answers_as_if_and_stores_nothing(client: Client) -> None:
    made = await client.create(CONFIG_MAP, config_map(), dry_run=True)
    assert made["data"] == {"k": "v"}
    with pytest.raises(errors.NotFound):
        await client.get(CONFIG_MAP, A)


async def test_what_a_dry_run_or_a_refused_write_took_is_given_back(client: Client) -> None:
    first = await client.create(SERVICE, service(clusterIP="10.43.0.77"), dry_run=True)
    assert first["spec"]["clusterIP"] == "10.43.0.77"
    with pytest.raises(errors.Invalid):
        await client.create(SERVICE, service("b", clusterIP="10.43.0.77", type="Nonsense"))
    real = await client.create(SERVICE, service("c", clusterIP="10.43.0.77"))
    assert real["spec"]["clusterIP"] == "10.43.0.77"


async def test_a_service_gets_an_address_and_ports_of_its_own(client: Client) -> None:
    made = [await client.create(SERVICE, service(f"s{n}", type="NodePort")) for n in range(3)]
    assert len({s["spec"]["clusterIP"] for s in made}) == 3
    assert len({s["spec"]["ports"][0]["nodePort"] for s in made}) == 3


async def test_a_service_keeps_its_address_and_port_through_updates(client: Client) -> None:
    made = await client.create(SERVICE, service(type="NodePort"))
    meta = {"name": "a", "namespace": "default"}
    again = await client.update(SERVICE, {**service(type="NodePort"), "metadata": meta})
    assert again["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    assert again["spec"]["ports"] == made["spec"]["ports"]


async def test_a_taken_address_is_refused_until_its_service_is_gone(client: Client) -> None:
    await client.create(SERVICE, service("a", clusterIP="10.43.0.9"))
    with pytest.raises(errors.Invalid, match="provided IP is already allocated"):
        await client.create(SERVICE, service("b", clusterIP="10.43.0.9"))
    await client.delete(SERVICE, A)
    await client.create(SERVICE, service("b", clusterIP="10.43.0.9"))


@pytest.mark.parametrize(
    "thief",
    [
        {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30080},
        {
            "type": "ExternalName",
            "externalName": "example.com",
            "ports": [{"port": 80, "nodePort": 30080}],
        },
    ],
)
async def test_a_node_port_is_freed_by_its_own_service_only(client: Client, thief: Obj) -> None:
    ports = {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}
    await client.create(SERVICE, service("a", **ports))
    await client.create(SERVICE, service("thief", **thief))
    await client.delete(SERVICE, Key("default", "thief"))
    with pytest.raises(errors.Invalid, match="provided port is already allocated"):
        await client.create(SERVICE, service("b", **ports))


@pytest.mark.parametrize("steps", range(8))
async def test_an_address_is_freed_though_the_client_goes_away_meanwhile(
    client: Client, steps: int
) -> None:
    await client.create(SERVICE, service(clusterIP="10.43.0.9"))
    deletion = asyncio.create_task(client.delete(SERVICE, A))
    for _ in range(steps):
        await asyncio.sleep(0)
    deletion.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await deletion
    with contextlib.suppress(errors.NotFound):
        await client.delete(SERVICE, A)
    await asyncio.sleep(0)
    assert await client.create(SERVICE, service("b", clusterIP="10.43.0.9"))


async def test_status_and_spec_are_written_apart(client: Client) -> None:
    made = await client.create(POD, pod())
    await client.update_status(POD, {**made, "spec": {}, "status": {"phase": "Running"}})
    found = await client.get(POD, A)
    assert found["spec"]["containers"]
    assert found["status"]["phase"] == "Running"
    await client.patch(POD, A, {"metadata": {"labels": {"x": "y"}}, "status": {"phase": "Failed"}})
    assert (await client.get(POD, A))["status"]["phase"] == "Running"


async def test_generation_counts_changes_of_the_spec_only(client: Client) -> None:
    labels = {"app": "a"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod()["spec"]},
        },
    }
    await client.create(DEPLOYMENT, deployment)
    await client.patch(DEPLOYMENT, A, {"metadata": {"labels": {"x": "y"}}})
    patched = await client.patch(DEPLOYMENT, A, {"spec": {"replicas": 3}})
    assert patched["metadata"]["generation"] == 2


# --- deletion ------------------------------------------------------------------------------------


async def test_a_finalizer_holds_an_object_until_it_is_taken_off(client: Client) -> None:
    held = config_map()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await client.create(CONFIG_MAP, held)
    marked = await client.delete(CONFIG_MAP, A)
    assert marked["metadata"]["deletionTimestamp"]
    await client.patch(CONFIG_MAP, A, {"metadata": {"finalizers": None}})
    with pytest.raises(errors.NotFound):
        await client.get(CONFIG_MAP, A)


async def test_a_running_pod_is_deleted_in_two_steps(client: Client) -> None:
    await client.create(POD, pod(nodeName="n1"))
    marked = await client.delete(POD, A)
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:30Z"
    await client.delete(POD, A, grace_period_seconds=0)
    with pytest.raises(errors.NotFound):
        await client.get(POD, A)


async def test_a_later_delete_shortens_the_grace_but_never_lengthens_it(client: Client) -> None:
    await client.create(POD, pod(nodeName="n1"))
    await client.delete(POD, A, grace_period_seconds=20)
    longer = await client.delete(POD, A, grace_period_seconds=60)
    assert longer["metadata"]["deletionGracePeriodSeconds"] == 20
    shorter = await client.delete(POD, A, grace_period_seconds=5)
    assert shorter["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:05Z"


async def test_a_pod_without_a_node_goes_at_once(client: Client) -> None:
    await client.create(POD, pod())
    await client.delete(POD, A)
    with pytest.raises(errors.NotFound):
        await client.get(POD, A)


async def test_a_delete_for_another_uid_is_refused(client: Client) -> None:
    await client.create(CONFIG_MAP, config_map())
    with pytest.raises(errors.Conflict, match="UID in precondition: other"):
        await client.delete(CONFIG_MAP, A, preconditions={"uid": "other"})


@pytest.mark.parametrize(
    ("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")]
)
async def test_a_propagation_policy_becomes_a_finalizer(
    client: Client, policy: str, finalizer: str
) -> None:
    await client.create(CONFIG_MAP, config_map())
    marked = await client.delete(CONFIG_MAP, A, propagation_policy=policy)
    assert marked["metadata"]["finalizers"] == [finalizer]


async def test_a_namespace_stays_until_it_is_finalized(client: Client) -> None:
    spaces = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}
    await client.create(NAMESPACE, spaces)
    marked = await client.delete(NAMESPACE, Key("", "x"))
    assert marked["status"]["phase"] == "Terminating"
    emptied = {**marked, "spec": {"finalizers": []}}
    await client.update(NAMESPACE, emptied, subresource="finalize")
    with pytest.raises(errors.NotFound):
        await client.get(NAMESPACE, Key("", "x"))


# --- binding and scale ---------------------------------------------------------------------------


def binding(node: str) -> Obj:
    target = {"kind": "Node", "name": node}
    meta = {"name": "a", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Binding", "metadata": meta, "target": target}


async def test_a_pod_is_bound_once(client: Client) -> None:
    await client.create(POD, pod())
    await client.create(POD, binding("n1"), subresource="binding", name="a")
    bound = await client.get(POD, A)
    assert bound["spec"]["nodeName"] == "n1"
    assert bound["status"]["conditions"][0]["type"] == "PodScheduled"
    with pytest.raises(errors.Conflict, match='already assigned to node "n1"'):
        await client.create(POD, binding("n2"), subresource="binding", name="a")


async def test_an_object_that_patches_made_too_large_grows_no_more_but_can_go(
    client: Client,
) -> None:
    template = pod(activeDeadlineSeconds=5)
    made = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": template["metadata"]}
    made["metadata"]["finalizers"] = ["example.com/hold"]
    await client.create(POD_TEMPLATE, made | {"template": {"spec": template["spec"]}})
    [container] = template["spec"]["containers"]
    spec = {"containers": [{**container, "args": ["x" * 3_000] * 1_000}]}
    await client.patch(POD_TEMPLATE, A, {"template": {"spec": spec}})
    with pytest.raises(errors.RequestEntityTooLarge, match="limit is 3145728"):
        await client.patch(POD_TEMPLATE, A, {"metadata": {"annotations": {"a": "x" * 200_000}}})
    await client.delete(POD_TEMPLATE, A)
    assert (await client.get(POD_TEMPLATE, A))["metadata"]["deletionTimestamp"]
