"""Ingress: hosts and paths from outside, and the Services that answer them."""

from edgek.api.meta import Obj, get_path
from edgek.kinds.addresses import SHOWN
from edgek.kinds.columns import NONE, cell
from edgek.kinds.ingress_validation import validate_ingress
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind
from edgek.kinds.storage_warnings import warn_of_ingress
from edgek.kinds.strategy import ensure, keep_status, only_status

GROUP = "networking.k8s.io"


def _prepare(obj: Obj, old: Obj | None) -> None:
    keep_status(obj, old)
    ensure(obj["status"], "loadBalancer")


def _hosts(ingress: Obj) -> str:
    """As formatHosts: three at most, and how many rules there are beyond."""
    rules = get_path(ingress, "spec", "rules", default=())
    hosts = [rule["host"] for rule in rules if rule.get("host")]
    if not hosts:
        return "*"
    more = f" + {len(rules) - SHOWN} more..." if len(hosts) > SHOWN else ""
    return ",".join(hosts[:SHOWN]) + more


def _address(ingress: Obj) -> str:
    given = get_path(ingress, "status", "loadBalancer", "ingress", default=())
    return ",".join(sorted({g.get("ip") or g.get("hostname") or "" for g in given} - {""}))


def _ports(ingress: Obj) -> str:
    return "80, 443" if get_path(ingress, "spec", "tls") else "80"


INGRESS_COLUMNS = (
    NAME,
    Column(
        name="Class",
        read=cell("spec", "ingressClassName", default=NONE),
        description="Which controller serves it.",
    ),
    Column(name="Hosts", read=_hosts, description="The hosts it is for; * for any."),
    Column(name="Address", read=_address, description="Where it is served."),
    Column(name="Ports", read=_ports, description="80, and 443 with TLS."),
    AGE,
)

INGRESS = Kind(
    group=GROUP,
    version="v1",
    kind="Ingress",
    plural="ingresses",
    short_names=("ing",),
    columns=INGRESS_COLUMNS,
    subresources=(STATUS,),
    generation=True,
    prepare=_prepare,
    prepare_status=only_status,
    validate=validate_ingress,
    warn=warn_of_ingress,
    example={
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "ingressClassName": "proxy",
            "rules": [
                {
                    "host": "web.example.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "web", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ],
            "tls": [{"hosts": ["web.example.com"], "secretName": "web-tls"}],
        },
    },
)
