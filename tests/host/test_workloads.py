"""Real kubectl on two real nodes: workloads from their making to their end."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import missing_need

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]
IMAGE = "docker.io/library/busybox:1.36"
SLEEPER = ["sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("workloads"), nodes=2) as up:
        yield up


def template(name: str, command: list[str], **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": IMAGE, "command": command}
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 5, **spec},
    }


def workload(kind: str, name: str, command: list[str], **spec: Any) -> str:
    body = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": template(name, command),
            **spec,
        },
    }
    return json.dumps(body)


def alive(cluster: RealCluster, name: str) -> list[Any]:
    pods = cluster.pods(f"app={name}")
    return [p for p in pods if not p["metadata"].get("deletionTimestamp")]


def test_a_deployment_is_rolled_out_back_and_scaled(cluster: RealCluster) -> None:
    kubectl = cluster.kubectl
    kubectl("apply", "-f", "-", stdin=workload("Deployment", "web", SLEEPER, replicas=2))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("set", "env", "deployment/web", "COLOUR=green")
    kubectl("rollout", "status", "deployment/web", "--timeout=90s")
    assert "2 " in kubectl("rollout", "history", "deployment/web")
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=90s")
    name = alive(cluster, "web")[0]["metadata"]["name"]
    assert "COLOUR" not in kubectl("exec", name, "--", "env")
    kubectl("rollout", "restart", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=90s")
    kubectl("scale", "deployment/web", "--replicas=3")
    kubectl("wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=60s")
    kubectl("expose", "deployment/web", "--port=80")
    kubectl("autoscale", "deployment/web", "--min=1", "--max=3", "--cpu=80%")
    kubectl("delete", "hpa/web", "service/web", "deployment/web", "--cascade=foreground")
    assert not cluster.pods("app=web")


def test_a_job_runs_to_its_end_and_says_what_it_said(cluster: RealCluster) -> None:
    kubectl = cluster.kubectl
    kubectl("create", "job", "once", f"--image={IMAGE}", "--", "echo", "done and dusted")
    kubectl("wait", "job/once", "--for=condition=Complete", "--timeout=60s")
    assert "done and dusted" in kubectl("logs", "job/once")
    kubectl("delete", "job", "once")
    kubectl("wait", "pod", "-l=job-name=once", "--for=delete", "--timeout=30s")


def test_an_indexed_job_gives_each_pod_its_number(cluster: RealCluster) -> None:
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "many"},
        "spec": {
            "completions": 3,
            "parallelism": 2,
            "completionMode": "Indexed",
            "template": template(
                "many", ["sh", "-c", "echo part $JOB_COMPLETION_INDEX"], restartPolicy="Never"
            ),
        },
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    cluster.kubectl("wait", "job/many", "--for=condition=Complete", "--timeout=90s")
    assert cluster.json("job", "many")["status"]["completedIndexes"] == "0-2"
    said = cluster.kubectl("logs", "-l=job-name=many", "--prefix=false")
    assert sorted(said.split("\n")[:3]) == ["part 0", "part 1", "part 2"]
    cluster.kubectl("delete", "job", "many")


def test_a_job_that_fails_gives_up(cluster: RealCluster) -> None:
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "broken"},
        "spec": {
            "backoffLimit": 0,
            "template": template("broken", ["sh", "-c", "exit 3"], restartPolicy="Never"),
        },
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    cluster.kubectl("wait", "job/broken", "--for=condition=Failed", "--timeout=60s")
    [condition] = [
        c for c in cluster.json("job", "broken")["status"]["conditions"] if c["type"] == "Failed"
    ]
    assert condition["reason"] == "BackoffLimitExceeded"
    cluster.kubectl("delete", "job", "broken")


def test_a_cronjob_makes_jobs_on_demand_and_by_the_clock(cluster: RealCluster) -> None:
    kubectl = cluster.kubectl
    kubectl("create", "cronjob", "tick", f"--image={IMAGE}", "--schedule=* * * * *", "--", "true")
    kubectl("create", "job", "by-hand", "--from=cronjob/tick")
    kubectl("wait", "job/by-hand", "--for=condition=Complete", "--timeout=60s")
    kubectl("wait", "cronjob/tick", "--for=jsonpath={.status.lastScheduleTime}", "--timeout=90s")
    kubectl("delete", "cronjob", "tick", "--cascade=foreground", "--timeout=60s")


def test_a_stateful_set_has_names_and_volumes_that_outlive_their_pods(
    cluster: RealCluster,
) -> None:
    kubectl = cluster.kubectl
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "db"},
        "spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 80}]},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(service))
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    claims = [{"metadata": {"name": "data"}, "spec": asked}]
    made = json.loads(workload("StatefulSet", "db", SLEEPER, replicas=2, serviceName="db"))
    made["spec"]["volumeClaimTemplates"] = claims
    (container,) = made["spec"]["template"]["spec"]["containers"]
    container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    kubectl("apply", "-f", "-", stdin=json.dumps(made))
    kubectl("rollout", "status", "statefulset/db", "--timeout=90s")
    assert kubectl("exec", "db-1", "--", "hostname").strip() == "db-1"
    kubectl("exec", "db-1", "--", "touch", "/data/mine")
    found = kubectl("exec", "db-0", "--", "nslookup", "db-1.db.default.svc.cluster.local")
    address = cluster.json("pod", "db-1")["status"]["podIP"]
    assert address in found
    before = cluster.json("pod", "db-1")["metadata"]["uid"]
    kubectl("delete", "pod", "db-1")
    cluster.wait(
        "db-1 is there again",
        lambda: cluster._try("get", "pod", "db-1") and (
            cluster.json("pod", "db-1")["metadata"]["uid"] != before
        ),
    )  # fmt: skip
    kubectl("rollout", "status", "statefulset/db", "--timeout=90s")
    assert kubectl("exec", "db-1", "--", "ls", "/data") == "mine\n"
    kubectl("scale", "statefulset/db", "--replicas=1")
    kubectl("wait", "pod/db-1", "--for=delete", "--timeout=60s")
    kubectl("delete", "statefulset/db", "service/db", "--cascade=foreground", "--timeout=60s")
    kubectl("delete", "pvc/data-db-0", "pvc/data-db-1")


def test_a_node_is_drained_as_a_disruption_budget_allows(cluster: RealCluster) -> None:
    kubectl = cluster.kubectl
    kubectl("apply", "-f", "-", stdin=workload("Deployment", "kept", SLEEPER, replicas=2))
    kubectl("create", "poddisruptionbudget", "kept", "--selector=app=kept", "--min-available=1")
    kubectl("rollout", "status", "deployment/kept", "--timeout=60s")
    kubectl("wait", "pdb/kept", "--for=jsonpath={.status.disruptionsAllowed}=1", "--timeout=30s")
    node = cluster.pods("app=kept")[0]["spec"]["nodeName"]
    kubectl("taint", "node", node, "odd=yes:PreferNoSchedule")
    drained = kubectl(
        "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=90s"
    )
    assert "drained" in drained
    assert "SchedulingDisabled" in kubectl("get", "node", node)
    kubectl("rollout", "status", "deployment/kept", "--timeout=90s")
    left = alive(cluster, "kept")
    assert node not in {p["spec"]["nodeName"] for p in left}
    kubectl("patch", "pdb", "kept", "--type=merge", "-p", '{"spec":{"minAvailable":2}}')
    kubectl("wait", "pdb/kept", "--for=jsonpath={.status.disruptionsAllowed}=0", "--timeout=30s")
    other = left[0]["spec"]["nodeName"]
    refused = kubectl("drain", other, "--ignore-daemonsets", "--timeout=8s", ok=False)
    assert "Cannot evict pod as it would violate the pod's disruption budget" in refused
    kubectl("uncordon", node, other)
    kubectl("taint", "node", node, "odd-")
    kubectl("delete", "deployment/kept", "pdb/kept")


def test_a_pod_runs_and_ends(cluster: RealCluster) -> None:
    said = cluster.kubectl(
        "run", "hi", f"--image={IMAGE}", "--restart=Never", "--attach", "--rm", "--quiet", "--",
        "echo", "hello there", timeout=90,
    )  # fmt: skip
    assert "hello there" in said
