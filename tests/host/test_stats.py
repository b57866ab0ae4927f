"""Usage, the kubelet's endpoints and the proxies, on a real node: real kubectl, real Podman."""

import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import missing_need

BIN = Path(__file__).resolve().parents[2] / ".venv/bin"
IN_ORDER = True
"""One cluster lives through all of this; the pods are made once."""
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]
IMAGE = "docker.io/library/busybox:1.36"
PODS = f"""
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: kept}}
spec:
  storageClassName: local-path
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 1Mi}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{app: web}}}}
spec:
  terminationGracePeriodSeconds: 0
  volumes:
    - {{name: data, emptyDir: {{}}}}
    - {{name: kept, persistentVolumeClaim: {{claimName: kept}}}}
  containers:
    - name: http
      image: {IMAGE}
      command: [sh, -c]
      args:
        - |
          mkdir /www && echo '<a href="/next">n</a>' > /www/index.html
          dd if=/dev/zero of=/data/file bs=1M count=3 2>/dev/null
          echo served
          exec httpd -f -p 8080 -h /www
      ports: [{{name: http, containerPort: 8080}}]
      volumeMounts: [{{name: data, mountPath: /data}}, {{name: kept, mountPath: /kept}}]
      readinessProbe: {{httpGet: {{path: /, port: http}}, periodSeconds: 1}}
    - name: socket
      image: {IMAGE}
      command: [nc, -ll, -p, "9000", -e, sh, -c]
      args:
        - |
          while read -r name value && [ "$name" != "$(printf '\\r')" ]; do
            [ "$name" = Sec-Websocket-Key: ] && key=$(printf %s "$value" | tr -d '\\r')
          done
          accept=$(printf %s "${{key}}258EAFA5-E914-47DA-95CA-C5AB0DC85B11" | sha1sum |
            cut -d' ' -f1 | xxd -r -p | base64)
          printf 'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\n'
          printf 'Connection: Upgrade\\r\\nSec-WebSocket-Accept: %s\\r\\n\\r\\n' "$accept"
          printf '\\201\\005hello'
          cat > /dev/null
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  selector: {{app: web}}
  ports: [{{name: http, port: 80, targetPort: http}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: busy}}
spec:
  selector: {{matchLabels: {{app: busy}}}}
  template:
    metadata: {{labels: {{app: busy}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: {IMAGE}
          command: [sh, -c, "while :; do :; done"]
          resources: {{requests: {{cpu: 50m}}, limits: {{cpu: 200m}}}}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("stats"), nodes=1) as up:
        up.kubectl("apply", "-f", "-", stdin=PODS)
        up.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
        up.kubectl("rollout", "status", "deployment/busy", "--timeout=60s")
        yield up


def raw(cluster: RealCluster, path: str) -> str:
    return cluster.kubectl("get", "--raw", f"/api/v1/{path}")


def samples(text: str, name: str, **labels: str) -> list[float]:
    """Values of a metric, as Prometheus reads them."""
    return [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


def test_top_shows_nodes_pods_and_containers(cluster: RealCluster) -> None:
    assert re.search(r"node1 +\d+m +\d+% +\d+Mi +\d+%", cluster.kubectl("top", "node"))
    shown = cluster.kubectl("top", "pod", "--containers", "--sort-by=cpu")
    rows = [line.split() for line in shown.splitlines()[1:]]
    assert rows[0][1] == "main"  # the busy one
    assert {(r[0], r[1]) for r in rows} >= {("web", "http"), ("web", "socket")}


def test_metrics_are_objects_like_others(cluster: RealCluster) -> None:
    assert re.search(r"NAME +CPU +MEMORY +WINDOW\nnode1 +", cluster.kubectl("get", "nodemetrics"))
    [web] = cluster.json("podmetrics", "-l", "app=web")["items"]
    assert web["metadata"]["name"] == "web"
    assert {c["name"] for c in web["containers"]} == {"http", "socket"}
    refused = cluster.kubectl("get", "podmetrics", "nobody", ok=False)
    assert 'podmetrics.metrics.k8s.io "default/nobody" not found' in refused


def test_the_summary_tells_of_node_and_pods(cluster: RealCluster) -> None:
    summary = json.loads(raw(cluster, "nodes/node1/proxy/stats/summary"))
    node = summary["node"]
    assert node["nodeName"] == "node1"
    assert node["cpu"]["usageNanoCores"] > 0
    assert 0 < node["memory"]["workingSetBytes"] <= node["memory"]["usageBytes"]
    assert 0 < node["fs"]["usedBytes"] < node["fs"]["capacityBytes"]
    [web] = [p for p in summary["pods"] if p["podRef"]["name"] == "web"]
    assert {c["name"] for c in web["containers"]} == {"http", "socket"}
    assert web["network"]["rxBytes"] > 0
    [data] = [v for v in web["volume"] if v["name"] == "data"]
    assert 3 << 20 <= data["usedBytes"] < 4 << 20
    assert web["ephemeral-storage"]["usedBytes"] >= 3 << 20


def test_prometheus_can_scrape_the_kubelet(cluster: RealCluster) -> None:
    cadvisor = raw(cluster, "nodes/node1/proxy/metrics/cadvisor")
    busy = {"namespace": "default", "container": "main"}
    [seconds] = samples(cadvisor, "container_cpu_usage_seconds_total", **busy)
    assert seconds > 0
    own = {"pod": "web", "container": "http"}
    [used] = samples(cadvisor, "container_memory_working_set_bytes", **own)
    assert 0 < used < 1 << 30
    [received] = samples(cadvisor, "container_network_receive_bytes_total", pod="web")
    assert received > 0
    assert samples(cadvisor, "container_spec_cpu_shares", **own) == [2]
    full = samples(cadvisor, "container_fs_usage_bytes", id="/")
    assert full
    assert max(full) > 1 << 20
    [total] = samples(cadvisor, "machine_memory_bytes")
    assert total > 1 << 28
    resource = raw(cluster, "nodes/node1/proxy/metrics/resource")
    assert samples(resource, "pod_memory_working_set_bytes", pod="web")
    assert samples(resource, "resource_scrape_error") == [0]
    probes = raw(cluster, "nodes/node1/proxy/metrics/probes")
    [good] = samples(probes, "prober_probe_total", pod="web", result="successful")
    assert good >= 1
    agent = raw(cluster, "nodes/node1/proxy/metrics")
    assert samples(agent, "kubelet_running_pods") == [2]
    claim = {"namespace": "default", "persistentvolumeclaim": "kept"}
    [used] = samples(agent, "kubelet_volume_stats_used_bytes", **claim)
    assert used > 0


def test_a_node_tells_what_it_is(cluster: RealCluster) -> None:
    node = cluster.json("node", "node1")
    labels, info = node["metadata"]["labels"], node["status"]["nodeInfo"]
    assert labels["kubernetes.io/arch"] == labels["beta.kubernetes.io/arch"] == info["architecture"]
    assert (labels["kubernetes.io/os"], labels["kubernetes.io/hostname"]) == ("linux", "node1")
    assert info["kubeletVersion"].startswith("v1.37.")
    assert info["kernelVersion"] == platform.release()
    assert re.fullmatch(r"podman://\d+\.\d+\.\d+", info["containerRuntimeVersion"])
    assert "crun" in [handler["name"] for handler in node["status"]["runtimeHandlers"]]
    images = {name for image in node["status"]["images"] for name in image["names"]}
    assert IMAGE in images


def test_a_node_shows_pods_logs_and_itself(cluster: RealCluster) -> None:
    assert raw(cluster, "nodes/node1/proxy/healthz") == "ok"
    assert "web" in raw(cluster, "nodes/node1/proxy/pods")
    assert "served\n" in raw(cluster, "nodes/node1/proxy/containerLogs/default/web/http")
    listed = raw(cluster, "nodes/node1/proxy/logs/")
    [folder] = re.findall(r'href="(default_web_[^"]+)"', listed)
    assert "served\n" in raw(cluster, f"nodes/node1/proxy/logs/{folder}http/0.log")
    config = json.loads(raw(cluster, "nodes/node1/proxy/configz"))
    assert config["kubeletconfig"]["maxPods"] == 110


@pytest.mark.parametrize("way", ["pods/web:8080", "pods/web:http", "services/web:http",
                                 "services/web:80"])  # fmt: skip
def test_pods_and_services_answer_through_the_server(cluster: RealCluster, way: str) -> None:
    page = raw(cluster, f"namespaces/default/{way}/proxy/index.html")
    assert page == f'<a href="/api/v1/namespaces/default/{way}/proxy/next">n</a>\n'


SOCKET = """
import asyncio, sys, aiohttp
async def main():
    async with aiohttp.ClientSession() as session, session.ws_connect(
        sys.argv[1], timeout=aiohttp.ClientWSTimeout(ws_close=0.1)
    ) as socket:
        print(await socket.receive_str())
asyncio.run(main())
"""


def test_a_websocket_to_a_pod_goes_through_kubectl_proxy(cluster: RealCluster) -> None:
    proxy = cluster.kubectl_process(
        "proxy", "--port=8009", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert proxy.stdout is not None
        assert "Starting to serve" in proxy.stdout.readline()
        url = "http://127.0.0.1:8009/api/v1/namespaces/default/pods/web:9000/proxy/"
        done = cluster.bed.server.run(
            BIN / "python", "-c", SOCKET, url, capture_output=True, timeout=20
        )
        assert done.stdout == "hello\n"
    finally:
        cluster.end(proxy)


RAW = r"""
read -r method path rest
while read -r name value && [ "$name" != "$(printf '\r')" ]; do
  [ "$name" = Content-Length: ] && length=$(printf %s "$value" | tr -d '\r')
done
printf 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
for part in first "$method" "$(head -c "${length:-0}" | sha256sum)"; do
  printf '%x\r\n%s\r\n' ${#part} "$part"
  sleep 0.3
done
printf '0\r\n\r\n'
"""


def test_bodies_in_chunks_pass_both_ways_as_they_come(cluster: RealCluster, tmp_path: Path) -> None:
    command = ["nc", "-ll", "-p", "9001", "-e", "sh", "-c", RAW]
    spec = {"terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": IMAGE, "command": command}]}  # fmt: skip
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "raw"}, "spec": spec}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/raw", "--timeout=30s")
    sent = tmp_path / "sent"
    sent.write_bytes(b"some kilobytes\n" * 30_000)
    cluster.kubectl("create", "serviceaccount", "caller")
    cluster.kubectl("create", "clusterrolebinding", "caller", "--clusterrole=cluster-admin",
                    "--serviceaccount=default:caller")  # fmt: skip
    token = cluster.kubectl("create", "token", "caller").strip()
    base = f"https://{cluster.bed.server.ip}:6443/api/v1/namespaces/default/pods/raw:9001/proxy/"
    answer = cluster.curl(
        cluster.bed.server, base, "-k", "-H", f"Authorization: Bearer {token}", "-X", "PUT",
        "-H", "Transfer-Encoding: chunked", "--data-binary", f"@{sent}",
        "-w", " %{time_starttransfer} %{time_total}",
    )  # fmt: skip
    body, began, ended = answer.rsplit(" ", 2)
    assert body == f"firstPUT{hashlib.sha256(sent.read_bytes()).hexdigest()}  -"
    assert float(ended) - float(began) > 0.5


def test_a_scraper_needs_no_more_than_the_right_to_proxy(cluster: RealCluster) -> None:
    cluster.kubectl("create", "serviceaccount", "scraper")
    cluster.kubectl("create", "clusterrole", "scraper", "--verb=get", "--resource=nodes/proxy")
    cluster.kubectl(
        "create", "clusterrolebinding", "scraper",
        "--clusterrole=scraper", "--serviceaccount=default:scraper",
    )  # fmt: skip
    token = cluster.kubectl("create", "token", "scraper").strip()
    url = f"https://{cluster.bed.server.ip}:6443/api/v1/nodes/node1/proxy/metrics/cadvisor"
    ask = ["-k", "-H", f"Authorization: Bearer {token}"]
    assert "container_cpu_usage_seconds_total" in cluster.curl(cluster.bed.server, url, *ask)
    refused = json.loads(cluster.curl(cluster.bed.server, url, *ask, "-X", "POST"))
    assert 'cannot create resource "nodes/proxy"' in refused["message"]


def test_cluster_info_dump_reads_everything(cluster: RealCluster) -> None:
    assert "served" in cluster.kubectl("cluster-info", "dump")


def measured_since_ready(cluster: RealCluster) -> bool:
    """Whether the whole window lies behind the readiness of the pod: autoscalers do not count what
    a pod used to start."""
    [metrics] = cluster.json("podmetrics", "-l", "app=busy")["items"]
    [pod] = cluster.pods("app=busy")
    [ready] = [c for c in pod["status"]["conditions"] if c["type"] == "Ready"]
    ended = datetime.fromisoformat(metrics["timestamp"])
    began = ended - timedelta(seconds=float(metrics["window"].rstrip("s")))
    return began > datetime.fromisoformat(ready["lastTransitionTime"])


def test_an_autoscaler_scales_up_on_real_load(cluster: RealCluster) -> None:
    cluster.wait("a window of work", lambda: measured_since_ready(cluster), 30)
    cluster.kubectl("autoscale", "deployment/busy", "--cpu=50%", "--min=1", "--max=2")
    cluster.wait(
        "a second pod", lambda: cluster.json("deployment", "busy")["spec"]["replicas"] == 2, 40
    )
    metric = cluster.json("hpa", "busy")["status"]["currentMetrics"][0]["resource"]
    assert metric["current"]["averageUtilization"] > 50
