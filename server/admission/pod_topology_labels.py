"""PodTopologyLabels: a pod that gets a node is labelled with the node's zone and region.

A Binding's labels become the pod's. As plugin/pkg/admission/podtopologylabels: pods can read of
themselves where they are, without the right to read nodes.
"""

from edgek.api.meta import Key, get_path, labels
from edgek.kinds.node import NODE
from edgek.kinds.pod import POD
from server.admission.chain import Attributes
from server.request.reader import Reader

LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


class PodTopologyLabels:
    kinds = (POD,)

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def admit(self, attributes: Attributes) -> None:
        a = attributes
        if a.operation != "CREATE" or a.subresource not in ("", "binding"):
            return
        at = ("target", "name") if a.subresource else ("spec", "nodeName")
        node = get_path(a.obj, *at)
        found = self._reader.get(NODE, Key("", node)) if node else None
        given = labels(found) if found is not None else {}
        if here := {label: given[label] for label in LABELS if label in given}:
            meta = a.obj.setdefault("metadata", {})
            meta["labels"] = {**(meta.get("labels") or {}), **here}

    async def validate(self, attributes: Attributes) -> None:
        """A node without them is fine."""
