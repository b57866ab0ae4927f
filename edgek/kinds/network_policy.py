"""NetworkPolicy: which traffic pods may have (upstream: ValidateNetworkPolicy)."""

from collections.abc import Iterable

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import (
    PORT_RANGE,
    PROTOCOLS,
    check_label_selector,
    check_port,
)
from edgek.kinds.columns import format_label_selector
from edgek.kinds.kind import AGE, NAME, Column, Kind
from edgek.kinds.network_checks import Network, check_cidr
from edgek.kinds.strategy import ensure, set_default

SPEC = FieldPath("spec")
TYPES = ("Egress", "Ingress")


def _default(obj: Obj) -> None:
    """As SetDefaults_NetworkPolicy: ingress always, egress where rules for it are given."""
    spec = ensure(obj, "spec")
    ensure(spec, "podSelector")
    for rule in _rules(spec):
        for port in rule.get("ports") or ():
            set_default(port, "protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _rules(spec: Obj) -> Iterable[Obj]:
    return (*(spec.get("ingress") or ()), *(spec.get("egress") or ()))


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    check_label_selector(spec.get("podSelector"), SPEC.child("podSelector"), errors)
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            path = SPEC.child(direction).index(index)
            for number, port in enumerate(rule.get("ports") or ()):
                _validate_port(port, path.child("ports").index(number), errors)
            for number, peer in enumerate(rule.get(peers) or ()):
                _validate_peer(peer, path.child(peers).index(number), errors)
    _validate_types(spec.get("policyTypes") or [], SPEC.child("policyTypes"), errors)


def _validate_types(types: list[str], path: FieldPath, errors: FieldErrors) -> None:
    if len(types) > len(TYPES):
        errors.invalid(path, types, "may not specify more than two policyTypes")
        return
    for index, name in enumerate(types):
        if name not in TYPES:
            errors.not_supported(path.index(index), name, TYPES)


def _validate_port(port: Obj, path: FieldPath, errors: FieldErrors) -> None:
    protocol, number, end = port.get("protocol"), port.get("port"), port.get("endPort")
    if protocol is not None and protocol not in PROTOCOLS:
        errors.not_supported(path.child("protocol"), protocol, PROTOCOLS)
    if number is not None:
        check_port(number, path.child("port"), errors)
    if end is not None:
        _validate_end(end, number, path.child("endPort"), errors)


def _validate_end(end: int, port: int | str | None, path: FieldPath, errors: FieldErrors) -> None:
    if port is None:
        errors.invalid(path, end, "may not be specified when `port` is not specified")
    elif isinstance(port, str):
        errors.invalid(path, end, "may not be specified when `port` is non-numeric")
    else:
        if end < port:
            errors.invalid(path, end, "must be greater than or equal to `port`")
        if not 1 <= end <= 65535:
            errors.invalid(path, end, PORT_RANGE)


def _validate_peer(peer: Obj, path: FieldPath, errors: FieldErrors) -> None:
    given = [f for f in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(f) is not None]
    for field in given:
        if field == "ipBlock":
            _validate_block(peer[field], path.child(field), errors)
        else:
            check_label_selector(peer[field], path.child(field), errors)
    if not given:
        errors.required(path, "must specify a peer")
    elif len(given) > 1 and "ipBlock" in given:
        errors.forbidden(path, "may not specify both ipBlock and another peer")


def _validate_block(block: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if not block.get("cidr"):
        errors.required(path.child("cidr"))
        return
    network = check_cidr(block["cidr"], path.child("cidr"), errors)
    for index, text in enumerate(block.get("except") or ()):
        where = path.child("except").index(index)
        hole = check_cidr(text, where, errors)
        if network and hole and not _is_strictly_inside(hole, network):
            errors.invalid(where, text, "must be a strict subset of `cidr`")


def _is_strictly_inside(hole: Network, network: Network) -> bool:
    return (
        hole.version == network.version
        and hole.prefixlen > network.prefixlen
        and hole.network_address in network
    )


NETWORK_POLICY = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="NetworkPolicy",
    plural="networkpolicies",
    short_names=("netpol",),
    columns=(
        NAME,
        Column(
            name="Pod-Selector",
            read=lambda obj: format_label_selector(get_path(obj, "spec", "podSelector")),
            description="Which pods it is for.",
        ),
        AGE,
    ),
    generation=True,
    default=_default,
    validate=_validate,
    example={
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "ingress": [
                {
                    "from": [{"podSelector": {"matchLabels": {"app": "proxy"}}}],
                    "ports": [{"port": 8080}],
                }
            ],
        },
    },
)
