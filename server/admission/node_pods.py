"""What a node may do about pods: NodeRestriction's part for pods, their status and tokens.

Pure checks on wire-shaped objects; each raises the refusal in upstream's words.
"""

from collections.abc import Callable, Iterator

from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, annotations, get_path, labels, name, owner_references, uid
from edgek.kinds.csi_driver import CSI_DRIVER
from edgek.kinds.node import NODE
from edgek.kinds.persistent_volume import PERSISTENT_VOLUME
from edgek.kinds.persistent_volume_claim import PERSISTENT_VOLUME_CLAIM
from edgek.kinds.pod import POD
from edgek.kinds.pod_references import references
from edgek.kinds.service_account import SERVICE_ACCOUNT
from server.admission.chain import Attributes
from server.admission.refusal import forbidden
from server.request.info import RequestInfo
from server.request.model import User
from server.request.reader import Reader

MIRROR = "kubernetes.io/config.mirror"
May = Callable[[User, RequestInfo], bool]
_AUDIENCE_VERB = "request-serviceaccounts-token-audience"


def check_pod(node: str, a: Attributes, reader: Reader) -> None:
    match a.subresource, a.operation:
        case "", "CREATE":
            _check_mirror(node, a)
            _check_owner(node, a, reader)
        case "", "DELETE":
            _check_own(node, a, reader, "delete pods")
        case "", operation:
            text = f'node "{node}" can only create and delete mirror pods'
            raise forbidden(a, f'unexpected operation "{operation}", {text}')
        case "status", "UPDATE":
            _check_own(node, a, reader, "update pod status for pods")
            _check_status(node, a)
        case "eviction", "CREATE":
            _check_own(node, a, reader, "evict pods")
        case "status" | "eviction", operation:
            raise forbidden(a, f'unexpected operation "{operation}"')
        case subresource, _:
            text = "only 'status' and 'eviction' are allowed"
            raise forbidden(a, f'unexpected pod subresource "{subresource}", {text}')


def _check_own(node: str, a: Attributes, reader: Reader, what: str) -> None:
    pod = a.old or reader.get(POD, Key(a.namespace, a.name))
    if pod is not None and get_path(pod, "spec", "nodeName") != node:
        raise forbidden(a, f'node "{node}" can only {what} with spec.nodeName set to itself')


def _check_status(node: str, a: Attributes) -> None:
    old = a.old or a.obj
    if labels(a.obj) != labels(old):
        raise forbidden(a, f'node "{node}" cannot update labels through pod status')
    claims = ("status", "resourceClaimStatuses")
    if get_path(a.obj, *claims, default=[]) != get_path(old, *claims, default=[]):
        raise forbidden(a, f'node "{node}" cannot update resource claim statuses')


def _check_mirror(node: str, a: Attributes) -> None:
    """A node may show the API what its own manifests run, and nothing that reads cluster data:
    what a pod on it refers to, the Node authorizer lets it read."""
    spec = a.obj.get("spec") or {}
    if MIRROR not in annotations(a.obj):
        raise forbidden(
            a, f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
        )
    if spec.get("nodeName") != node:
        raise forbidden(a, f'node "{node}" can only create pods with spec.nodeName set to itself')
    found = {plural for plural, _ in references(a.obj)}
    if spec.get("serviceAccountName"):
        found.add("a service account")
    if any("projected" in volume for volume in spec.get("volumes") or ()):
        found.add("projected volumes")
    if spec.get("resourceClaims"):
        found.add("resourceclaims")
    if found:
        what = ", ".join(sorted(found))
        raise forbidden(a, f'node "{node}" can not create pods that reference {what}')


def _check_owner(node: str, a: Attributes, reader: Reader) -> None:
    """Another owner would make it, say, one of a ReplicaSet's pods, in place of a real one."""
    refs = owner_references(a.obj)
    if len(refs) > 1:
        text = "with a single owner reference set to itself"
        raise forbidden(a, f'node "{node}" can only create pods {text}')
    own = reader.get(NODE, Key("", node))
    if own is None or not refs or not _refers_to(refs[0], own):
        text = f'node "{node}" can only create pods with an owner reference set to itself'
        raise forbidden(a, text)
    if refs[0].get("controller") is not True:
        text = "with a controller owner reference set to itself"
        raise forbidden(a, f'node "{node}" can only create pods {text}')
    if refs[0].get("blockOwnerDeletion"):
        text = f'node "{node}" must not set blockOwnerDeletion on an owner reference'
        raise forbidden(a, text)


def _refers_to(ref: Obj, node: Obj) -> bool:
    wanted = {"apiVersion": "v1", "kind": "Node", "name": name(node), "uid": uid(node)}
    return all(ref.get(field) == value for field, value in wanted.items())


def check_token(node: str, a: Attributes, reader: Reader, may: May) -> None:
    """A node has tokens for pods that it runs, and for those they are for."""
    if a.operation != "CREATE" or a.subresource != "token":
        return
    ref = get_path(a.obj, "spec", "boundObjectRef", default={})
    if ref.get("kind") != "Pod" or ref.get("apiVersion", "v1") != "v1" or not ref.get("name"):
        raise forbidden(a, "node requested token not bound to a pod")
    if not ref.get("uid"):
        raise forbidden(a, "node requested token with a pod binding without a uid")
    pod = reader.get(POD, Key(a.namespace, ref["name"]))
    if pod is None:
        raise NotFound.of(POD, ref["name"])
    if uid(pod) != ref["uid"]:
        why = (
            f"the UID in the bound object reference ({ref['uid']}) does not match the UID in "
            "record. The object might have been deleted and then recreated"
        )
        raise forbidden(a, why)
    if get_path(pod, "spec", "nodeName") != node:
        raise forbidden(a, "node requested token bound to a pod scheduled on a different node")
    _check_audiences(a, pod, reader, may)


def _check_audiences(a: Attributes, pod: Obj, reader: Reader, may: May) -> None:
    """As validateNodeServiceAccountAudience: "" is this API, for which every account may have
    a token that its pod mounts. Further ones, as of registries, RBAC may allow."""
    asked = get_path(a.obj, "spec", "audiences", default=[])
    if len(asked) > 1:
        raise forbidden(a, "node may only request 0 or 1 audiences")
    audience = asked[0] if asked else ""
    if audience in set(_audiences(pod, reader)):
        return
    info = RequestInfo(
        is_resource=True, verb=_AUDIENCE_VERB, resource=audience, namespace=a.namespace,
        name=a.name, version="v1",
    )  # fmt: skip
    if not audience or not may(a.user, info):
        raise forbidden(a, f'audience "{audience}" not found in pod spec volume')


def check_pod_certificate(node: str, a: Attributes, reader: Reader) -> None:
    """A node asks for certificates of pods that it runs, under the identity they have."""
    if a.operation != "CREATE" or a.subresource:
        raise forbidden(a, f'unexpected operation "{a.operation}"')
    spec = a.obj.get("spec") or {}
    pod = reader.get(POD, Key(a.namespace, spec.get("podName") or ""))
    own = reader.get(NODE, Key("", node))
    if pod is None:
        raise NotFound.of(POD, spec.get("podName") or "")
    name_of = get_path(pod, "spec", "serviceAccountName", default="")
    account = reader.get(SERVICE_ACCOUNT, Key(a.namespace, name_of))
    if spec.get("nodeName") != node or get_path(pod, "spec", "nodeName") != node:
        raise forbidden(a, f'pod "{name(pod)}" is not running on node "{node}"')
    wanted = {
        "podUID": uid(pod),
        "nodeUID": uid(own) if own else None,
        "serviceAccountName": name_of,
        "serviceAccountUID": uid(account) if account else None,
    }
    for field, value in wanted.items():
        if not value or spec.get(field) != value:
            raise forbidden(a, f'spec.{field} does not match pod "{name(pod)}"')
    if MIRROR in annotations(pod):
        raise forbidden(a, f'pod "{name(pod)}" is a mirror pod')


def _audiences(pod: Obj, reader: Reader) -> Iterator[str]:
    for volume in get_path(pod, "spec", "volumes", default=()):
        for source in get_path(volume, "projected", "sources", default=()):
            if (token := source.get("serviceAccountToken")) is not None:
                yield token.get("audience") or ""
        driver = reader.get(CSI_DRIVER, Key("", _driver(pod, volume, reader)))
        for wanted in get_path(driver, "spec", "tokenRequests", default=()):
            yield wanted.get("audience") or ""


def _driver(pod: Obj, volume: Obj, reader: Reader) -> str:
    """The CSI driver behind a volume, in place or through its claim; "" for none."""
    if driver := get_path(volume, "csi", "driver"):
        return str(driver)
    claim = get_path(volume, "persistentVolumeClaim", "claimName", default="")
    if "ephemeral" in volume:
        claim = f"{name(pod)}-{volume['name']}"
    space = pod["metadata"].get("namespace") or ""
    found = reader.get(PERSISTENT_VOLUME_CLAIM, Key(space, claim)) if claim else None
    bound = get_path(found, "spec", "volumeName", default="")
    held = reader.get(PERSISTENT_VOLUME, Key("", bound)) if bound else None
    return str(get_path(held, "spec", "csi", "driver", default=""))
