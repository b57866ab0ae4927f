"""A container's security context, merged from the pod's and its own. Pure.

As pkg/kubelet/kuberuntime/security_context.go.
"""

from pathlib import Path

from agent.pods.environment import ConfigError
from agent.runtime.runtime import Image, Security
from edgek.api.meta import Obj, get_path


def make_security(pod: Obj, container: Obj, *, image: Image, seccomp_root: Path) -> Security:
    """The container's security context over the pod's."""
    whole = get_path(pod, "spec", "securityContext", default={})
    own = whole | (container.get("securityContext") or {})
    capabilities = own.get("capabilities") or {}
    groups = [*(whole.get("supplementalGroups") or ())]
    if whole.get("fsGroup") is not None:
        groups.append(whole["fsGroup"])
    return Security(
        user=_user(own, image),
        supplemental_groups=tuple(groups),
        privileged=bool(own.get("privileged")),
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False,
        cap_add=tuple(c.removeprefix("CAP_") for c in capabilities.get("add") or ()),
        cap_drop=tuple(c.removeprefix("CAP_") for c in capabilities.get("drop") or ()),
        seccomp_profile=_seccomp(own.get("seccompProfile") or {}, seccomp_root),
        sysctls={s["name"]: s["value"] for s in whole.get("sysctls") or ()},
    )


def _user(context: Obj, image: Image) -> str:
    user, group = context.get("runAsUser"), context.get("runAsGroup")
    if context.get("runAsNonRoot"):
        _must_not_be_root(user, image)
    if user is None and group is None:
        return ""
    who = str(user) if user is not None else (image.user.partition(":")[0] or "0")
    return who if group is None else f"{who}:{group}"


def _must_not_be_root(user: int | None, image: Image) -> None:
    """As verifyRunAsNonRoot."""
    if user == 0:
        raise ConfigError("container's runAsUser breaks non-root policy")
    if user is not None:
        return
    own = image.user.partition(":")[0]
    if own in ("", "0", "root"):
        raise ConfigError("container has runAsNonRoot and image will run as root")
    if not own.isdecimal():
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({own}), "
            "cannot verify user is non-root"
        )


def _seccomp(profile: Obj, root: Path) -> str:
    match profile.get("type"):
        case "RuntimeDefault":
            return "runtime/default"
        case "Localhost":
            return str(root / profile.get("localhostProfile", ""))
    return "unconfined"
