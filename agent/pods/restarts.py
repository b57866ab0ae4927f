"""Whether a container that ended is started again: policies and rules, the container's before the
pod's. Pure.

As podutil.ContainerShouldRestart and kubecontainer.ShouldAllContainersRestart.
"""

from agent.pods.state import CONTAINER_NAME, Attempt, PodState
from edgek.api.meta import Obj, get_path
from edgek.kinds.pods import (
    all_containers,
    containers,
    ephemeral_containers,
    init_containers,
    is_sidecar,
)

RESTART_ALL = "RestartAllContainers"


def name_of(attempt: Attempt) -> str:
    return attempt.container.labels.get(CONTAINER_NAME, "")


def find_container(pod: Obj, name: str) -> Obj:
    return next((c for c in all_containers(pod) if c["name"] == name), {})


def restarts(pod: Obj, state: PodState, attempt: Attempt) -> bool:
    """Whether the pod wants another attempt after this one ended."""
    if attempt.id in state.must_restart:
        return True
    name, code = name_of(attempt), attempt.exit_code
    if any(c["name"] == name for c in ephemeral_containers(pod)):
        return False
    container = find_container(pod, name)
    once = any(c["name"] == name for c in init_containers(pod)) and not is_sidecar(container)
    if once and code == 0:
        return False
    if matching_rule(container, code) is not None:
        return True
    policy = policy_of(pod, container)
    if once and container.get("restartPolicy") is None and policy == "Always":
        policy = "OnFailure"
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def policy_of(pod: Obj, container: Obj) -> str:
    """The container's own restart policy, or the pod's."""
    whole = get_path(pod, "spec", "restartPolicy", default="Always")
    return str(container.get("restartPolicy") or whole)


def matching_rule(container: Obj, code: int) -> Obj | None:
    """The first of its restart rules that speaks of the exit code."""
    for rule in container.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        if (code in (codes.get("values") or ())) == (codes.get("operator") == "In"):
            found: Obj = rule
            return found
    return None


def could_restart_all(pod: Obj) -> bool:
    every = (*init_containers(pod), *containers(pod))
    rules = [rule for c in every for rule in c.get("restartPolicyRules") or ()]
    return any(rule.get("action") == RESTART_ALL for rule in rules)


def asking_for_all(pod: Obj, state: PodState) -> list[str]:
    """Names of the containers whose end restarts every container of the pod."""
    asking = []
    for container in (*init_containers(pod), *containers(pod)):
        latest = state.latest(container["name"])
        if latest is not None and latest.ended:
            rule = matching_rule(container, latest.exit_code)
            if rule is not None and rule.get("action") == RESTART_ALL:
                asking.append(str(container["name"]))
    return asking
