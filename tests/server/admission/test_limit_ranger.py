"""LimitRanger: defaults that are filled in, and every violation in one answer."""

from typing import Any

import pytest

from edgek.api.errors import Forbidden
from edgek.api.meta import Obj
from edgek.kinds import LIMIT_RANGE, PERSISTENT_VOLUME_CLAIM, POD
from server.admission.chain import Attributes
from server.admission.limit_ranger import LimitRanger
from server.request.fake import FakeReader
from server.request.model import User


def limits(*items: Obj) -> LimitRanger:
    meta = {"name": "l", "namespace": "shop"}
    return LimitRanger(FakeReader((LIMIT_RANGE, {"metadata": meta, "spec": {"limits": [*items]}})))


def a_pod(*containers: Obj, **spec: Any) -> Obj:
    return {"metadata": {"name": "web"}, "spec": {"containers": [*containers], **spec}}


def container(name: str = "c", **resources: Obj) -> Obj:
    return {"name": name, "resources": resources}


async def admitted(plugin: LimitRanger, obj: Obj, **more: Any) -> Obj:
    defaults = {"operation": "CREATE", "kind": POD, "namespace": "shop", "name": "web"}
    a = Attributes(obj=obj, user=User(name="ann"), **{**defaults, **more})
    await plugin.admit(a)
    await plugin.validate(a)
    return obj


async def refused(plugin: LimitRanger, obj: Obj, **more: Any) -> str:
    with pytest.raises(Forbidden) as caught:
        await admitted(plugin, obj, **more)
    return caught.value.message.partition(" is forbidden: ")[2]


async def test_containers_get_what_they_do_not_say_and_a_note_tells_so() -> None:
    defaults = {"default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"}}
    obj = a_pod(
        container("a"),
        container("b", limits={"cpu": "2"}),
        initContainers=[container("i", limits={"cpu": "2", "memory": "1Gi"})],
    )
    await admitted(limits({"type": "Container", **defaults}), obj)
    first, second = obj["spec"]["containers"]
    assert first["resources"] == {
        "limits": {"cpu": "1", "memory": "1Gi"},
        "requests": {"cpu": "100m"},
    }
    assert second["resources"]["limits"] == {"cpu": "2", "memory": "1Gi"}
    assert obj["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu request for container a; cpu, memory limit for container a; "
        "cpu request for container b; memory limit for container b; cpu request for init "
        "container i"
    )


BOUNDS = {"min": {"cpu": "100m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"memory": "2"}}


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (
            {"requests": {"cpu": "50m"}, "limits": {"cpu": "2", "memory": "1Gi"}},
            "[minimum cpu usage per Container is 100m, but request is 50m, maximum cpu usage per "
            "Container is 1, but limit is 2, memory max limit to request ratio per Container is "
            "2, but no request is specified or request is 0]",
        ),
        (
            {"requests": {"memory": "1Gi"}, "limits": {"memory": "3Gi"}},
            "[minimum cpu usage per Container is 100m.  No request is specified, maximum cpu usage "
            "per Container is 1.  No limit is specified, memory max limit to request ratio per "
            "Container is 2, but provided ratio is 3.000000]",
        ),
        (
            {"requests": {"cpu": "1", "memory": "1"}, "limits": {"cpu": "1"}},
            "memory max limit to request ratio per Container is 2, but no limit is specified or "
            "limit is 0",
        ),
    ],
)
async def test_all_violations_are_told_at_once(resources: Obj, words: str) -> None:
    plugin = limits({"type": "Container", **BOUNDS})
    assert await refused(plugin, a_pod(container(**resources))) == words


async def test_a_pod_is_measured_by_the_sum_of_its_containers() -> None:
    plugin = limits({"type": "Pod", "max": {"memory": "1Gi"}})
    each = {"limits": {"memory": "600Mi"}, "requests": {"memory": "100Mi"}}
    obj = a_pod(container("a", **each), container("b", **each), overhead={"memory": "9Gi"})
    assert await refused(plugin, obj) == (
        "maximum memory usage per Pod is 1Gi, but limit is 1200Mi"
    )
    del obj["spec"]["containers"][1]
    await admitted(plugin, obj)


async def test_a_pod_that_runs_is_left_alone_until_it_is_resized() -> None:
    plugin, small = limits({"type": "Container", **BOUNDS}), a_pod(container())
    await admitted(plugin, small, old=small, operation="UPDATE")
    assert "No request is specified" in await refused(
        plugin, small, old=small, operation="UPDATE", subresource="resize"
    )


async def test_claims_are_measured_by_their_requests() -> None:
    item = {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}
    claim: Obj = {"metadata": {}, "spec": {"resources": {"requests": {"storage": "5Gi"}}}}
    assert await refused(limits(item), claim, kind=PERSISTENT_VOLUME_CLAIM) == (
        "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 5Gi"
    )
    claim["spec"]["resources"]["requests"]["storage"] = "1Mi"
    assert await refused(limits(item), claim, kind=PERSISTENT_VOLUME_CLAIM) == (
        "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"
    )
