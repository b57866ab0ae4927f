"""What a pod's status may say (upstream: ValidatePodStatusUpdate, preserveOldObservedGeneration).

Nodes write it. That a container of a pod which must not restart stays ended is not asked here:
the node is who knows.
"""

import ipaddress

from edgek.api.meta import Obj
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1123_subdomain,
    is_qualified_name,
)
from edgek.kinds.checks import check_ip, check_not_negative, check_rule, repeated
from edgek.kinds.metadata import immutable

STATUS = FieldPath("status")
OWN_CONDITIONS = ("ContainersReady", "Initialized", "PodScheduled", "Ready")
STATES = ("initContainerStatuses", "containerStatuses")


def keep_observed_generations(status: Obj, before: Obj) -> None:
    """A writer that knows nothing of generations does not take them back. Conditions of one type
    are matched in order."""
    for field in ("qosClass", "observedGeneration"):
        if not status.get(field) and before.get(field):
            status[field] = before[field]
    known: dict[str, list[int]] = {}
    for condition in before.get("conditions") or ():
        generation = condition.get("observedGeneration") or 0
        known.setdefault(condition.get("type") or "", []).append(generation)
    if not any(generation for found in known.values() for generation in found):
        return
    for condition in status.get("conditions") or ():
        found = known.get(condition.get("type") or "")
        old = found.pop(0) if found else 0
        if old and not condition.get("observedGeneration"):
            condition["observedGeneration"] = old


def validate_status_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    status, before = new.get("status") or {}, old.get("status") or {}
    if status == before:
        return
    _validate_conditions(status.get("conditions") or [], errors)
    nominated = status.get("nominatedNodeName")
    if nominated != before.get("nominatedNodeName"):
        check_rule(nominated, is_dns1123_subdomain, STATUS.child("nominatedNodeName"), errors)
    if before.get("qosClass"):
        path = STATUS.child("qosClass")
        immutable(status.get("qosClass"), before["qosClass"], path, errors)
    path = STATUS.child("observedGeneration")
    check_not_negative(status.get("observedGeneration"), path, errors)
    for field in STATES:
        for index, state in enumerate(status.get(field) or ()):
            path = STATUS.child(field).index(index).child("restartCount")
            check_not_negative(state.get("restartCount"), path, errors)
    _validate_addresses([a.get("ip") or "" for a in status.get("podIPs") or ()], errors)


def _validate_conditions(conditions: list[Obj], errors: FieldErrors) -> None:
    for index, condition in enumerate(conditions):
        path, kind = STATUS.child("conditions").index(index), condition.get("type") or ""
        if kind not in OWN_CONDITIONS:
            for problem in is_qualified_name(kind):
                errors.invalid(path.child("type"), kind, problem)
        generation = path.child("observedGeneration")
        check_not_negative(condition.get("observedGeneration"), generation, errors)


def _validate_addresses(addresses: list[str], errors: FieldErrors) -> None:
    """Addresses, one of each family at most."""
    path, before = STATUS.child("podIPs"), len(errors.errors)
    again = repeated(addresses)
    for index, address in enumerate(addresses):
        check_ip(address, path.index(index), errors)
        if index in again:
            errors.duplicate(path.index(index), address)
    if len(errors.errors) > before or len(addresses) < 2:
        return
    families = {ipaddress.ip_address(address).version for address in addresses}
    if len(families) != len(addresses):
        text = "may specify no more than one IP for each IP family"
        errors.invalid(path, addresses, text)
