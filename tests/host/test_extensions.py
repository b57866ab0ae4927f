"""Programs that extend the API, in pods: the server, with no agent beside it, reaches them."""

import base64
import json
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from edgek.pki.certificates import KeyPair, Profile, new_ca, new_pair
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import missing_need

IN_ORDER = True
"""One cluster; the program in the pod is asked in all of its roles."""
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]
IMAGE = "docker.io/library/busybox:1.36"
NAME = "extension.default.svc"
GROUP = "gauges.example.com"
PROGRAM = """
import http.server, json, ssl
GROUP = "gauges.example.com/v1"
RESOURCES = [{"name": "gauges", "singularName": "gauge", "namespaced": True, "kind": "Gauge",
              "verbs": ["list"]}]
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        user = self.headers.get("X-Remote-User")
        if self.path.endswith("/gauges") or "/gauges?" in self.path:
            return self.say({"kind": "GaugeList", "apiVersion": GROUP, "metadata": {},
                             "items": [{"kind": "Gauge", "apiVersion": GROUP,
                                        "metadata": {"name": "asked-by", "namespace": "default"},
                                        "user": user}]})
        self.say({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP,
                  "resources": RESOURCES})
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        bad = request["object"]["metadata"]["name"].startswith("bad")
        said = {"uid": request["uid"], "allowed": not bad, "status": {"message": "no bad names"}}
        self.say({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": said})
    def say(self, what):
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
server = http.server.ThreadingHTTPServer(("", 8443), Answer)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
LIBRARIES = ("/usr", "/lib", "/lib64")
"""The node's own Python, since the image has none."""


def objects(pair: KeyPair) -> list[Any]:
    def named(kind: str, name: str, **more: Any) -> Any:
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **more}

    tls = {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()}
    libraries = [
        {"name": f"lib{n}", "hostPath": {"path": path}} for n, path in enumerate(LIBRARIES)
    ]
    mounts = [
        {"name": f"lib{n}", "mountPath": path, "readOnly": True} for n, path in enumerate(LIBRARIES)
    ]
    container = {
        "name": "program",
        "image": IMAGE,
        "command": ["/usr/bin/python3", "/program/program.py"],
        "ports": [{"containerPort": 8443, "name": "https"}],
        "readinessProbe": {"tcpSocket": {"port": "https"}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "tls", "mountPath": "/tls"},
            {"name": "program", "mountPath": "/program"},
            *mounts,
        ],
    }
    volumes = [
        {"name": "tls", "secret": {"secretName": "extension", "defaultMode": 0o400}},
        {"name": "program", "configMap": {"name": "extension"}},
        *libraries,
    ]
    pod = named(
        "Pod", "extension",
        spec={"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0},
    )  # fmt: skip
    pod["metadata"]["labels"] = {"app": "extension"}
    ports = [{"name": "https", "port": 443, "targetPort": "https"}]
    return [
        named("Secret", "extension", type="kubernetes.io/tls", stringData=tls),
        named("ConfigMap", "extension", data={"program.py": textwrap.dedent(PROGRAM)}),
        pod,
        named("Service", "extension", spec={"selector": {"app": "extension"}, "ports": ports}),
    ]


def webhook(ca: str, path: str = "/") -> Any:
    service = {"namespace": "default", "name": "extension", "path": path}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "names"},
        "webhooks": [
            {
                "name": "names.example.com",
                "clientConfig": {"service": service, "caBundle": ca},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                           "resources": ["configmaps"]}],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 5,
            }
        ],
    }  # fmt: skip


def api_service(ca: str) -> Any:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1.{GROUP}"},
        "spec": {
            "group": GROUP, "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {"namespace": "default", "name": "extension"}, "caBundle": ca,
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def ca() -> KeyPair:
    return new_ca("extension-ca", now=datetime.now(UTC))


@pytest.fixture(scope="module")
def bundle(ca: KeyPair) -> str:
    return base64.b64encode(ca.certificate).decode()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, ca: KeyPair) -> Iterator[RealCluster]:
    profile = Profile(common_name="extension", names=(NAME,), server=True)
    pair = new_pair(ca, profile, now=datetime.now(UTC))
    with real_cluster(tmp_path_factory.mktemp("extensions"), nodes=1) as up:
        apply(up, {"apiVersion": "v1", "kind": "List", "items": objects(pair)})
        up.kubectl("wait", "--for=condition=Ready", "pod/extension", "--timeout=60s")
        yield up


def apply(cluster: RealCluster, what: Any) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(what))


def test_the_server_has_no_route_to_pods(cluster: RealCluster) -> None:
    address = cluster.json("pod", "extension")["status"]["podIP"]
    assert cluster.curl(cluster.bed.server, f"https://{address}:8443/", "-k", "-m1") == ""


def test_a_webhook_in_a_pod_decides(cluster: RealCluster, bundle: str) -> None:
    apply(cluster, webhook(bundle))
    said = cluster.kubectl("create", "configmap", "bad", ok=False)
    assert 'admission webhook "names.example.com" denied the request: no bad names' in said
    cluster.kubectl("create", "configmap", "good")


def test_an_api_server_in_a_pod_is_part_of_the_api(cluster: RealCluster, bundle: str) -> None:
    apply(cluster, api_service(bundle))
    cluster.kubectl("wait", "--for=condition=Available", f"apiservice/v1.{GROUP}", "--timeout=20s")
    (found,) = json.loads(cluster.kubectl("get", "gauges", "-o", "json"))["items"]
    assert found["user"]
    assert "gauges" in cluster.kubectl("api-resources", "--api-group", GROUP)


def test_what_is_not_there_is_said_in_words_that_lead_to_it(
    cluster: RealCluster, bundle: str
) -> None:
    cluster.kubectl("delete", "pod", "extension", "--now")
    said = cluster.kubectl("create", "configmap", "other", ok=False)
    assert 'failed calling webhook "names.example.com"' in said
    assert 'no endpoints available for service "extension"' in said
    cluster.kubectl("delete", "validatingwebhookconfiguration", "names")
    cluster.kubectl("create", "configmap", "other")
