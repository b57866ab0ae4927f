"""Root CA publisher: each namespace has a ConfigMap ``kube-root-ca.crt`` with the cluster's CA.

Pods verify the API server with it. As pkg/controller/certificates/rootcacertpublisher: changes to
its data are undone, its metadata may be anything.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from edgek.api.errors import AlreadyExists, NotFound
from edgek.api.meta import Key
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import CONFIG_MAP, NAMESPACE
from server.controllers.service_account import is_active, of_namespace

NAME = "kube-root-ca.crt"
DESCRIPTION = "kubernetes.io/description"
TEXT = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
    "endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
    "guaranteed across distributions of Kubernetes clusters."
)


def build(context: Context, *, ca_pem: str) -> "RootCaPublisher":
    return RootCaPublisher(context, ca_pem)


class RootCaPublisher:
    name = "root-ca-certificate-publisher-controller"
    kind = NAMESPACE

    def __init__(self, context: Context, ca_pem: str) -> None:
        self._client = context.client
        self._data = {"ca.crt": ca_pem}
        self._namespaces = context.informers.get(NAMESPACE)
        only = f"metadata.name={NAME}"
        self._maps = context.informers.get(CONFIG_MAP, field_selector=only)
        self.watches: Sequence[Watch] = (
            ForKind(NAMESPACE),
            Mapped(CONFIG_MAP, partial(of_namespace, NAME), field_selector=only),
        )

    async def reconcile(self, key: Key) -> Result:
        if not is_active(self._namespaces.get(key)):
            return DONE
        existing = self._maps.get(Key(key.name, NAME))
        if existing is None:
            meta = {"name": NAME, "namespace": key.name, "annotations": {DESCRIPTION: TEXT}}
            made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": self._data}
            with suppress(AlreadyExists, NotFound):  # NotFound: the namespace went meanwhile
                await self._client.create(CONFIG_MAP, made)
        elif existing.get("data") != self._data:
            await self._client.update(CONFIG_MAP, {**existing, "data": self._data})
        return DONE
