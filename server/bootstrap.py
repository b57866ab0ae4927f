"""What every cluster has from its first minute, made (or mended) at each start.

Plans are pure and empty when nothing is missing, so a restart writes nothing. Objects go
through the same API as everybody's.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgek.api import errors
from edgek.api.meta import Key, Obj, deep_copy, key_of, labels
from edgek.client.client import Client
from edgek.kinds import (
    API_SERVICE,
    CONFIG_MAP,
    NAMESPACE,
    NODE_METRICS,
    PRIORITY_CLASS,
    SERVICE_CIDR,
    STORAGE_CLASS,
)
from edgek.kinds.api_service import AUTO_MANAGED, ON_START, local_api_service
from edgek.kinds.kind import Kind
from edgek.kinds.priority_class import SYSTEM_CLASSES
from edgek.kinds.provisioned import LOCAL_PATH_CLASS
from server.authz.bootstrap import plan_bootstrap
from server.flow_control import flow_control_objects
from server.request.reader import Reader

log = logging.getLogger(__name__)

_REFUSALS = (errors.Forbidden, errors.Invalid, errors.BadRequest, errors.InternalError,
             errors.Conflict, errors.NotFound, errors.Refused)  # fmt: skip
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
CLUSTER_INFO = Key("kube-system", "edgek-cluster")
"""ConfigMap with what an agent must know of the cluster; nodes may read it."""


@dataclass(frozen=True, kw_only=True)
class ClusterFacts:
    """Networks, addresses and names, as text."""

    cluster_cidr: str
    service_cidr: str
    cluster_dns: str
    cluster_domain: str
    extension_authentication: Mapping[str, str]
    group_versions: Sequence[tuple[str, str]]
    """All that the server answers itself, but for custom kinds."""
    local_storage: bool = False
    """Whether there is the class local-path."""


async def bootstrap(client: Client, reader: Reader, facts: ClusterFacts) -> None:
    """Returns when all is there."""
    for kind, obj in wanted_objects(facts):
        await _ensure(client, reader, kind, obj)
    create, delete = plan_local_api_services(reader, facts.group_versions)
    # Many and small: together they are one commit or two.
    await asyncio.gather(*(_create(client, API_SERVICE, obj) for obj in create))
    await asyncio.gather(*(_tried(client.delete(API_SERVICE, key)) for key in delete))
    plan = plan_bootstrap(reader)
    for kind, obj in plan.create:
        await _create(client, kind, obj)
    for kind, obj in plan.update:
        await _tried(client.update(kind, obj))


def wanted_objects(facts: ClusterFacts) -> Iterable[tuple[Kind, Obj]]:
    """In the order to make them."""
    for name in NAMESPACES:
        yield NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    yield CONFIG_MAP, cluster_info(facts)
    yield CONFIG_MAP, extension_authentication(facts)
    yield SERVICE_CIDR, default_service_cidr(facts)
    yield from flow_control_objects()
    for priority in SYSTEM_CLASSES:
        yield PRIORITY_CLASS, deep_copy(priority)
    if facts.local_storage:
        yield STORAGE_CLASS, deep_copy(LOCAL_PATH_CLASS)


UNLISTED = (API_SERVICE.group, NODE_METRICS.group)
"""Groups without an APIService of ours: upstream's aggregator does not list itself either, and
that of metrics is left for whoever installs a metrics-server in place of ours."""


def plan_local_api_services(
    reader: Reader, group_versions: Iterable[tuple[str, str]]
) -> tuple[list[Obj], list[Key]]:
    """Those to make and those to remove, so that each group-version that is answered here has
    one. Those of CustomResourceDefinitions are server/controllers/custom_api_services.py's."""
    wanted = {
        f"{version}.{group}": local_api_service(group, version, managed=ON_START)
        for group, version in group_versions
        if group not in UNLISTED
    }
    found = {key_of(obj).name: obj for obj in reader.list(API_SERVICE)}
    ours = [name for name, obj in found.items() if labels(obj).get(AUTO_MANAGED) == ON_START]
    create = [obj for name, obj in wanted.items() if name not in found]
    return create, [Key("", name) for name in ours if name not in wanted]


def extension_authentication(facts: ClusterFacts) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": dict(facts.extension_authentication),
    }


def cluster_info(facts: ClusterFacts) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CLUSTER_INFO.name, "namespace": CLUSTER_INFO.namespace},
        "data": {
            "clusterCIDR": facts.cluster_cidr,
            "serviceCIDR": facts.service_cidr,
            "clusterDNS": facts.cluster_dns,
            "clusterDomain": facts.cluster_domain,
        },
    }


def default_service_cidr(facts: ClusterFacts) -> Obj:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": facts.service_cidr.split(",")},
    }


async def _ensure(client: Client, reader: Reader, kind: Kind, obj: Obj) -> None:
    found = reader.get(kind, key_of(obj))
    if found is None:
        await _create(client, kind, obj)
    elif kind == CONFIG_MAP and found.get("data") != obj["data"]:
        await _tried(client.patch(kind, key_of(obj), {"data": obj["data"]}))


async def _create(client: Client, kind: Kind, obj: Obj) -> None:
    await _tried(client.create(kind, obj))


async def _tried(write: Awaitable[Obj]) -> None:
    """A webhook or policy that refuses must not keep the server from starting: nobody could take
    it away any more, and the pods of a webhook need the server."""
    try:
        await write
    except errors.AlreadyExists:
        return
    except _REFUSALS as err:
        log.warning("an object of the cluster was refused error=%s", err.message)
