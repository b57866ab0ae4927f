"""EndpointSlice: the addresses behind a Service."""

import ipaddress

from edgek.api.meta import Obj
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1123_label,
    is_dns1123_subdomain,
    is_qualified_name,
)
from edgek.kinds.addresses import check_endpoint_ip, shorten
from edgek.kinds.checks import PROTOCOLS, check_enum, check_port, check_rule
from edgek.kinds.columns import cell
from edgek.kinds.kind import AGE, NAME, Column, Kind
from edgek.kinds.metadata import immutable
from edgek.kinds.strategy import set_default

UNSET = "<unset>"
MAX_ENDPOINTS = 1000
MAX_ADDRESSES = 100
MAX_PORTS = 20000
TYPES = ("FQDN", "IPv4", "IPv6")


def _default(obj: Obj) -> None:
    if obj.get("endpoints") is None:
        obj["endpoints"] = []
    for port in obj.get("ports") or ():
        if port.get("name") is None:
            port["name"] = ""
        set_default(port, "protocol", "TCP")


def _validate(obj: Obj, errors: FieldErrors) -> None:
    check_enum(obj.get("addressType"), TYPES, FieldPath("addressType"), errors)
    _validate_endpoints(obj, errors)
    ports, path = obj.get("ports") or [], FieldPath("ports")
    if len(ports) > MAX_PORTS:
        errors.too_many(path, len(ports), MAX_PORTS)
        return
    names: set[str] = set()
    for index, port in enumerate(ports):
        _validate_port(port, path.index(index), names, errors)


def _validate_endpoints(obj: Obj, errors: FieldErrors) -> None:
    endpoints, path = obj.get("endpoints") or [], FieldPath("endpoints")
    if len(endpoints) > MAX_ENDPOINTS:
        errors.too_many(path, len(endpoints), MAX_ENDPOINTS)
        return
    for index, endpoint in enumerate(endpoints):
        addresses, where = endpoint.get("addresses") or [], path.index(index).child("addresses")
        if not addresses:
            errors.required(where, "must contain at least 1 address")
        elif len(addresses) > MAX_ADDRESSES:
            errors.too_many(where, len(addresses), MAX_ADDRESSES)
        for number, address in enumerate(addresses):
            _validate_address(address, obj.get("addressType"), where.index(number), errors)
        hostname = path.index(index).child("hostname")
        check_rule(endpoint.get("hostname"), is_dns1123_label, hostname, errors)


def _validate_address(address: str, kind: str | None, path: FieldPath, errors: FieldErrors) -> None:
    if kind == "FQDN":
        check_rule(address, is_dns1123_subdomain, path, errors)
        return
    before = len(errors.errors)
    check_endpoint_ip(address, path, errors)
    if len(errors.errors) == before and f"IPv{ipaddress.ip_address(address).version}" != kind:
        errors.invalid(path, address, f"must be an {kind} address")


def _validate_port(port: Obj, path: FieldPath, names: set[str], errors: FieldErrors) -> None:
    name = port.get("name") or ""
    check_rule(name, is_dns1123_label, path.child("name"), errors)
    if name in names:
        errors.duplicate(path.child("name"), name)
    names.add(name)
    check_enum(port.get("protocol"), PROTOCOLS, path.child("protocol"), errors)
    if port.get("port") is not None:
        check_port(port["port"], path.child("port"), errors)
    check_rule(port.get("appProtocol"), is_qualified_name, path.child("appProtocol"), errors)


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    immutable(new.get("addressType"), old.get("addressType"), FieldPath("addressType"), errors)


def _ports(obj: Obj) -> str:
    ports = [p.get("port") for p in obj.get("ports") or ()]
    return shorten(["*" if p is None else str(p) for p in ports], empty=UNSET)


def _endpoints(obj: Obj) -> str:
    found = [a for e in obj.get("endpoints") or () for a in e.get("addresses") or ()]
    return shorten(found, empty=UNSET)


ENDPOINT_SLICE = Kind(
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
    columns=(
        NAME,
        Column(name="AddressType", read=cell("addressType"), description="IPv4, IPv6 or FQDN."),
        Column(name="Ports", read=_ports, description="The ports of all endpoints."),
        Column(name="Endpoints", read=_endpoints, description="The addresses."),
        AGE,
    ),
    generation=True,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "web-x7k2p",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.42.1.7"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 8080}],
    },
)
