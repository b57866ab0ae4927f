"""What a Job's own rules say of its pods' ends: podFailurePolicy and successPolicy.

Pure. The first rule that matches decides. As pkg/controller/job/pod_failure_policy.go and
success_policy.go.
"""

from dataclasses import dataclass

from edgek.api.meta import Obj, get_path, name, namespace
from edgek.kinds.job_indexes import Intervals, common_indexes, count_indexes, read_indexes


@dataclass(frozen=True, kw_only=True)
class Match:
    """What becomes of a failed pod. ``counts`` against the back-off limits; ``job_fails`` is
    the message where the whole Job fails of it."""

    counts: bool = True
    action: str = ""
    job_fails: str = ""


def match_failure(policy: Obj | None, pod: Obj) -> Match:
    for number, rule in enumerate((policy or {}).get("rules") or ()):
        found = _cause(rule, pod)
        if found is None:
            continue
        action = rule["action"]
        if action != "FailJob":
            return Match(counts=action != "Ignore", action=action)
        message = f"{found} matching FailJob rule at index {number}"
        return Match(action=action, job_fails=message)
    return Match()


def _cause(rule: Obj, pod: Obj) -> str | None:
    """What of the pod the rule means, in words; None where nothing."""
    at = f"{namespace(pod)}/{name(pod)}"
    if rule.get("onExitCodes") is not None:
        status = _exited(pod, rule["onExitCodes"])
        if status is None:
            return None
        code = status["state"]["terminated"]["exitCode"]
        return f"Container {status.get('name')} for pod {at} failed with exit code {code}"
    patterns = {(p.get("type"), p.get("status")) for p in rule.get("onPodConditions") or ()}
    for condition in get_path(pod, "status", "conditions", default=[]):
        if (condition.get("type"), condition.get("status")) in patterns:
            return f"Pod {at} has condition {condition['type']}"
    return None


def _exited(pod: Obj, wanted: Obj) -> Obj | None:
    """The first container that failed with one of the codes; init containers come last."""
    only, values = wanted.get("containerName"), wanted.get("values") or ()
    for field in ("containerStatuses", "initContainerStatuses"):
        for status in get_path(pod, "status", field, default=[]):
            code = get_path(status, "state", "terminated", "exitCode", default=0)
            if not code or only not in (None, status.get("name")):
                continue
            if (code in values) == (wanted.get("operator") == "In"):
                return dict(status)
    return None


def match_success(policy: Obj | None, completions: int, succeeded: Intervals) -> str | None:
    """The message of the rule that is met; None while there is none."""
    for number, rule in enumerate((policy or {}).get("rules") or ()):
        if succeeded and _is_met(rule, completions, succeeded):
            return f"Matched rules at index {number}"
    return None


def _is_met(rule: Obj, completions: int, succeeded: Intervals) -> bool:
    count, text = rule.get("succeededCount"), rule.get("succeededIndexes")
    if text is None:
        return count is not None and count_indexes(succeeded) >= int(count)
    wanted = read_indexes(text, completions)
    both = common_indexes(wanted, succeeded)
    return bool(wanted) and (
        both == count_indexes(wanted) or (count is not None and both >= int(count))
    )
