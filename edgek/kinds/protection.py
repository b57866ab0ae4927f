"""The finalizers of storage objects that may be in use (upstream: pkg/volume/util/finalizer.go)."""

from collections.abc import Mapping

from edgek.kinds.kind import Kind
from edgek.kinds.persistent_volume import PERSISTENT_VOLUME
from edgek.kinds.persistent_volume_claim import PERSISTENT_VOLUME_CLAIM

PROTECTION: Mapping[Kind, str] = {
    PERSISTENT_VOLUME: "kubernetes.io/pv-protection",
    PERSISTENT_VOLUME_CLAIM: "kubernetes.io/pvc-protection",
}
