"""PriorityLevelConfiguration: how many requests of a level may run, and what waits."""

import math
from typing import Any

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_range
from edgek.kinds.columns import NONE, cell
from edgek.kinds.flow_control import EXEMPT, GROUP, MANDATORY_LEVELS, check_conditions
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind
from edgek.kinds.strategy import ensure, keep_status, only_status

SPEC = FieldPath("spec")
MAX_QUEUES = 10**7
MAX_HASH_BITS = 60
DEFAULT_SHARES = 30
QUEUING = {"queues": 64, "handSize": 8, "queueLengthLimit": 50}
_NOT_NEGATIVE = "must be a non-negative integer"


def _default(obj: Obj) -> None:
    """As SetDefaults_*PriorityLevelConfiguration; 0 queues mean none were said."""
    spec = ensure(obj, "spec")
    for field, shares in (("exempt", 0), ("limited", DEFAULT_SHARES)):
        if (part := spec.get(field)) is not None:
            _fill(part, {"nominalConcurrencyShares": shares, "lendablePercent": 0})
    if (queuing := get_path(spec, "limited", "limitResponse", "queuing")) is not None:
        for name, value in QUEUING.items():
            queuing[name] = queuing.get(name) or value


def _fill(part: Obj, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if part.get(name) is None:
            part[name] = value


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name") or ""
    kind, path = spec.get("type") or "", SPEC.child("type")
    if (name == EXEMPT) != (kind == "Exempt"):
        errors.invalid(path, kind, "type must be 'Exempt' if and only if name is 'exempt'")
    if kind == "Exempt":
        _validate_exempt(spec, errors)
    elif kind == "Limited":
        _validate_limited(spec, errors)
    else:
        errors.not_supported(path, kind, ("Exempt", "Limited"))
    _validate_mandatory(spec, name, errors)
    check_conditions(obj.get("status") or {}, errors)


def _validate_mandatory(spec: Obj, name: str, errors: FieldErrors) -> None:
    wanted = MANDATORY_LEVELS.get(name)
    if wanted is None:
        return
    if name == EXEMPT and {**spec, "exempt": None} != {**wanted, "exempt": None}:
        text = f"spec of '{name}' except the 'spec.exempt' field must equal the fixed value"
        errors.invalid(SPEC, spec, text)
    elif name != EXEMPT and spec != wanted:
        errors.invalid(SPEC, spec, f"spec of '{name}' must equal the fixed value")


def _validate_exempt(spec: Obj, errors: FieldErrors) -> None:
    if spec.get("limited") is not None:
        errors.forbidden(SPEC.child("limited"), "must be nil if the type is not Limited")
    _validate_shares(spec.get("exempt") or {}, SPEC.child("exempt"), errors)


def _validate_limited(spec: Obj, errors: FieldErrors) -> None:
    limited, path = spec.get("limited"), SPEC.child("limited")
    if spec.get("exempt") is not None:
        errors.forbidden(SPEC.child("exempt"), "must be nil if the type is Limited")
    if limited is None:
        errors.required(path, "must not be empty when type is Limited")
        return
    _validate_shares(limited, path, errors)
    _validate_response(limited.get("limitResponse") or {}, path.child("limitResponse"), errors)
    borrowing = limited.get("borrowingLimitPercent")
    if borrowing is not None and borrowing < 0:
        where = path.child("borrowingLimitPercent")
        errors.invalid(where, borrowing, f"if specified, {_NOT_NEGATIVE}")


def _validate_shares(part: Obj, path: FieldPath, errors: FieldErrors) -> None:
    shares = part.get("nominalConcurrencyShares") or 0
    if shares < 0:
        errors.invalid(path.child("nominalConcurrencyShares"), shares, _NOT_NEGATIVE)
    check_range(part.get("lendablePercent"), 0, 100, path.child("lendablePercent"), errors)


def _validate_response(response: Obj, path: FieldPath, errors: FieldErrors) -> None:
    kind, queuing, where = response.get("type") or "", response.get("queuing"), "queuing"
    if kind not in ("Queue", "Reject"):
        errors.not_supported(path.child("type"), kind, ("Queue", "Reject"))
    elif kind == "Reject":
        if queuing is not None:
            text = "must be nil if limited.limitResponse.type is not Limited"
            errors.forbidden(path.child(where), text)
    elif queuing is None:
        text = "must not be empty if limited.limitResponse.type is Limited"
        errors.required(path.child(where), text)
    else:
        _validate_queuing(queuing, path.child(where), errors)


def _validate_queuing(queuing: Obj, path: FieldPath, errors: FieldErrors) -> None:
    queues, hand = queuing.get("queues") or 0, queuing.get("handSize") or 0
    for field in ("queueLengthLimit", "queues", "handSize"):
        if (queuing.get(field) or 0) <= 0:
            errors.invalid(path.child(field), queuing.get(field) or 0, "must be positive")
    if queues > MAX_QUEUES:
        errors.invalid(path.child("queues"), queues, f"must not be greater than {MAX_QUEUES}")
    if hand <= 0 or queues <= 0:
        return
    if hand > queues:
        text = f"should not be greater than queues ({queues})"
        errors.invalid(path.child("handSize"), hand, text)
    elif math.ceil(math.log2(queues) * hand) > MAX_HASH_BITS:
        text = (
            f"required entropy bits of deckSize {queues} and handSize {hand} should not be "
            f"greater than {MAX_HASH_BITS}"
        )
        errors.invalid(path.child("handSize"), hand, text)


def _queuing(field: str, description: str) -> Column:
    read = cell("spec", "limited", "limitResponse", "queuing", field, default=NONE)
    return Column(name=field[:1].upper() + field[1:], read=read, description=description)


PRIORITY_LEVEL = Kind(
    group=GROUP,
    version="v1",
    kind="PriorityLevelConfiguration",
    plural="prioritylevelconfigurations",
    namespaced=False,
    columns=(
        NAME,
        Column(name="Type", read=cell("spec", "type"), description="Exempt or Limited."),
        Column(
            name="NominalConcurrencyShares",
            read=cell("spec", "limited", "nominalConcurrencyShares", default=NONE),
            description="Its part of the requests that may run.",
        ),
        _queuing("queues", "How many queues it has."),
        _queuing("handSize", "How many queues a flow may use."),
        _queuing("queueLengthLimit", "How many requests wait in a queue."),
        AGE,
    ),
    subresources=(STATUS,),
    generation=True,
    default=_default,
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    example={
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "robots"},
        "spec": {
            "type": "Limited",
            "limited": {"limitResponse": {"type": "Queue", "queuing": {}}},
        },
    },
)
