"""IPAddress: one address of a ServiceCIDR that is taken, and by whom.

Kept as users and controllers write it; cluster IPs are given out without it
(server/registry/allocation.py).
"""

import ipaddress

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_subdomain, is_path_segment
from edgek.kinds.checks import check_required, check_rule
from edgek.kinds.columns import NONE
from edgek.kinds.kind import NAME, Column, Kind
from edgek.kinds.metadata import immutable

PARENT = FieldPath("spec").child("parentRef")


def _is_address(name: str) -> list[str]:
    """As ValidateIPAddressName: the name is the address in its one canonical way."""
    try:
        canonical = str(ipaddress.ip_address(name))
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return [] if canonical == name else [f'must be in canonical form ("{canonical}")']


def _validate(obj: Obj, errors: FieldErrors) -> None:
    ref = get_path(obj, "spec", "parentRef")
    if ref is None:
        errors.required(PARENT)
        return
    check_rule(ref.get("group"), is_dns1123_subdomain, PARENT.child("group"), errors)
    check_required(ref, ("resource", "name"), PARENT, errors)
    for field in ("resource", "name", "namespace"):
        check_rule(ref.get(field), is_path_segment, PARENT.child(field), errors)


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    immutable(
        get_path(new, "spec", "parentRef"), get_path(old, "spec", "parentRef"), PARENT, errors
    )


def _parent(obj: Obj) -> str:
    """``services/default/web``."""
    ref = get_path(obj, "spec", "parentRef")
    if ref is None:
        return NONE
    group = f".{ref['group']}" if ref.get("group") else ""
    parts = ((ref.get("resource") or "") + group, ref.get("namespace"), ref.get("name"))
    return "/".join(p for p in parts if p)


IP_ADDRESS = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="IPAddress",
    plural="ipaddresses",
    short_names=("ip",),
    namespaced=False,
    columns=(NAME, Column(name="ParentRef", read=_parent, description="Who has the address.")),
    validate=_validate,
    validate_update=_validate_update,
    validate_name=_is_address,
    example={
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": "10.43.0.10"},
        "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "web"}},
    },
)
