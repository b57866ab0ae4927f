"""The file of a projected clusterTrustBundle: certificates of CAs, each once. Pure.

As pkg/kubelet/clustertrustbundle: a bundle that is named, or all of a signer's that a selector
matches. What stands between the certificates is left out. Their order means nothing; upstream's is
another with each start of the kubelet, here it only follows the certificates.
"""

import ssl
from collections.abc import Callable, Iterable

from agent.pods.environment import ConfigError
from agent.pods.sources import Lookup
from edgek.api.meta import Obj, get_path, labels
from edgek.api.selectors import from_label_selector
from edgek.kinds import CLUSTER_TRUST_BUNDLE
from edgek.pki.bundles import anchors

BySigner = Callable[[str], Iterable[Obj]]
"""All bundles of a signer; raises NotSynced while they are not known."""


def trust_file(source: Obj, *, lookup: Lookup, by_signer: BySigner) -> bytes:
    """Raises ConfigError where there is no bundle and must be one, NotSynced."""
    if name := source.get("name"):
        found = lookup(CLUSTER_TRUST_BUNDLE, "", name)
        bundles = [] if found is None else [found]
        missing = (
            "while getting ClusterTrustBundle: "
            f'clustertrustbundle.certificates.k8s.io "{name}" not found'
        )
    else:
        bundles = list(_selected(source, by_signer(source.get("signerName") or "")))
        missing = "combination of signerName and labelSelector matched zero ClusterTrustBundles"
    if not bundles and not source.get("optional"):
        raise ConfigError(missing)
    texts = (get_path(bundle, "spec", "trustBundle", default="") for bundle in bundles)
    every = {der for text in texts for der in anchors(text)}
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in sorted(every)).encode()


def _selected(source: Obj, bundles: Iterable[Obj]) -> Iterable[Obj]:
    """No selector matches nothing, an empty one everything."""
    if source.get("labelSelector") is None:
        return ()
    selector = from_label_selector(source["labelSelector"])
    return (bundle for bundle in bundles if selector.matches(labels(bundle)))
