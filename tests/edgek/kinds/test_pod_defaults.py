"""Defaults as upstream's core/v1 gives them; what a user wrote is never replaced."""

import pytest

from edgek.kinds.pod_defaults import default_pod, default_pod_spec
from edgek.kinds.pull_policy import pull_policy_for


def defaulted(container: dict, **spec: object) -> dict:
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [container], **spec}}
    default_pod(pod)
    return pod["spec"]


def test_a_bare_pod_gets_every_default() -> None:
    assert defaulted({"name": "c", "image": "nginx"}) == {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "enableServiceLinks": True,
        "containers": [
            {
                "name": "c",
                "image": "nginx",
                "imagePullPolicy": "Always",
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "resources": {},
            }
        ],
    }


def test_what_is_said_stays() -> None:
    said = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "enableServiceLinks": False,
    }
    spec = defaulted({"name": "c", "imagePullPolicy": "Never", "image": "a"}, **said)
    assert {k: spec[k] for k in said} == said
    assert spec["containers"][0]["imagePullPolicy"] == "Never"


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.29", "IfNotPresent"),
        ("localhost:5000/nginx", "Always"),
        ("localhost:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:" + "0" * 64, "IfNotPresent"),
        ("nginx:latest@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert pull_policy_for(image) == policy


def test_probes_and_ports() -> None:
    probe = {"httpGet": {"port": 80}, "periodSeconds": 3}
    container = {"name": "c", "image": "a:1", "ports": [{"containerPort": 80}]}
    found = defaulted(container | {"livenessProbe": probe})["containers"][0]
    assert found["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert found["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 3,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


def test_requests_come_from_limits_in_pods_but_not_in_templates() -> None:
    def container() -> dict:
        limits = {"cpu": "1", "memory": "1Gi"}
        return {"name": "c", "resources": {"limits": limits, "requests": {"cpu": "500m"}}}

    pod = defaulted(container())["containers"][0]["resources"]
    assert pod["requests"] == {"cpu": "500m", "memory": "1Gi"}
    template = {"containers": [container()]}
    default_pod_spec(template)
    assert template["containers"][0]["resources"]["requests"] == {"cpu": "500m"}
    assert "enableServiceLinks" not in template


def test_host_ports_follow_container_ports_on_the_hosts_network() -> None:
    found = defaulted({"name": "c", "ports": [{"containerPort": 80}]}, hostNetwork=True)
    assert found["containers"][0]["ports"][0]["hostPort"] == 80


def test_both_names_of_the_service_account_agree() -> None:
    assert defaulted({"name": "c"}, serviceAccount="old")["serviceAccountName"] == "old"
    assert defaulted({"name": "c"}, serviceAccountName="new")["serviceAccount"] == "new"


@pytest.mark.parametrize(
    ("volume", "source"),
    [
        ({}, {"emptyDir": {}}),
        ({"secret": {"secretName": "s"}}, {"secret": {"secretName": "s", "defaultMode": 420}}),
        ({"configMap": {"name": "c"}}, {"configMap": {"name": "c", "defaultMode": 420}}),
        ({"hostPath": {"path": "/x"}}, {"hostPath": {"path": "/x", "type": ""}}),
        (
            {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            {
                "projected": {
                    "defaultMode": 420,
                    "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
                }
            },
        ),
        (
            {"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
            {
                "downwardAPI": {
                    "defaultMode": 420,
                    "items": [
                        {
                            "path": "n",
                            "fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"},
                        }
                    ],
                }
            },
        ),
    ],
)
def test_volumes(volume: dict, source: dict) -> None:
    spec = defaulted({"name": "c"}, volumes=[{"name": "v", **volume}])
    assert spec["volumes"] == [{"name": "v", **source}]
