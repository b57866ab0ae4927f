"""ComponentStatus: whether the parts of the control plane are well; deprecated upstream.

Answered (server/endpoints/component_status.py), never stored.
"""

from edgek.api.conditions import find_condition
from edgek.api.meta import Obj
from edgek.kinds.kind import NAME, Column, Kind


def _healthy(obj: Obj) -> Obj:
    return find_condition(obj.get("conditions") or (), "Healthy") or {}


def _status(obj: Obj) -> str:
    known = {"True": "Healthy", "False": "Unhealthy", "Unknown": "Unhealthy"}
    return known.get(_healthy(obj).get("status") or "", "Unknown")


COMPONENT_STATUS = Kind(
    group="",
    version="v1",
    kind="ComponentStatus",
    plural="componentstatuses",
    short_names=("cs",),
    namespaced=False,
    verbs=("get", "list"),
    virtual=True,
    warning="v1 ComponentStatus is deprecated in v1.19+",
    columns=(
        NAME,
        Column(name="Status", read=_status, description="Whether it is well."),
        Column(
            name="Message",
            read=lambda obj: _healthy(obj).get("message") or "",
            description="What it says of itself.",
        ),
        Column(
            name="Error",
            read=lambda obj: _healthy(obj).get("error") or "",
            description="What is wrong with it.",
        ),
    ),
    example={
        "apiVersion": "v1",
        "kind": "ComponentStatus",
        "metadata": {"name": "scheduler"},
        "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}],
    },
)
