"""Trust bundles as files of a pod: which are chosen, what is in them, and that changes are seen."""

import base64
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from agent.pods.environment import ConfigError
from agent.pods.sources import Ref
from agent.pods.trust_bundles import trust_file
from edgek.aio.clock import FakeClock
from edgek.api.errors import ServiceUnavailable
from edgek.api.meta import Obj, key_of, name
from edgek.client.transport import Call
from edgek.kinds import CLUSTER_TRUST_BUNDLE, POD
from edgek.kinds.kind import Kind
from tests.support.memory_api import MemoryApi
from tests.support.node import Node, running_node
from tests.support.pods import make_pod


def pem(*ders: bytes) -> str:
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in ders)


def bundle(own: str, text: str, signer: str = "a.io/x", **labels: str) -> Obj:
    spec = {"signerName": signer, "trustBundle": text}
    return {"metadata": {"name": own, "labels": labels}, "spec": spec}


BUNDLES = (
    bundle("a.io:x:1", f"Our first:\n{pem(b'two')}{pem(b'one')}", env="live"),
    bundle("a.io:x:2", pem(b"one", b"three"), env="live", new="yes"),
    bundle("a.io:x:3", pem(b"four"), env="test"),
    bundle("b.io:y:1", pem(b"five"), signer="b.io/y", env="live"),
    bundle("ours", pem(b"six", b"six"), signer=""),
)


def certificates(**source: Any) -> list[bytes]:
    def lookup(kind: Kind, space: str, wanted: str) -> Obj | None:
        return next((b for b in BUNDLES if name(b) == wanted), None)

    def by_signer(signer: str) -> Iterable[Obj]:
        return [b for b in BUNDLES if b["spec"]["signerName"] == signer]

    text = trust_file({"path": "ca", **source}, lookup=lookup, by_signer=by_signer).decode()
    bodies = text.replace("-----BEGIN CERTIFICATE-----", "").split("-----END CERTIFICATE-----\n")
    return [base64.b64decode(body) for body in bodies if body]


EXISTS = {"key": "new", "operator": "DoesNotExist"}
IN = {"key": "env", "operator": "In", "values": ["test", "live"]}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ({"name": "ours"}, [b"six"]),
        ({"signerName": "a.io/x", "labelSelector": {"matchLabels": {"env": "live"}}},
         [b"one", b"three", b"two"]),
        ({"signerName": "a.io/x", "labelSelector": {"matchExpressions": [EXISTS, IN]}},
         [b"four", b"one", b"two"]),
        ({"signerName": "a.io/x", "labelSelector": {}}, [b"four", b"one", b"three", b"two"]),
        ({"signerName": "a.io/x", "optional": True}, []),
        ({"signerName": "c.io/z", "labelSelector": {}, "optional": True}, []),
        ({"name": "none", "optional": True}, []),
    ],
)  # fmt: skip
def test_each_certificate_of_the_chosen_bundles_is_there_once(
    source: Obj, found: list[bytes]
) -> None:
    assert certificates(**source) == found


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"name": "none"}, 'clustertrustbundle.certificates.k8s.io "none" not found'),
        ({"signerName": "a.io/x"}, "signerName and labelSelector matched zero ClusterTrustBundles"),
        ({"signerName": "c.io/z", "labelSelector": {}}, "matched zero ClusterTrustBundles"),
    ],
)
def test_without_any_bundle_there_is_no_volume(source: Obj, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        certificates(**source)


def trusting() -> Obj:
    source = {"path": "ca.pem", "signerName": "a.io/x", "labelSelector": {}}
    volume = {"name": "trust", "projected": {"sources": [{"clusterTrustBundle": source}]}}
    pod = make_pod(volumes=[volume])
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "trust", "mountPath": "/trust"}]
    return pod


def is_running(node: Node) -> bool:
    return node.pod() is not None and node.status().get("phase") == "Running"


@pytest.mark.looptime
async def test_a_bundle_that_comes_or_goes_changes_the_file(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, trusting())
        await node.until(lambda: "FailedMount" in node.reasons())
        assert node.messages("FailedMount")[0].endswith("matched zero ClusterTrustBundles")
        node.api.put(CLUSTER_TRUST_BUNDLE, bundle("b.io:y:1", pem(b"no"), signer="b.io/y"))
        node.api.put(CLUSTER_TRUST_BUNDLE, bundle("a.io:x:1", pem(b"old")))
        await node.until(lambda: is_running(node))
        file = tmp_path / "pods/uid-web/volumes/projected/trust/ca.pem"
        assert file.read_text() == pem(b"old")
        node.api.put(CLUSTER_TRUST_BUNDLE, bundle("a.io:x:2", pem(b"new")))
        await node.until(lambda: file.read_text() == pem(b"new", b"old"))
        assert len(list(node.sync.parts.sources.known())) == 2


@pytest.mark.looptime
async def test_a_pod_of_before_has_the_bundles_of_before_while_no_server_answers(
    tmp_path: Path,
) -> None:
    def down(call: Call) -> None:
        if CLUSTER_TRUST_BUNDLE.plural in call.path:
            raise ServiceUnavailable("no route to host")

    api, pod, before = MemoryApi(), trusting(), bundle("a.io:x:1", pem(b"old"))
    api.before.append(down)
    async with running_node(tmp_path, clock=FakeClock(), api=api, restored=[pod]) as node:
        sources = node.sync.parts.sources
        sources.remember({Ref(CLUSTER_TRUST_BUNDLE, key_of(before)): before}, pods=["uid-web"])
        await node.until(lambda: "Started" in node.reasons())
        file = tmp_path / "pods/uid-web/volumes/projected/trust/ca.pem"
        assert file.read_text() == pem(b"old")
