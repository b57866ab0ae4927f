"""The ``kubernetes`` Service in namespace default: how pods reach the API server.

As pkg/controlplane/controller/kubernetesservice and reconcilers/instancecount.go: a Service
without a selector on the first service address, and beside it the Endpoints and the slice of
name ``kubernetes`` that carry this server's advertised address. Made again when deleted, and set
right after an address change.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edgek.api.errors import AlreadyExists
from edgek.api.meta import Key, Obj
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import ENDPOINT_SLICE, ENDPOINTS, NAMESPACE, SERVICE
from edgek.kinds.kind import Kind
from server.controllers.endpoint_slice_mirroring import SKIP
from server.controllers.endpoint_slice_plan import SERVICE_NAME

KEY = Key("default", "kubernetes")


@dataclass(frozen=True, kw_only=True)
class ApiAddress:
    """Where the API server is: for pods (``service_ip``:443) and really (``advertise``:port)."""

    service_ip: str
    advertise: str
    port: int

    @property
    def family(self) -> str:
        return "IPv6" if ":" in self.advertise else "IPv4"


def plan_service(where: ApiAddress) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": KEY.name,
            "namespace": KEY.namespace,
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": where.service_ip,
            "clusterIPs": [where.service_ip],
            "ipFamilies": ["IPv6" if ":" in where.service_ip else "IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": where.port}],
        },
    }


def plan_endpoints(where: ApiAddress) -> Obj:
    port = {"name": "https", "port": where.port, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": KEY.name, "namespace": KEY.namespace, "labels": {SKIP: "true"}},
        "subsets": [{"addresses": [{"ip": where.advertise}], "ports": [port]}],
    }


def plan_slice(where: ApiAddress) -> Obj:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": KEY.name,
            "namespace": KEY.namespace,
            "labels": {SERVICE_NAME: KEY.name},
        },
        "addressType": where.family,
        "endpoints": [{"addresses": [where.advertise], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": where.port, "protocol": "TCP"}],
    }


def build(context: Context, *, where: ApiAddress) -> "KubernetesService":
    return KubernetesService(context, where)


class KubernetesService:
    """Keys are those of the Service; its Endpoints and slice have the same name."""

    name = "kubernetes-service-controller"
    kind = SERVICE

    def __init__(self, context: Context, where: ApiAddress) -> None:
        self._client = context.client
        self._where = where
        self._wanted: tuple[tuple[Kind, Obj, tuple[str, ...]], ...] = (
            (SERVICE, plan_service(where), ()),
            (ENDPOINTS, plan_endpoints(where), ("subsets",)),
            (ENDPOINT_SLICE, plan_slice(where), ("addressType", "endpoints", "ports")),
        )
        self._informers = {kind: context.informers.get(kind) for kind, _, _ in self._wanted}
        self.watches: Sequence[Watch] = (
            # On the first start only the namespace is there to call for the rest.
            Mapped(NAMESPACE, lambda obj: [KEY] if obj["metadata"]["name"] == "default" else []),
            *(ForKind(kind, when=_is_ours) for kind, _, _ in self._wanted),
        )

    async def reconcile(self, key: Key) -> Result:
        for kind, wanted, fields in self._wanted:
            existing = self._informers[kind].get(KEY)
            if existing is None:
                await self._create(kind, wanted)
            elif changed := {f: wanted[f] for f in fields if existing.get(f) != wanted[f]}:
                await self._replace(kind, existing, wanted, changed)
        return DONE

    async def _create(self, kind: Kind, wanted: Obj) -> None:
        with suppress(AlreadyExists):
            await self._client.create(kind, wanted)

    async def _replace(
        self, kind: Kind, existing: Obj, wanted: Obj, changed: dict[str, Any]
    ) -> None:
        if "addressType" in changed:  # immutable: only a new slice can have another
            await self._client.delete(kind, KEY)
            await self._create(kind, wanted)
        else:
            await self._client.update(kind, {**existing, **changed})


def _is_ours(old: Obj | None, new: Obj | None) -> bool:
    meta = (new or old or {})["metadata"]
    return (meta.get("namespace"), meta["name"]) == KEY
