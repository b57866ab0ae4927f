"""A new Node begins tainted not-ready, so that no pod lands on it before it has said it is well.

As plugin/pkg/admission/nodetaint. The node lifecycle controller takes the taint away.
"""

from edgek.api.taints import NOT_READY
from edgek.kinds import NODE
from server.admission.chain import Attributes


class TaintNodesByCondition:
    kinds = (NODE,)

    async def admit(self, attributes: Attributes) -> None:
        if attributes.kind != NODE or attributes.operation != "CREATE" or attributes.subresource:
            return
        spec = attributes.obj.setdefault("spec", {})
        taints = spec.get("taints") or []
        wanted = {"key": NOT_READY, "effect": "NoSchedule"}
        if not any((t.get("key"), t.get("effect")) == (NOT_READY, "NoSchedule") for t in taints):
            spec["taints"] = [*taints, wanted]

    async def validate(self, attributes: Attributes) -> None:
        """Nothing to refuse."""
