"""ServiceCIDR: a range that cluster IPs of Services are of (upstream: ValidateServiceCIDR)."""

import ipaddress

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.columns import cell
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind
from edgek.kinds.metadata import immutable
from edgek.kinds.network_checks import check_cidr
from edgek.kinds.strategy import keep_status, only_status

CIDRS = FieldPath("spec").child("cidrs")
_TWO_OF_ONE_FAMILY = (
    "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
)


def _validate(obj: Obj, errors: FieldErrors) -> None:
    cidrs = get_path(obj, "spec", "cidrs", default=[])
    if not cidrs:
        errors.required(CIDRS, "at least one CIDR required")
        return
    if len(cidrs) > 2:
        errors.invalid(CIDRS, obj["spec"], "may only hold up to 2 values")
        return
    found = [_checked(text, CIDRS.index(index), errors) for index, text in enumerate(cidrs)]
    if len(found) == 2 and found[0] is not None and found[0] == found[1]:
        errors.invalid(CIDRS, cidrs, _TWO_OF_ONE_FAMILY)


def _checked(text: str, path: FieldPath, errors: FieldErrors) -> int | None:
    """The family of a network that is written in its one canonical way, else None."""
    network = check_cidr(text, path, errors)
    if network is None:
        return None
    if str(network) != text:
        if ipaddress.ip_interface(text).ip != network.network_address:
            problem = "must not have bits set beyond the prefix length"
            errors.invalid(path, text, problem)
        errors.invalid(path, text, f'must be in canonical form ("{network}")')
    return network.version


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    """Nothing changes, but a range of the other family may come to one that is alone."""
    had = get_path(old, "spec", "cidrs", default=[])
    has = get_path(new, "spec", "cidrs", default=[])
    if len(had) != len(has) and (len(had), len(has)) != (1, 2):
        immutable(has, had, CIDRS, errors)
        return
    for index, text in enumerate(had):
        immutable(has[index], text, CIDRS.index(index), errors)


SERVICE_CIDR = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="ServiceCIDR",
    plural="servicecidrs",
    namespaced=False,
    columns=(
        NAME,
        Column(
            name="CIDRs",
            read=lambda obj: ",".join(cell("spec", "cidrs", default=())(obj)),
            description="The ranges.",
        ),
        AGE,
    ),
    subresources=(STATUS,),
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": ["10.43.0.0/16"]},
    },
)
