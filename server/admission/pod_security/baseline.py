"""The rules of the baseline standard (upstream: pod-security-admission/policy/check_*.go)."""

from collections.abc import Iterable

from edgek.api.meta import Obj, get_path
from server.admission.pod_security.violation import (
    Check,
    Violation,
    all_containers,
    has_own_users,
    named,
    plural,
    quoted,
    security,
    setters,
)

_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
PROFILES = ("RuntimeDefault", "Localhost")
_CAPABILITIES = {
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
    "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}  # fmt: skip
_SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t"}
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")
SYSCTLS = (
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start",
)  # fmt: skip
SYSCTLS_27 = (*SYSCTLS, "net.ipv4.ip_local_reserved_ports")
SYSCTLS_29 = (
    *SYSCTLS_27, "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
)  # fmt: skip
SYSCTLS_32 = (*SYSCTLS_29, "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem")


def apparmor_profile(meta: Obj, spec: Obj) -> Violation | None:
    def profile(holder: Obj) -> object:
        return security(holder, "appArmorProfile", "type")

    def is_bad(holder: Obj) -> bool:
        return profile(holder) is not None and profile(holder) not in PROFILES

    containers = all_containers(spec)
    who = setters(spec, containers, is_bad)
    values = sorted({str(profile(h)) for h in (spec, *containers) if is_bad(h)})
    noted = sorted(
        f'{key}="{value}"'
        for key, value in (meta.get("annotations") or {}).items()
        if key.startswith(_APPARMOR) and not _is_good_apparmor(value)
    )
    if noted:
        word = plural("annotation", len(noted))
        who, values = f"{who} and {word}" if who else word, [*values, *noted]
    if not who:
        return None
    detail = f"{who} must not set AppArmor profile type to {quoted(values)}"
    return Violation(plural("forbidden AppArmor profile", len(values)), detail)


def _is_good_apparmor(value: str) -> bool:
    return value in ("", "runtime/default") or value.startswith("localhost/")


def default_capabilities(meta: Obj, spec: Obj) -> Violation | None:
    return added_capabilities(spec, _CAPABILITIES, "non-default capabilities")


def added_capabilities(spec: Obj, allowed: Iterable[str], reason: str) -> Violation | None:
    """Containers that add any but ``allowed``."""
    bad, found = [], set()
    for container in all_containers(spec):
        more = set(security(container, "capabilities", "add") or ()) - set(allowed)
        if more:
            bad.append(container)
            found |= more
    if not bad:
        return None
    what = f"must not include {quoted(sorted(found))} in securityContext.capabilities.add"
    return Violation(reason, f"{named(bad)} {what}")


def host_namespaces(meta: Obj, spec: Obj) -> Violation | None:
    shared = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    return Violation("host namespaces", ", ".join(shared)) if shared else None


def host_path_volumes(meta: Obj, spec: Obj) -> Violation | None:
    found = [v["name"] for v in spec.get("volumes") or () if v.get("hostPath") is not None]
    if not found:
        return None
    return Violation("hostPath volumes", f"{plural('volume', len(found))} {quoted(found)}")


def host_ports(meta: Obj, spec: Obj) -> Violation | None:
    bad, ports = [], set()
    for container in all_containers(spec):
        found = {p["hostPort"] for p in container.get("ports") or () if p.get("hostPort")}
        if found:
            bad.append(container)
            ports |= found
    if not bad:
        return None
    numbers = ", ".join(sorted(str(p) for p in ports))
    what = f"{_use(bad)} {plural('hostPort', len(ports))} {numbers}"
    return Violation("hostPort", f"{named(bad)} {what}")


def _use(subjects: list[Obj]) -> str:
    return "uses" if len(subjects) == 1 else "use"


def probe_hosts(meta: Obj, spec: Obj) -> Violation | None:
    """A probe of another host is made by the node, from where the pod could not."""
    bad, hosts = [], set()
    for container in all_containers(spec):
        handlers = [container.get(probe) for probe in _PROBES]
        handlers += [get_path(container, "lifecycle", hook) for hook in _HOOKS]
        kinds = ("httpGet", "tcpSocket")
        found = {get_path(h, kind, "host", default="") for h in handlers for kind in kinds} - {""}
        if found:
            bad.append(container)
            hosts |= found
    if not bad:
        return None
    word = plural("probe or lifecycle host", len(hosts))
    return Violation(
        "probe or lifecycle host", f"{named(bad)} {_use(bad)} {word} {quoted(sorted(hosts))}"
    )


def privileged(meta: Obj, spec: Obj) -> Violation | None:
    bad = [c for c in all_containers(spec) if security(c, "privileged")]
    detail = f"{named(bad)} must not set securityContext.privileged=true"
    return Violation("privileged", detail) if bad else None


def proc_mount(meta: Obj, spec: Obj) -> Violation | None:
    bad = [c for c in all_containers(spec) if security(c, "procMount") not in (None, "Default")]
    kinds = quoted(sorted({security(c, "procMount") for c in bad}))
    detail = f"{named(bad)} must not set securityContext.procMount to {kinds}"
    return Violation("procMount", detail) if bad else None


def proc_mount_35(meta: Obj, spec: Obj) -> Violation | None:
    return None if has_own_users(spec) else proc_mount(meta, spec)


def selinux_options(meta: Obj, spec: Obj) -> Violation | None:
    return _selinux(spec, _SELINUX_TYPES)


def selinux_options_31(meta: Obj, spec: Obj) -> Violation | None:
    return _selinux(spec, _SELINUX_TYPES | {"container_engine_t"})


def _selinux(spec: Obj, allowed: set[str]) -> Violation | None:
    def options(holder: Obj) -> Obj:
        found: Obj = security(holder, "seLinuxOptions") or {}
        return found

    def is_bad(holder: Obj) -> bool:
        given = options(holder)
        known = (given.get("type") or "") in allowed
        return not known or bool(given.get("user") or given.get("role"))

    containers = all_containers(spec)
    who = setters(spec, containers, is_bad)
    if not who:
        return None
    every = [options(h) for h in (spec, *containers)]
    types = sorted({o.get("type") or "" for o in every} - allowed)
    what = [f"{plural('type', len(types))} {quoted(types)}"] if types else []
    what += [f"{f} may not be set" for f in ("user", "role") if any(o.get(f) for o in every)]
    detail = f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(what)}"
    return Violation("seLinuxOptions", detail)


def seccomp_annotations(meta: Obj, spec: Obj) -> Violation | None:
    """Before 1.19 the profile was an annotation."""
    keys = [_SECCOMP_POD, *(_SECCOMP_CONTAINER + c.get("name", "") for c in all_containers(spec))]
    given = {k: v for k, v in (meta.get("annotations") or {}).items() if k in keys}
    good = ("runtime/default", "docker/default")
    bad = sorted(
        f'{key}="{value}"'
        for key, value in given.items()
        if value not in good and not value.startswith("localhost/")
    )
    if not bad:
        return None
    what = plural("annotation", len(bad))
    return Violation("seccompProfile", f"forbidden {what} {', '.join(bad)}")


def seccomp_profile(meta: Obj, spec: Obj) -> Violation | None:
    def profile(holder: Obj) -> object:
        return security(holder, "seccompProfile", "type")

    def is_bad(holder: Obj) -> bool:
        given = security(holder, "seccompProfile")
        return given is not None and profile(holder) not in PROFILES

    containers = all_containers(spec)
    who = setters(spec, containers, is_bad)
    values = quoted(sorted({str(profile(h) or "") for h in (spec, *containers) if is_bad(h)}))
    detail = f"{who} must not set securityContext.seccompProfile.type to {values}"
    return Violation("seccompProfile", detail) if who else None


def sysctls(allowed: Iterable[str]) -> Check:
    """Only those, which touch nothing outside the pod."""

    def check(meta: Obj, spec: Obj) -> Violation | None:
        found = [s.get("name") or "" for s in security(spec, "sysctls") or ()]
        bad = [name for name in found if name not in allowed]
        return Violation("forbidden sysctls", ", ".join(bad)) if bad else None

    return check


def windows_host_process(meta: Obj, spec: Obj) -> Violation | None:
    who = setters(
        spec,
        all_containers(spec),
        lambda holder: bool(security(holder, "windowsOptions", "hostProcess")),
    )
    detail = f"{who} must not set securityContext.windowsOptions.hostProcess=true"
    return Violation("hostProcess", detail) if who else None
