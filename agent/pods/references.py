"""Which other objects a pod needs of the server, and what those need in turn. Pure.

A claim leads to its PersistentVolume, and that to secrets and Endpoints: what is known so far
says what to ask for next. The Node authorizer (server/authz/node.py) allows exactly this.
"""

from collections.abc import Iterator

from agent.pods.sources import Lookup, NotSynced, Ref, bundles_of
from agent.pods.volumes.claims import claim_key
from edgek.api.meta import Key, Obj, get_path, namespace
from edgek.kinds import (
    CLUSTER_TRUST_BUNDLE,
    CONFIG_MAP,
    CSI_DRIVER,
    ENDPOINTS,
    RUNTIME_CLASS,
    SECRET,
)
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds.kind import Kind
from edgek.kinds.pod_references import references as named_by
from edgek.kinds.pod_references import volume_secrets

KINDS = {kind.plural: kind for kind in (CONFIG_MAP, SECRET, CLAIM)}


def references(pod: Obj, lookup: Lookup) -> set[Ref]:
    """Every object that containers, volumes and image pulls of the pod name, directly or not."""
    space = namespace(pod)
    refs = {Ref(KINDS[plural], Key(space, of)) for plural, of in named_by(pod)}
    if runtime_class := get_path(pod, "spec", "runtimeClassName"):
        refs.add(Ref(RUNTIME_CLASS, Key("", runtime_class)))
    for volume in get_path(pod, "spec", "volumes", default=[]):
        refs |= {*_endpoints(volume, space), *_driver(volume), *_trust_bundles(volume)}
        key = claim_key(pod, volume)
        claim = _known(lookup, CLAIM, key) if key else None
        if bound_to := get_path(claim, "spec", "volumeName") if claim else None:
            refs.add(Ref(VOLUME, Key("", bound_to)))
            found = _known(lookup, VOLUME, Key("", bound_to))
            refs |= set(_of_volume(found)) if found else set()
    return refs


def _known(lookup: Lookup, kind: Kind, key: Key) -> Obj | None:
    try:
        return lookup(kind, key.namespace, key.name)
    except NotSynced:
        return None


def _of_volume(volume: Obj) -> Iterator[Ref]:
    for space, secret in volume_secrets(volume):
        yield Ref(SECRET, Key(space, secret))
    yield from _driver(volume["spec"])
    space = get_path(volume, "spec", "glusterfs", "endpointsNamespace")
    yield from _endpoints(
        volume["spec"], space or get_path(volume, "spec", "claimRef", "namespace", default="")
    )


def _trust_bundles(volume: Obj) -> Iterator[Ref]:
    for source in get_path(volume, "projected", "sources", default=[]):
        if of := get_path(source, "clusterTrustBundle", "name"):
            yield Ref(CLUSTER_TRUST_BUNDLE, Key("", of))
        elif signer := get_path(source, "clusterTrustBundle", "signerName"):
            yield bundles_of(signer)


def _endpoints(source: Obj, space: str) -> Iterator[Ref]:
    """The servers of a GlusterFS volume."""
    if of := get_path(source, "glusterfs", "endpoints"):
        yield Ref(ENDPOINTS, Key(space, of))


def _driver(source: Obj) -> Iterator[Ref]:
    """What the storage driver of a volume wants to be told."""
    if of := get_path(source, "csi", "driver"):
        yield Ref(CSI_DRIVER, Key("", of))
