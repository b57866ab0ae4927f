"""POST pods/NAME/binding: the scheduler's decision, written once.

As apiserver registry/core/pod/storage BindingREST.assignPod.
"""

from typing import Any

from edgek.api import errors
from edgek.api.conditions import with_condition
from edgek.api.meta import Obj
from edgek.api.time import format_time
from edgek.kinds import POD
from edgek.kinds.kind import Kind
from server.endpoints.body import read_typed
from server.endpoints.env import Env
from server.endpoints.query import write_context
from server.endpoints.route import Target
from server.registry.write import How, attributes_of, copy_of
from server.request.model import Request, Response


def _untouched(kind: Kind, obj: Obj, old: Obj) -> None:
    """The transform has said all that changes."""


# Upstream's assignPod writes past the field manager: nobody owns spec.nodeName.
BINDING = How(
    subresource="binding", prepare=_untouched, validate=False, tracked=False, admitted=False
)


async def bind(env: Env, request: Request, target: Target) -> Response:
    binding = await read_typed(request, "v1", "Binding")
    node = (binding.get("target") or {}).get("name") or ""
    if not node:
        raise errors.Invalid("Binding is invalid: target.name: Required value")
    now = format_time(env.clock.now())

    def assign(stored: Obj) -> Obj:
        return assigned(stored, binding, node=node, now=now)

    context = write_context(request)
    attributes = attributes_of("CREATE", POD, target.key, context, obj=binding)
    attributes.subresource = "binding"
    await env.registry.chain.run(attributes)
    await env.registry.update(POD, target.key, assign, context, how=BINDING)
    return Response(
        status=201,
        obj={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
             "code": 201},
    )  # fmt: skip


def assigned(pod: Obj, binding: Obj, *, node: str, now: str) -> Obj:
    """The pod, bound. Raises Conflict where it is bound or going already."""
    name = pod["metadata"]["name"]
    uid = (binding.get("metadata") or {}).get("uid")
    if uid and uid != pod["metadata"]["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
        raise errors.Conflict.of(POD, name, why + pod["metadata"]["uid"])
    if pod["metadata"].get("deletionTimestamp"):
        raise errors.Conflict.of(
            POD, name, f"pod {name} is being deleted, cannot be assigned to a host"
        )
    if bound := pod["spec"].get("nodeName"):
        raise errors.Conflict.of(POD, name, f'pod {name} is already assigned to node "{bound}"')
    if pod["spec"].get("schedulingGates"):
        raise errors.Conflict.of(POD, name, f"pod {name} has non-empty .spec.schedulingGates")
    new = copy_of(pod)
    new["spec"]["nodeName"] = node
    for field in ("annotations", "labels"):
        if extra := (binding.get("metadata") or {}).get(field):
            new["metadata"][field] = {**(new["metadata"].get(field) or {}), **extra}
    status: dict[str, Any] = new.setdefault("status", {})
    status.pop("nominatedNodeName", None)  # where it was to go is told by nodeName from now on
    condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None}
    status["conditions"] = with_condition(status.get("conditions"), condition, now=now)
    return new
