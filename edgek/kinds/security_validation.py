"""Validation of security contexts of pods and containers."""

import re

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import MAX_INT32, check_enum, check_range

IDS = ("runAsUser", "runAsGroup")
SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
MAX_SYSCTL = 253
HOST_SYSCTLS = (
    ("hostNetwork", ("net.",)),
    ("hostIPC", ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")),
)
PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")


def validate_pod_security(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    context, where = spec.get("securityContext") or {}, path.child("securityContext")
    for field in (*IDS, "fsGroup"):
        check_range(context.get(field), 0, MAX_INT32, where.child(field), errors)
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        place = where.child("supplementalGroups").index(index)
        check_range(group, 0, MAX_INT32, place, errors)
    change = context.get("fsGroupChangePolicy")
    allowed = ("Always", "OnRootMismatch")
    check_enum(change, allowed, where.child("fsGroupChangePolicy"), errors, required=False)
    policy, place = context.get("supplementalGroupsPolicy"), where.child("supplementalGroupsPolicy")
    check_enum(policy, ("Merge", "Strict"), place, errors, required=False)
    _validate_sysctls(spec, where.child("sysctls"), errors)
    _validate_profiles(context, where, errors)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        text = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.invalid(path.child("shareProcessNamespace"), True, text)


def _validate_sysctls(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """NB: names become paths of files on the node."""
    seen: set[str] = set()
    for index, sysctl in enumerate(get_path(spec, "securityContext", "sysctls", default=())):
        name, where = sysctl.get("name") or "", path.index(index).child("name")
        if not name:
            errors.required(where)
        elif len(name) > MAX_SYSCTL or not SYSCTL.fullmatch(name):
            text = f"must have at most {MAX_SYSCTL} characters and match regex ^{SYSCTL.pattern}$"
            errors.invalid(where, name, text)
        elif name in seen:
            errors.duplicate(where, name)
        seen.add(name)
        _validate_host_sysctl(name, spec, where, errors)


def _validate_host_sysctl(name: str, spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """What is the pod's own only in namespaces of its own."""
    dotted = name.replace("/", ".")
    for field, prefixes in HOST_SYSCTLS:
        if spec.get(field) and dotted.startswith(prefixes):
            errors.invalid(path, name, f"may not be specified when '{field}' is true")


def validate_security_context(context: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for field in IDS:
        check_range(context.get(field), 0, MAX_INT32, path.child(field), errors)
    _validate_profiles(context, path, errors)
    allowed = ("Default", "Unmasked")
    check_enum(context.get("procMount"), allowed, path.child("procMount"), errors, required=False)
    if context.get("allowPrivilegeEscalation") is not False:
        return
    if context.get("privileged"):
        text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        errors.invalid(path, context, text)
    if "CAP_SYS_ADMIN" in get_path(context, "capabilities", "add", default=()):
        text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
        errors.invalid(path, context, text)


def _validate_profiles(context: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for field, word in (("seccompProfile", "seccomp"), ("appArmorProfile", "AppArmor")):
        profile, where = context.get(field), path.child(field)
        if profile is None:
            continue
        check_enum(profile.get("type"), PROFILES, where.child("type"), errors)
        local, named = profile.get("type") == "Localhost", profile.get("localhostProfile")
        if local and not named:
            text = f"must be set when {word} type is Localhost"
            errors.required(where.child("localhostProfile"), text)
        elif named is not None and not local:
            text = f"can only be set when {word} type is Localhost"
            errors.invalid(where.child("localhostProfile"), named, text)
