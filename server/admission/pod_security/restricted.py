"""The rules that the restricted standard has beyond the baseline's."""

from edgek.api.meta import Obj
from server.admission.pod_security.baseline import added_capabilities, seccomp_profile
from server.admission.pod_security.violation import (
    Check,
    Violation,
    all_containers,
    has_own_users,
    is_windows,
    named,
    plural,
    quoted,
    security,
    setters,
)

_VOLUMES = (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim",
    "projected", "secret",
)  # fmt: skip


def unless_windows(check: Check) -> Check:
    """From 1.25 on: what these fields restrict does not exist there."""

    def checked(meta: Obj, spec: Obj) -> Violation | None:
        return None if is_windows(spec) else check(meta, spec)

    return checked


def unless_own_users(check: Check) -> Check:
    """From 1.35 on: root in a user namespace of the pod's own is not the node's."""

    def checked(meta: Obj, spec: Obj) -> Violation | None:
        return None if has_own_users(spec) else check(meta, spec)

    return checked


def no_privilege_escalation(meta: Obj, spec: Obj) -> Violation | None:
    bad = [c for c in all_containers(spec) if security(c, "allowPrivilegeEscalation") is not False]
    detail = f"{named(bad)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", detail) if bad else None


def dropped_capabilities(meta: Obj, spec: Obj) -> Violation | None:
    bad = [
        c for c in all_containers(spec) if "ALL" not in (security(c, "capabilities", "drop") or ())
    ]
    reason = "unrestricted capabilities"
    details = []
    if bad:
        details.append(f'{named(bad)} must set securityContext.capabilities.drop=["ALL"]')
    if added := added_capabilities(spec, ("NET_BIND_SERVICE",), reason):
        details.append(added.detail)
    return Violation(reason, "; ".join(details)) if details else None


def volume_types(meta: Obj, spec: Obj) -> Violation | None:
    bad = [v for v in spec.get("volumes") or () if not any(v.get(t) is not None for t in _VOLUMES)]
    if not bad:
        return None
    types = sorted({next((t for t in v if t != "name"), "unknown") for v in bad})
    use = "uses" if len(bad) == 1 else "use"
    return Violation(
        "restricted volume types",
        f"{plural('volume', len(bad))} {quoted(v['name'] for v in bad)} {use} restricted volume "
        f"{plural('type', len(types))} {quoted(types)}",
    )


def run_as_non_root(meta: Obj, spec: Obj) -> Violation | None:
    containers, reason = all_containers(spec), "runAsNonRoot != true"
    who = setters(spec, containers, lambda holder: security(holder, "runAsNonRoot") is False)
    if who:
        return Violation(reason, f"{who} must not set securityContext.runAsNonRoot=false")
    bad = [c for c in containers if security(c, "runAsNonRoot") is None]
    if not bad or security(spec, "runAsNonRoot"):
        return None
    return Violation(reason, f"pod or {named(bad)} must set securityContext.runAsNonRoot=true")


def run_as_user(meta: Obj, spec: Obj) -> Violation | None:
    who = setters(spec, all_containers(spec), lambda holder: security(holder, "runAsUser") == 0)
    return Violation("runAsUser=0", f"{who} must not set runAsUser=0") if who else None


def required_seccomp(meta: Obj, spec: Obj) -> Violation | None:
    if wrong := seccomp_profile(meta, spec):
        return wrong
    bad = [c for c in all_containers(spec) if security(c, "seccompProfile") is None]
    if not bad or security(spec, "seccompProfile") is not None:
        return None
    return Violation(
        "seccompProfile",
        f"pod or {named(bad)} must set securityContext.seccompProfile.type to "
        '"RuntimeDefault" or "Localhost"',
    )
