"""Objects of a small cluster, and the subresources that the scheduler and signers write."""

import asyncio
from collections.abc import Callable
from typing import Any

from edgek.api.errors import Conflict, NotFound
from edgek.api.meta import Key, Obj
from edgek.client.transport import Call
from edgek.kinds import POD
from tests.support.memory_api import MemoryApi


def node(name: str, *, cpu: str = "4", memory: str = "8Gi", pods: str = "110", **more: Any) -> Obj:
    """``labels=``, ``taints=``, ``unschedulable=``, ``conditions=`` go where they belong."""
    labels = {"kubernetes.io/hostname": name, **more.pop("labels", {})}
    status = {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}}
    if "conditions" in more:
        status["conditions"] = more.pop("conditions")
    return {"metadata": {"name": name, "labels": labels}, "spec": more, "status": status}


def pod(name: str, *, cpu: str = "", memory: str = "", **more: Any) -> Obj:
    """``labels=``, ``owner=`` (a uid), ``uid=`` and ``status=`` apart, the rest is spec."""
    meta = {"name": name, "namespace": "default", "uid": more.pop("uid", f"uid-{name}")}
    meta["labels"] = more.pop("labels", {})
    if owner := more.pop("owner", ""):
        meta["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner}
            | {"controller": True}
        ]
    status = more.pop("status", {"phase": "Pending"})
    asked = {k: v for k, v in (("cpu", cpu), ("memory", memory)) if v}
    container = {"name": "main", "image": "busybox", "resources": {"requests": asked}}
    return {"metadata": meta, "spec": {"containers": [container], **more}, "status": status}


class ClusterApi(MemoryApi):
    """MemoryApi with pods/binding and certificatesigningrequests/approval."""

    async def call(self, call: Call) -> Obj:
        if call.method == "POST" and call.path.endswith("/binding"):
            await asyncio.sleep(0)
            self.calls.append(call)
            for hook in self.before:
                hook(call)
            return self._bind(call)
        return await super().call(call)

    def _bind(self, call: Call) -> Obj:
        meta = call.body["metadata"]
        pod = self.objects.get((POD, Key(meta["namespace"], meta["name"])))
        if pod is None:
            raise NotFound.of(POD, meta["name"])
        if pod["metadata"]["uid"] != meta["uid"] or pod["spec"].get("nodeName"):
            raise Conflict.of(POD, meta["name"], "pod is already assigned to a node")
        self._store(POD, {**pod, "spec": {**pod["spec"], "nodeName": call.body["target"]["name"]}})
        return {"kind": "Status", "status": "Success"}

    def _update(self, kind: Any, old: Obj, new: Obj, subresource: str) -> Obj:
        return super()._update(
            kind, old, new, "status" if subresource == "approval" else subresource
        )


async def until(condition: Callable[[], Any], *, seconds: float = 5.0) -> None:
    """Waits for a condition in (virtual) loop time; AssertionError when it does not come."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        assert loop.time() < end, "the condition did not come to hold"
        await asyncio.sleep(0.001)
