"""All rules, in the order in which they are told, each with the versions it had.

A standard's version keeps what it allowed when that Kubernetes version came out: the rule that
counts is the last that began at or before it. A restricted rule may take the place of a baseline
one. As pod-security-admission/policy/registry.go.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from edgek.api.meta import Obj
from server.admission.pod_security import baseline as b
from server.admission.pod_security import restricted as r
from server.admission.pod_security.policy import PRIVILEGED, RESTRICTED, Standard
from server.admission.pod_security.violation import Check, Violation


@dataclass(frozen=True)
class Rule:
    """``versions`` by the minor version each began with; ``replaces`` a baseline rule."""

    id: str
    versions: tuple[tuple[int, Check], ...]
    replaces: str = ""


def _since(minor: int, check: Check) -> tuple[tuple[int, Check], ...]:
    return ((minor, check),)


BASELINE = (
    Rule("appArmorProfile", _since(0, b.apparmor_profile)),
    Rule("capabilities_baseline", _since(0, b.default_capabilities)),
    Rule("hostNamespaces", _since(0, b.host_namespaces)),
    Rule("hostPathVolumes", _since(0, b.host_path_volumes)),
    Rule("hostPorts", _since(0, b.host_ports)),
    Rule("hostProbesAndHostLifecycle", _since(34, b.probe_hosts)),
    Rule("privileged", _since(0, b.privileged)),
    Rule("procMount_baseline", ((0, b.proc_mount), (35, b.proc_mount_35))),
    Rule("seLinuxOptions", ((0, b.selinux_options), (31, b.selinux_options_31))),
    Rule("seccompProfile_baseline", ((0, b.seccomp_annotations), (19, b.seccomp_profile))),
    Rule(
        "sysctls",
        (
            (0, b.sysctls(b.SYSCTLS)),
            (27, b.sysctls(b.SYSCTLS_27)),
            (29, b.sysctls(b.SYSCTLS_29)),
            (32, b.sysctls(b.SYSCTLS_32)),
        ),
    ),
    Rule("windowsHostProcess", _since(0, b.windows_host_process)),
)
RESTRICTED_TOO = (
    Rule(
        "allowPrivilegeEscalation",
        ((8, r.no_privilege_escalation), (25, r.unless_windows(r.no_privilege_escalation))),
    ),
    Rule(
        "capabilities_restricted",
        ((22, r.dropped_capabilities), (25, r.unless_windows(r.dropped_capabilities))),
        replaces="capabilities_baseline",
    ),
    Rule("procMount_restricted", _since(35, b.proc_mount), replaces="procMount_baseline"),
    Rule("restrictedVolumes", _since(0, r.volume_types), replaces="hostPathVolumes"),
    Rule("runAsNonRoot", ((0, r.run_as_non_root), (35, r.unless_own_users(r.run_as_non_root)))),
    Rule("runAsUser", ((23, r.run_as_user), (35, r.unless_own_users(r.run_as_user)))),
    Rule(
        "seccompProfile_restricted",
        ((19, r.required_seccomp), (25, r.unless_windows(r.required_seccomp))),
        replaces="seccompProfile_baseline",
    ),
)


@lru_cache(maxsize=256)
def checks_of(standard: Standard) -> tuple[Check, ...]:
    if standard.level == PRIVILEGED:
        return ()
    rules: tuple[Rule, ...] = BASELINE
    if standard.level == RESTRICTED:
        more = [rule for rule in RESTRICTED_TOO if _check(rule, standard.minor)]
        replaced = {rule.replaces for rule in more}
        rules = (*(rule for rule in BASELINE if rule.id not in replaced), *more)
    return tuple(check for rule in rules if (check := _check(rule, standard.minor)))


def _check(rule: Rule, minor: int) -> Check | None:
    """The rule as of that version; None where there was none yet."""
    begun = [check for since, check in rule.versions if since <= minor]
    return begun[-1] if begun else None


def violations(standard: Standard, meta: Obj, spec: Obj) -> list[Violation]:
    return list(_violations(standard, meta, spec))


def _violations(standard: Standard, meta: Obj, spec: Obj) -> Iterator[Violation]:
    for check in checks_of(standard):
        violation = check(meta, spec)
        if violation is not None:
            yield violation
