"""DefaultTolerationSeconds: a pod stays five minutes on a node that is not ready or unreachable,
unless it says otherwise.

As plugin/pkg/admission/defaulttolerationseconds.
"""

from edgek.api.meta import Obj
from edgek.kinds.pod import POD
from server.admission.chain import Attributes

SECONDS = 300
TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class DefaultTolerationSeconds:
    kinds = (POD,)

    async def admit(self, attributes: Attributes) -> None:
        a = attributes
        if a.kind != POD or a.subresource or a.operation not in ("CREATE", "UPDATE"):
            return
        spec = a.obj.setdefault("spec", {})
        tolerations = spec.get("tolerations") or []
        missing = [key for key in TAINTS if not any(_tolerates(t, key) for t in tolerations)]
        if missing:
            spec["tolerations"] = [*tolerations, *(_toleration(key) for key in missing)]

    async def validate(self, attributes: Attributes) -> None:
        """A pod without them is fine."""


def _tolerates(toleration: Obj, key: str) -> bool:
    return toleration.get("key", "") in (key, "") and (
        toleration.get("effect", "") in ("NoExecute", "")
    )


def _toleration(key: str) -> Obj:
    return {
        "key": key,
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": SECONDS,
    }
