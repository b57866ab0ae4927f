"""pods/ephemeralcontainers and pods/resize: each changes its part of a pod and nothing else."""

from typing import Any

import pytest

from edgek.api.errors import Invalid, MethodNotAllowed
from edgek.api.meta import Key, Obj, deep_copy
from edgek.client.client import Client
from edgek.kinds import POD

KEY = Key("default", "web")
DEBUGGER = {"name": "debugger", "image": "busybox:1", "stdin": True, "targetContainerName": "web"}
FORBIDDEN = "cannot be set for an Ephemeral Container"


async def made(client: Client, **spec: Any) -> Obj:
    pod = deep_copy(dict(POD.example))
    pod["spec"] |= {"nodeName": "n1", **spec}
    return await client.create(POD, pod)


async def patched(client: Client, spec: Obj, *, part: str) -> Obj:
    body = {"spec": spec}
    return await client.patch(POD, KEY, body, patch_type="strategic", subresource=part)


async def add(client: Client, **container: Any) -> Obj:
    containers = [{**DEBUGGER, **container}]
    return await patched(client, {"ephemeralContainers": containers}, part="ephemeralcontainers")


async def resize(client: Client, resources: Obj, *, name: str = "web", **more: Any) -> Obj:
    container = {"name": name, "resources": resources, **more}
    return await patched(client, {"containers": [container]}, part="resize")


async def told(write: Any) -> str:
    with pytest.raises(Invalid) as caught:
        await write
    return caught.value.message


async def test_an_ephemeral_container_is_added_as_kubectl_debug_does(client: Client) -> None:
    pod = await made(client)
    after = await add(client)
    (container,) = after["spec"]["ephemeralContainers"]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert after["metadata"]["generation"] == pod["metadata"]["generation"] + 1
    assert await client.get(POD, KEY, subresource="ephemeralcontainers") == after
    assert await client.get(POD, KEY) == after


async def test_ephemeral_containers_stay_as_they_are(client: Client) -> None:
    await made(client)
    await add(client)
    second = await add(client, name="other")
    assert {c["name"] for c in second["spec"]["ephemeralContainers"]} == {"debugger", "other"}
    changed = 'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debugger" may '
    assert changed + "not be changed" in await told(add(client, image="busybox:2"))
    removed = deep_copy(second)
    del removed["spec"]["ephemeralContainers"]
    write = client.update(POD, removed, subresource="ephemeralcontainers")
    assert "may not be removed" in await told(write)


async def test_nothing_else_goes_in_with_an_ephemeral_container(client: Client) -> None:
    pod = deep_copy(await made(client))
    pod["metadata"]["labels"] = {"forged": "yes"}
    pod["spec"]["containers"][0]["image"] = "forged"
    pod["status"]["phase"] = "Running"
    pod["spec"]["ephemeralContainers"] = [dict(DEBUGGER)]
    after = await client.update(POD, pod, subresource="ephemeralcontainers")
    assert after["metadata"]["labels"] == {"app": "web"}
    assert after["spec"]["containers"][0]["image"] != "forged"
    assert after["status"]["phase"] == "Pending"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"targetContainerName": "nobody"}, 'targetContainerName: Not found: "nobody"'),
        ({"name": "web"}, 'spec.ephemeralContainers[0].name: Duplicate value: "web"'),
        ({"ports": [{"containerPort": 1}]}, f"ports: Forbidden: {FORBIDDEN}"),
        ({"resources": {"limits": {"cpu": 1}}}, f"resources: Forbidden: {FORBIDDEN}"),
        ({"lifecycle": {"stopSignal": "SIGTERM"}}, f"lifecycle: Forbidden: {FORBIDDEN}"),
        ({"image": ""}, "spec.ephemeralContainers[0].image: Required value"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
async def test_what_an_ephemeral_container_may_not_have(
    client: Client, fields: Obj, sentence: str
) -> None:
    await made(client)
    assert sentence in await told(add(client, **fields))


async def test_ephemeral_containers_come_through_their_subresource_only(client: Client) -> None:
    text = "spec.ephemeralContainers: Forbidden: cannot be set on create"
    assert text in await told(made(client, ephemeralContainers=[dict(DEBUGGER)]))
    pod = deep_copy(await made(client))
    pod["spec"]["ephemeralContainers"] = [dict(DEBUGGER)]
    assert "pod updates may not change fields other than" in await told(client.update(POD, pod))


async def test_static_pods_are_their_nodes_alone(client: Client) -> None:
    pod = deep_copy(dict(POD.example))
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    await client.create(POD, pod)
    text = "static pods do not support ephemeral containers"
    assert text in await told(add(client))
    assert "static pods cannot be resized" in await told(resize(client, {}))


async def test_a_resize_changes_cpu_and_memory(client: Client) -> None:
    pod = await made(client)
    after = await resize(client, {"requests": {"cpu": "200m"}})
    resources = after["spec"]["containers"][0]["resources"]
    assert resources == {"requests": {"cpu": "200m", "memory": "64Mi"}}
    assert after["metadata"]["generation"] == pod["metadata"]["generation"] + 1
    again = await resize(client, {"requests": {"cpu": "200m"}})
    assert again == after


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"requests": {"cpu": None}}, "spec.containers[0].resources.requests: Forbidden: resource"
         " requests cannot be removed"),
        ({"requests": {"ephemeral-storage": "1Gi"}}, "spec: Forbidden: only cpu and memory"
         " resources are mutable"),
        ({"requests": {"cpu": "-1"}}, "must be greater than or equal to 0"),
        ({"limits": {"cpu": "10m"}}, "must be less than or equal to cpu limit of 10m"),
        ({"limits": {"cpu": "100m", "memory": "64Mi"}}, "Pod QOS Class may not change as a result"
         " of resizing"),
    ],
    ids=str,
)  # fmt: skip
async def test_a_resize_that_cannot_be(client: Client, resources: Obj, sentence: str) -> None:
    await made(client)
    assert sentence in await told(resize(client, resources))


async def test_a_resize_leaves_images_and_labels_alone(client: Client) -> None:
    pod = await made(client)
    after = await resize(client, {"requests": {"cpu": "1"}}, image="forged")
    assert after["spec"]["containers"][0]["image"] == pod["spec"]["containers"][0]["image"]


async def test_a_resize_keeps_the_containers_and_their_policies(client: Client) -> None:
    await made(client)
    added = resize(client, {}, name="more", image="busybox:1")
    assert "containers may not be added or removed on resize" in await told(added)
    renamed = deep_copy(await client.get(POD, KEY))
    renamed["spec"]["containers"][0]["name"] = "other"
    text = (
        "spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize"
    )
    assert text in await told(client.update(POD, renamed, subresource="resize"))
    policy = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
    text = "only cpu and memory resources are mutable"
    assert text in await told(resize(client, {}, resizePolicy=policy))


async def test_a_node_that_cannot_resize_is_not_asked(client: Client) -> None:
    pod = deep_copy(await made(client))
    state: Obj = {
        "name": "web", "image": "x", "imageID": "x", "ready": True, "restartCount": 0,
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
    }  # fmt: skip
    pod["status"] |= {"phase": "Running", "containerStatuses": [state]}
    pod = deep_copy(await client.update_status(POD, pod))
    text = "Pod running on node without support for resize"
    assert text in await told(resize(client, {"requests": {"cpu": "1"}}))
    state["resources"] = {"requests": {"cpu": "100m"}}
    pod["status"]["containerStatuses"] = [state]
    await client.update_status(POD, pod)
    await resize(client, {"requests": {"cpu": "1"}})


async def test_nothing_is_created_through_a_part(client: Client) -> None:
    pod = await made(client)
    for part in ("ephemeralcontainers", "resize"):
        with pytest.raises(MethodNotAllowed):
            await client.create(POD, pod, name="web", subresource=part)


async def test_a_bound_pod_is_nominated_no_more(client: Client) -> None:
    pod = deep_copy(await client.create(POD, deep_copy(dict(POD.example))))
    pod["status"]["nominatedNodeName"] = "n2"
    await client.update_status(POD, pod)
    binding = {"metadata": {"name": "web", "namespace": "default"}, "target": {"name": "n1"}}
    await client.create(POD, binding, name="web", subresource="binding")
    bound = await client.get(POD, KEY)
    assert bound["spec"]["nodeName"] == "n1"
    assert "nominatedNodeName" not in bound["status"]
    assert bound["metadata"]["generation"] == pod["metadata"]["generation"]
