"""A container's environment variables, command and arguments. Pure.

As kubelet_pods.go makeEnvironmentVariables: service variables first, then envFrom, then env,
each over the one before; ``$(NAME)`` refers to what came earlier, ``$$(NAME)`` is the text itself.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from agent.pods.etc import host_network, kernel_hostname
from agent.pods.sources import Lookup
from edgek.api.meta import Obj, annotations, get_path, labels, name, namespace, uid
from edgek.api.quantity import parse_quantity
from edgek.kinds import CONFIG_MAP, SECRET
from edgek.kinds.kind import Kind
from edgek.kinds.pods import containers, init_containers

_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")
_SUBSCRIPT = re.compile(r"metadata\.(annotations|labels)\['(.*)'\]")


class ConfigError(Exception):
    """The pod names something that is not there: waiting reason CreateContainerConfigError."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a pod can ask about besides itself. ``services``: those of its namespace; ``domain``:
    the cluster's; ``node``: None where it is not known; ``bundles``: a signer's
    ClusterTrustBundles; ``file_keys``: read by env_files.py."""

    lookup: Lookup
    pod_ip: str = ""
    host_ip: str = ""
    services: Iterable[Obj] = ()
    allocatable: Mapping[str, Any] | None = None
    domain: str = ""
    node: Obj | None = None
    bundles: Callable[[str], Iterable[Obj]] = lambda signer: ()
    file_keys: Mapping[tuple[str, str, str], str | None] = field(default_factory=dict)


def make_environment(pod: Obj, container: Obj, around: Surroundings) -> dict[str, str]:
    env: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        env |= _from(pod, source, around.lookup)
    services = _service_variables(pod, around.services)
    for variable in container.get("env") or ():
        found = _value(pod, container, variable, {**services, **env}, around)
        if found is not None:
            env[variable["name"]] = found
    # Podman would give the host's name; every runtime of Kubernetes gives the pod's.
    own_name = {} if host_network(pod) else {"HOSTNAME": kernel_hostname(pod, around.domain)}
    return own_name | services | env


def expand(text: str, env: Mapping[str, str]) -> str:
    """As third_party/forked/golang/expansion: unknown references stay as they are."""

    def replace(match: re.Match[str]) -> str:
        if match.group(1) is None:
            return "$"
        return env.get(match.group(1), match.group(0))

    return _REFERENCE.sub(replace, text)


def _from(pod: Obj, source: Obj, lookup: Lookup) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    for named, kind in (("configMapRef", CONFIG_MAP), ("secretRef", SECRET)):
        if ref := source.get(named):
            obj = referred(pod, kind, ref, lookup)
            return {prefix + k: v for k, v in _texts(obj).items()}
    return {}


def referred(pod: Obj, kind: Kind, ref: Obj, lookup: Lookup) -> Obj | None:
    """The object, or None where it is missing and may be."""
    obj = lookup(kind, namespace(pod), ref["name"])
    if obj is None and not ref.get("optional"):
        raise ConfigError(f'{kind.singular} "{ref["name"]}" not found')
    return obj


def data_of(obj: Obj | None) -> dict[str, bytes]:
    """A ConfigMap's or Secret's entries as bytes."""
    import base64

    if obj is None:
        return {}
    if obj.get("kind") == "Secret":
        return {k: base64.b64decode(v or "") for k, v in (obj.get("data") or {}).items()}
    out = {k: str(v).encode() for k, v in (obj.get("data") or {}).items()}
    return out | {k: base64.b64decode(v) for k, v in (obj.get("binaryData") or {}).items()}


def _texts(obj: Obj | None) -> dict[str, str]:
    """What variables can be made of: as upstream, nothing of binaryData."""
    entries = data_of({**obj, "binaryData": {}} if obj else None)
    return {k: v.decode(errors="replace") for k, v in entries.items()}


def _value(
    pod: Obj, container: Obj, variable: Obj, env: Mapping[str, str], around: Surroundings
) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return expand(str(variable.get("value") or ""), env)
    if "fieldRef" in source:
        return read_field_ref(pod, source["fieldRef"]["fieldPath"], around=around)
    if "resourceFieldRef" in source:
        return read_resource(pod, container, source["resourceFieldRef"], around=around)
    if "configMapKeyRef" in source:
        return _key(pod, CONFIG_MAP, source["configMapKeyRef"], around.lookup)
    if "secretKeyRef" in source:
        return _key(pod, SECRET, source["secretKeyRef"], around.lookup)
    if "fileKeyRef" in source:
        return _file_key(source["fileKeyRef"], around)
    raise ConfigError(
        f"environment variable {variable['name']}: {', '.join(source)} is not supported"
    )


def _key(pod: Obj, kind: Kind, ref: Obj, lookup: Lookup) -> str | None:
    obj = referred(pod, kind, ref, lookup)
    entries = _texts(obj)
    if ref["key"] in entries:
        return entries[ref["key"]]
    if ref.get("optional"):
        return None
    what = f"{namespace(pod)}/{ref['name']}"
    raise ConfigError(f"couldn't find key {ref['key']} in {kind.kind} {what}")


def _file_key(ref: Obj, around: Surroundings) -> str | None:
    found = around.file_keys.get((ref["volumeName"], ref["path"], ref["key"]))
    if found is None and not ref.get("optional"):
        raise ConfigError(f'environment variable key "{ref["key"]}" not found in "{ref["path"]}"')
    return found


def read_field_ref(pod: Obj, path: str, *, around: Surroundings) -> str:
    """The downward API's fields, for variables and volumes."""
    if match := _SUBSCRIPT.fullmatch(path):
        which = annotations(pod) if match.group(1) == "annotations" else labels(pod)
        return str(which.get(match.group(2), ""))
    fields = {
        "metadata.name": name(pod),
        "metadata.namespace": namespace(pod),
        "metadata.uid": uid(pod),
        "metadata.labels": _lines(labels(pod)),
        "metadata.annotations": _lines(annotations(pod)),
        "spec.nodeName": get_path(pod, "spec", "nodeName", default=""),
        "spec.serviceAccountName": get_path(pod, "spec", "serviceAccountName", default=""),
        "status.hostIP": around.host_ip,
        "status.hostIPs": around.host_ip,
        "status.podIP": around.pod_ip,
        "status.podIPs": around.pod_ip,
    }
    if path not in fields:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(fields[path])


def _lines(entries: Mapping[str, str]) -> str:
    """As fieldpath.FormatMap: sorted, each value quoted."""
    import json

    return "\n".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in sorted(entries.items()))


def read_resource(pod: Obj, container: Obj, ref: Obj, *, around: Surroundings) -> str:
    """limits.cpu and the like; a limit not set is what the node can give."""
    if ref.get("containerName"):
        every = (*containers(pod), *init_containers(pod))
        container = next((c for c in every if c["name"] == ref["containerName"]), container)
    which, _, resource = ref["resource"].partition(".")
    amount = get_path(container, "resources", which, resource)
    if amount is None and which == "limits":
        amount = (around.allocatable or {}).get(resource)
    divisor = ref.get("divisor")
    unit = parse_quantity(divisor) if divisor and parse_quantity(divisor) else Fraction(1)
    return str(-(-parse_quantity(amount or 0) // unit))


def _service_variables(pod: Obj, services: Iterable[Obj]) -> dict[str, str]:
    """As envvars.FromServices; enableServiceLinks false leaves those of kubernetes only."""
    linked = get_path(pod, "spec", "enableServiceLinks", default=True)
    env: dict[str, str] = {}
    for service in services:
        spec = service.get("spec") or {}
        ip = spec.get("clusterIP")
        master = namespace(service) == "default" and name(service) == "kubernetes"
        own = linked and namespace(service) == namespace(pod)
        if ip and ip != "None" and spec.get("ports") and (master or own):
            env |= _one_service(name(service), ip, spec["ports"])
    return env


def _one_service(service: str, ip: str, ports: list[Obj]) -> dict[str, str]:
    prefix = service.upper().replace("-", "_")
    first = ports[0]
    env = {f"{prefix}_SERVICE_HOST": ip, f"{prefix}_SERVICE_PORT": str(first["port"])}
    for port in ports:
        if port.get("name"):
            suffix = port["name"].upper().replace("-", "_")
            env[f"{prefix}_SERVICE_PORT_{suffix}"] = str(port["port"])
    protocol = (first.get("protocol") or "TCP").lower()
    env[f"{prefix}_PORT"] = f"{protocol}://{ip}:{first['port']}"
    for port in ports:
        protocol = (port.get("protocol") or "TCP").lower()
        stem = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
        env |= {
            stem: f"{protocol}://{ip}:{port['port']}",
            f"{stem}_PROTO": protocol,
            f"{stem}_PORT": str(port["port"]),
            f"{stem}_ADDR": ip,
        }
    return env
