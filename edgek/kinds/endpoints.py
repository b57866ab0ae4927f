"""Endpoints: the addresses behind a Service, old form."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_label
from edgek.kinds.addresses import check_endpoint_ip, shorten
from edgek.kinds.checks import PROTOCOLS, check_enum, check_port, check_rule
from edgek.kinds.kind import AGE, NAME, Column, Kind
from edgek.kinds.strategy import set_default


def _default(obj: Obj) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            set_default(port, "protocol", "TCP")


def _validate(obj: Obj, errors: FieldErrors) -> None:
    for index, subset in enumerate(obj.get("subsets") or ()):
        path = FieldPath("subsets").index(index)
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            errors.required(path, "must specify `addresses` or `notReadyAddresses`")
        for field in ("addresses", "notReadyAddresses"):
            for number, address in enumerate(subset.get(field) or ()):
                where = path.child(field).index(number).child("ip")
                check_endpoint_ip(address.get("ip") or "", where, errors)
        _validate_ports(subset.get("ports") or [], path.child("ports"), errors)


def _validate_ports(ports: list[Obj], path: FieldPath, errors: FieldErrors) -> None:
    for index, port in enumerate(ports):
        where = path.index(index)
        if len(ports) > 1 and not port.get("name"):
            errors.required(where.child("name"))
        check_rule(port.get("name"), is_dns1123_label, where.child("name"), errors)
        check_port(port.get("port"), where.child("port"), errors)
        check_enum(port.get("protocol"), PROTOCOLS, where.child("protocol"), errors)


def _endpoints(obj: Obj) -> str:
    out: list[str] = []
    for subset in obj.get("subsets") or ():
        ips = [a["ip"] for a in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        out += [_join(ip, p["port"]) for p in ports for ip in ips] if ports else ips
    return shorten(out)


def _join(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


ENDPOINTS = Kind(
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    short_names=("ep",),
    columns=(
        NAME,
        Column(name="Endpoints", read=_endpoints, description="Where the service leads to."),
        AGE,
    ),
    default=_default,
    validate=_validate,
    example={
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "default"},
        "subsets": [
            {"addresses": [{"ip": "10.42.1.7"}], "ports": [{"name": "http", "port": 8080}]}
        ],
    },
)
