"""Who the pods of a StatefulSet are: names, ordinals, labels, and the template they come from.

Pure. A pod is NAME-ORDINAL for its life and comes back under the same name, with the same claims
(statefulset_claims.py). As pkg/controller/statefulset/stateful_set_utils.go.
"""

import re
from collections.abc import Mapping

from edgek.api.meta import Obj, get_path, labels, name, namespace
from server.controllers.controller_revision import HASH
from server.controllers.pod_control import pod_from_template, replicas_of

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"
_NAMED = re.compile(r"(.*)-([0-9]+)")


def parent_and_ordinal(pod_name: str) -> tuple[str, int]:
    """The set's name and the ordinal that a pod's name says; ("", -1) where it says none."""
    found = _NAMED.fullmatch(pod_name)
    if found is None or int(found[2]) > 2**31 - 1:
        return "", -1
    return found[1], int(found[2])


def ordinal_of(pod: Obj) -> int:
    return parent_and_ordinal(name(pod))[1]


def is_member(stateful_set: Obj, pod: Obj) -> bool:
    """NB: upstream takes "db-01" for a second "db-1"; here it is a stranger."""
    return name(pod) == f"{name(stateful_set)}-{ordinal_of(pod)}"


def start_of(stateful_set: Obj) -> int:
    """The first ordinal."""
    return int(get_path(stateful_set, "spec", "ordinals", "start", default=0))


def ordinals(stateful_set: Obj) -> range:
    """Those that should have a pod."""
    start = start_of(stateful_set)
    return range(start, start + replicas_of(stateful_set))


def is_parallel(stateful_set: Obj) -> bool:
    return bool(get_path(stateful_set, "spec", "podManagementPolicy") == "Parallel")


def is_rolling(stateful_set: Obj) -> bool:
    kind = get_path(stateful_set, "spec", "updateStrategy", "type", default="RollingUpdate")
    return bool(kind == "RollingUpdate")


def partition_of(stateful_set: Obj) -> int:
    """How many pods, counted from the first, stay at the current revision."""
    strategy = get_path(stateful_set, "spec", "updateStrategy", default={})
    return int(get_path(strategy, "rollingUpdate", "partition", default=0))


def identity_labels(stateful_set: Obj, ordinal: int) -> dict[str, str]:
    return {POD_NAME: f"{name(stateful_set)}-{ordinal}", POD_INDEX: str(ordinal)}


def has_identity(stateful_set: Obj, pod: Obj) -> bool:
    return is_member(stateful_set, pod) and labels(pod).get(POD_NAME) == name(pod)


# Which template


def is_old(stateful_set: Obj, ordinal: int) -> bool:
    """Whether a pod made now is of the current revision, not of the one being rolled out."""
    position = ordinal - start_of(stateful_set)
    if not is_rolling(stateful_set):
        return False
    if get_path(stateful_set, "spec", "updateStrategy", "rollingUpdate") is None:
        return bool(position < get_path(stateful_set, "status", "currentReplicas", default=0))
    return position < partition_of(stateful_set)


def template_of(revision: Mapping[str, Obj]) -> Obj:
    """The pod template that a revision keeps."""
    template = get_path(revision, "data", "spec", "template", default={})
    return {field: value for field, value in template.items() if field != "$patch"}


def new_pod(stateful_set: Obj, revision: Obj, ordinal: int) -> Obj:
    """As newStatefulSetPod; the revision's name, not its hash, labels the pod."""
    pod = pod_from_template(template_of(revision), stateful_set)
    pod_name = f"{name(stateful_set)}-{ordinal}"
    meta = pod["metadata"]
    meta["name"] = pod_name
    identity = identity_labels(stateful_set, ordinal)
    meta["labels"] = {**(meta.get("labels") or {}), **identity, HASH: name(revision)}
    pod["spec"] |= {"hostname": pod_name}
    if service := get_path(stateful_set, "spec", "serviceName", default=""):
        pod["spec"]["subdomain"] = service
    else:
        pod["spec"].pop("subdomain", None)
    return with_storage(stateful_set, pod, ordinal)


# Volumes


def claim_name(stateful_set: Obj, template: Obj, ordinal: int) -> str:
    return f"{name(template)}-{name(stateful_set)}-{ordinal}"


def claim_templates(stateful_set: Obj) -> list[Obj]:
    found: list[Obj] = get_path(stateful_set, "spec", "volumeClaimTemplates", default=[])
    return found


def with_storage(stateful_set: Obj, pod: Obj, ordinal: int) -> Obj:
    """The pod with its own claims as volumes; they go before others of the same names."""
    claims = {
        name(t): {"claimName": claim_name(stateful_set, t, ordinal)}
        for t in claim_templates(stateful_set)
    }
    if not claims:
        return pod
    own = [{"name": volume, "persistentVolumeClaim": claim} for volume, claim in claims.items()]
    others = get_path(pod, "spec", "volumes", default=[])
    volumes = own + [v for v in others if v.get("name") not in claims]
    return {**pod, "spec": {**pod["spec"], "volumes": volumes}}


def has_storage(stateful_set: Obj, pod: Obj) -> bool:
    volumes = {v.get("name"): v for v in get_path(pod, "spec", "volumes", default=[])}
    ordinal = ordinal_of(pod)
    return all(
        get_path(volumes.get(name(t)), "persistentVolumeClaim", "claimName")
        == claim_name(stateful_set, t, ordinal)
        for t in claim_templates(stateful_set)
    )


def new_claims(stateful_set: Obj, ordinal: int) -> list[Obj]:
    """What a pod needs, as getPersistentVolumeClaims: the selector's labels over its own."""
    selector = get_path(stateful_set, "spec", "selector", "matchLabels", default={})
    out = []
    for template in claim_templates(stateful_set):
        meta = {k: v for k, v in template["metadata"].items() if k in ("annotations", "finalizers")}
        merged = {**labels(template), **selector}
        meta |= {
            "name": claim_name(stateful_set, template, ordinal),
            "namespace": namespace(stateful_set),
        }
        if merged:
            meta["labels"] = merged
        out.append(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": meta,
                "spec": template.get("spec") or {},
            }
        )
    return out
