"""Node: a machine that runs pods."""

import ipaddress

from edgek.api.conditions import find_condition
from edgek.api.meta import Obj, get_path, labels
from edgek.api.validation import FieldErrors, FieldPath, is_label_value, is_qualified_name
from edgek.kinds.checks import check_enum, check_rule
from edgek.kinds.columns import NONE, UNKNOWN, cell
from edgek.kinds.kind import AGE, CONNECT, NAME, STATUS, Column, Kind, Subresource, read_field
from edgek.kinds.strategy import carry

SPEC = FieldPath("spec")
ROLE_PREFIX = "node-role.kubernetes.io/"
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def _default(obj: Obj) -> None:
    """All of a node can be used until it says otherwise (SetDefaults_NodeStatus)."""
    status = obj.get("status") or {}
    if status.get("capacity") and status.get("allocatable") is None:
        status["allocatable"] = dict(status["capacity"])


def _prepare(obj: Obj, old: Obj | None) -> None:
    """A node may bring its status when it registers; later it is for ``/status``."""
    if old is not None:
        carry(obj, old, "status")


def _prepare_status(obj: Obj, old: Obj | None) -> None:
    carry(obj, old, "spec")


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    validate_taints(spec.get("taints") or [], SPEC.child("taints"), errors)
    cidrs = spec.get("podCIDRs") or [c for c in [spec.get("podCIDR")] if c]
    for index, cidr in enumerate(cidrs):
        _validate_cidr(cidr, SPEC.child("podCIDRs").index(index), errors)
    if spec.get("podCIDR") and cidrs[0] != spec["podCIDR"]:
        errors.invalid(SPEC.child("podCIDRs"), cidrs, "first value must match `podCIDR`")


def _validate_cidr(cidr: str, path: FieldPath, errors: FieldErrors) -> None:
    try:
        ipaddress.ip_network(cidr)
    except ValueError:
        text = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        errors.invalid(path, cidr, text)


def validate_taints(taints: list[Obj], path: FieldPath, errors: FieldErrors) -> None:
    """No two taints have the same key and effect."""
    seen: set[tuple[object, object]] = set()
    for index, taint in enumerate(taints):
        where = path.index(index)
        for problem in is_qualified_name(taint.get("key") or ""):
            errors.invalid(where.child("key"), taint.get("key") or "", problem)
        check_rule(taint.get("value"), is_label_value, where.child("value"), errors)
        check_enum(taint.get("effect"), EFFECTS, where.child("effect"), errors)
        pair = (taint.get("key"), taint.get("effect"))
        if pair in seen:
            errors.duplicate(where, taint)
        seen.add(pair)


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    for field, path in (("podCIDRs", "podCIDR"), ("podCIDR", "podCIDR"), ("providerID",) * 2):
        had = get_path(old, "spec", field)
        if had and get_path(new, "spec", field) != had:
            text = f'node updates may not change {path} except from "" to valid'
            errors.forbidden(SPEC.child(field), text)
            return


def _status(obj: Obj) -> str:
    ready = find_condition(get_path(obj, "status", "conditions"), "Ready")
    word = "Unknown" if ready is None else "Ready" if ready["status"] == "True" else "NotReady"
    return word + (",SchedulingDisabled" if get_path(obj, "spec", "unschedulable") else "")


def _roles(obj: Obj) -> str:
    found = labels(obj)
    roles = {k.removeprefix(ROLE_PREFIX) for k in found if k.startswith(ROLE_PREFIX)}
    roles.add(found.get("kubernetes.io/role") or "")
    return ",".join(sorted(roles - {""})) or NONE


def _address(kind: str, obj: Obj) -> str:
    found = get_path(obj, "status", "addresses", default=())
    return next((str(a["address"]) for a in found if a.get("type") == kind), NONE)


def _info(name: str, field: str, description: str, priority: int = 1) -> Column:
    missing = "" if priority == 0 else UNKNOWN
    return Column(
        name=name,
        read=cell("status", "nodeInfo", field, default=missing),
        priority=priority,
        description=description,
    )


def _read(obj: Obj, path: str) -> str:
    return read_field(obj, path) or ("false" if path == "spec.unschedulable" else "")


NODE = Kind(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    short_names=("no",),
    namespaced=False,
    columns=(
        NAME,
        Column(name="Status", read=_status, description="Whether it is ready and accepts pods."),
        Column(name="Roles", read=_roles, description="What the node is for."),
        AGE,
        _info("Version", "kubeletVersion", "The version of the node agent.", priority=0),
        Column(
            name="Internal-IP",
            read=lambda obj: _address("InternalIP", obj),
            priority=1,
            description="Its address inside the cluster.",
        ),
        Column(
            name="External-IP",
            read=lambda obj: _address("ExternalIP", obj),
            priority=1,
            description="Its address outside.",
        ),
        _info("OS-Image", "osImage", "Its operating system."),
        _info("Kernel-Version", "kernelVersion", "Its kernel."),
        _info("Container-Runtime", "containerRuntimeVersion", "What runs its containers."),
    ),
    subresources=(
        STATUS,
        Subresource(name="proxy", verbs=CONNECT, version="v1", kind="NodeProxyOptions"),
    ),
    selectable=("spec.unschedulable",),
    read_field=_read,
    default=_default,
    prepare=_prepare,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "worker-1", "labels": {"kubernetes.io/hostname": "worker-1"}},
        "spec": {"podCIDR": "10.42.1.0/24", "podCIDRs": ["10.42.1.0/24"]},
    },
)
