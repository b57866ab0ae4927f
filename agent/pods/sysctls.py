"""Which kernel settings a pod may ask for. Pure.

As pkg/kubelet/sysctl: the safe ones always, others where the node's owner allows them, none that
would change the host's own namespaces. The network sets them when it makes the pod's namespaces;
a pod in the host's network has none of its own, so its containers carry them.
"""

from collections.abc import Iterable

from agent.pods.state import Failure
from agent.sysctl_names import SAFE, dotted, namespace_of
from edgek.api.meta import Obj, get_path


def pod_sysctls(pod: Obj) -> dict[str, str]:
    given = get_path(pod, "spec", "securityContext", "sysctls", default=())
    return {dotted(s["name"]): s["value"] for s in given}


def forbidden_sysctl(pod: Obj, unsafe: Iterable[str]) -> Failure | None:
    """``unsafe``: names, or prefixes that end in ``*``, which the node's owner allows."""
    spec = pod.get("spec") or {}
    allowed = (*SAFE, *unsafe)
    for name in pod_sysctls(pod):
        space = namespace_of(name)
        if not any(_matches(name, pattern) for pattern in allowed):
            problem = "not allowlisted"
        elif space == "ipc" and spec.get("hostIPC"):
            problem = "not allowed with host ipc enabled"
        elif space == "net" and spec.get("hostNetwork"):
            problem = "not allowed with host net enabled"
        else:
            continue
        message = f'forbidden sysctl: "{name}" {problem}'
        return Failure(reason="SysctlForbidden", message=message)
    return None


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
