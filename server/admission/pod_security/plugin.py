"""The plugin: refuses pods, warns of templates whose pods would be refused, and looks after the
labels of namespaces. As k8s.io/pod-security-admission/admission; nobody is exempt.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from edgek.api.errors import Invalid
from edgek.api.meta import Key, Obj, annotations, controller_of, get_path, labels, name
from edgek.kinds import (
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    POD,
    POD_TEMPLATE,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
)
from server.admission.chain import Attributes
from server.admission.pod_security.checks import violations
from server.admission.pod_security.policy import PREFIX, PRIVILEGED, Policy, Standard, policy_of
from server.admission.pod_security.violation import all_containers
from server.admission.refusal import forbidden
from server.request.reader import Reader

_TEMPLATES = {
    POD_TEMPLATE: ("template",),
    CRON_JOB: ("spec", "jobTemplate", "spec", "template"),
    **dict.fromkeys(
        (REPLICATION_CONTROLLER, REPLICA_SET, DEPLOYMENT, STATEFUL_SET, DAEMON_SET, JOB),
        ("spec", "template"),
    ),
}
_PATHS = {kind.storage_prefix: path for kind, path in _TEMPLATES.items()}
_IGNORED = (
    "exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status",
)  # fmt: skip
_PROFILE_NOTES = (
    "seccomp.security.alpha.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "container.apparmor.security.beta.kubernetes.io/",
)
MOST_PODS = 3000
CHECK_SECONDS = 1.0
_AT_ONCE = 100
"""Pods that are looked at before others get their turn."""


class PodSecurity:
    kinds = (POD, NAMESPACE, *_TEMPLATES)

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def admit(self, attributes: Attributes) -> None:
        """Changes nothing."""

    async def validate(self, attributes: Attributes) -> None:
        a = attributes
        if a.operation not in ("CREATE", "UPDATE"):
            return
        if a.kind == NAMESPACE:
            if not a.subresource:
                await self._namespace(a)
        elif a.kind == POD:
            self._pod(a)
        elif not a.subresource:
            self._template(a)

    # --- pods and templates ------------------------------------------------------------------

    def _policy(self, namespace: str) -> Policy:
        found = self._reader.get(NAMESPACE, Key("", namespace))
        return policy_of(labels(found) if found is not None else {})[0]

    def _pod(self, a: Attributes) -> None:
        if a.subresource in _IGNORED:
            return
        policy = self._policy(a.namespace)
        if all(standard.level == PRIVILEGED for standard in policy):
            return
        if a.operation == "UPDATE" and a.old is not None and not _matters(a.obj, a.old):
            return
        a.annotations[f"{PREFIX}enforce-policy"] = str(policy.enforce)
        said = _said(policy, a.obj)
        _audit(a, policy.audit, said)
        if found := said[policy.enforce]:
            raise forbidden(a, f'violates PodSecurity "{policy.enforce}": {found}')
        _warn(a, policy.warn, said)

    def _template(self, a: Attributes) -> None:
        policy = self._policy(a.namespace)
        if policy.warn.level == policy.audit.level == PRIVILEGED:
            return
        template = get_path(a.obj, *_PATHS[a.kind.storage_prefix])
        if template:
            said = _said((policy.audit, policy.warn), template)
            _audit(a, policy.audit, said)
            _warn(a, policy.warn, said)

    # --- namespaces --------------------------------------------------------------------------

    async def _namespace(self, a: Attributes) -> None:
        """The labels must be right, unless they were wrong before; who enforces more is told
        which pods that are there would be refused."""
        policy, problems = policy_of(labels(a.obj))
        before, had = policy_of(labels(a.old)) if a.old is not None else (Policy(), None)
        if problems and (had is None or list(problems) != list(had)):
            raise Invalid.of(NAMESPACE, a.name or name(a.obj), problems)
        if a.operation == "UPDATE" and _is_more(policy.enforce, before.enforce):
            a.warnings += await self._of_existing(name(a.obj), policy.enforce)

    async def _of_existing(self, namespace: str, standard: Standard) -> list[str]:
        pods = _one_of_each_first(self._reader.list(POD, namespace))
        loop = asyncio.get_running_loop()
        until, checked = loop.time() + CHECK_SECONDS, 0
        found: dict[str, list[str]] = {}
        for checked, pod in enumerate(pods[:MOST_PODS], start=1):
            broken = violations(standard, pod["metadata"], pod.get("spec") or {})
            if broken:
                found.setdefault(", ".join(v.reason for v in broken), []).append(name(pod))
            if checked % _AT_ONCE == 0:
                await asyncio.sleep(0)
                if loop.time() > until:
                    break
        out = []
        if checked < len(pods):
            out.append(
                f"new PodSecurity enforce level only checked against the first {checked} of "
                f"{len(pods)} existing pods"
            )
        if found:
            out.append(
                f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce '
                f'level "{standard}"'
            )
        return out + sorted(_of_pods(why, names) for why, names in found.items())


def _said(standards: Iterable[Standard], pod: Obj) -> dict[Standard, str]:
    """What each has to say of a pod or template; often they are the same."""
    meta, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    return {s: ", ".join(map(str, violations(s, meta, spec))) for s in dict.fromkeys(standards)}


def _audit(a: Attributes, standard: Standard, said: Mapping[Standard, str]) -> None:
    if text := _would_violate(standard, said):
        a.annotations[f"{PREFIX}audit-violations"] = text


def _warn(a: Attributes, standard: Standard, said: Mapping[Standard, str]) -> None:
    if text := _would_violate(standard, said):
        a.warnings.append(text)


def _would_violate(standard: Standard, said: Mapping[Standard, str]) -> str:
    return f'would violate PodSecurity "{standard}": {said[standard]}' if said[standard] else ""


def _matters(pod: Obj, old: Obj) -> bool:
    """As isSignificantPodUpdate: another image, a container more, or another profile."""

    def told(obj: Obj) -> object:
        notes = {k: v for k, v in annotations(obj).items() if k.startswith(_PROFILE_NOTES)}
        images = [(c.get("name"), c.get("image")) for c in all_containers(obj.get("spec") or {})]
        return images, notes

    return told(pod) != told(old)


def _is_more(new: Standard, old: Standard) -> bool:
    """Whether pods that were fine before may not be so now."""
    if new == old or new.level == PRIVILEGED:
        return False
    return new.minor != old.minor or new.is_stricter_than(old)


def _one_of_each_first(pods: Iterable[Obj]) -> Sequence[Obj]:
    """The pods of one controller are much the same: with little time, see one of each."""
    first: list[Obj] = []
    rest: list[Obj] = []
    seen: set[object] = set()
    for pod in pods:
        owner = (controller_of(pod) or {}).get("uid")
        (rest if owner in seen and owner else first).append(pod)
        seen.add(owner)
    return first + rest


def _of_pods(why: str, names: list[str]) -> str:
    more = len(names) - 1
    if not more:
        return f"{min(names)}: {why}"
    return f"{min(names)} (and {more} other {'pod' if more == 1 else 'pods'}): {why}"
