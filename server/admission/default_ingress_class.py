"""DefaultIngressClass: an Ingress that names no class gets the default one.

As plugin/pkg/admission/network/defaultingressclass.
"""

from edgek.api.meta import annotations
from edgek.kinds.ingress import INGRESS
from edgek.kinds.ingress_class import INGRESS_CLASS
from server.admission.chain import Attributes
from server.admission.default_class import DefaultClasses
from server.request.reader import Reader

DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
OLD_CLASS = "kubernetes.io/ingress.class"


class DefaultIngressClass:
    kinds = (INGRESS,)

    def __init__(self, reader: Reader) -> None:
        self._classes = DefaultClasses(reader, INGRESS_CLASS, (DEFAULT_CLASS,))

    async def admit(self, attributes: Attributes) -> None:
        a = attributes
        if a.operation != "CREATE" or a.subresource or OLD_CLASS in annotations(a.obj):
            return
        spec = a.obj.setdefault("spec", {})
        if spec.get("ingressClassName") is None and (default := self._classes.name()):
            spec["ingressClassName"] = default

    async def validate(self, attributes: Attributes) -> None:
        """An Ingress without a class is fine."""
