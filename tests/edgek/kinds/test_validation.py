"""Mistakes in the other kinds, told at their field in upstream's words."""

import base64
from typing import Any

import pytest

from edgek.api.validation import FieldErrors
from tests.support.mistakes import KINDS, told

ROLLING = ("spec", "strategy", "rollingUpdate")
UPDATE = ("spec", "updateStrategy", "rollingUpdate")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("plural", "path", "value", "sentence"),
    [
        (
            "deployments",
            ("spec", "selector", "matchLabels"),
            {"app": "x"},
            'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not '
            "match template `labels`",
        ),
        ("deployments", ("spec", "selector"), None, "spec.selector: Required value"),
        ("deployments", ("spec", "selector"), {}, "empty selector is invalid for deployment"),
        ("deployments", ("spec", "replicas"), -1, "must be greater than or equal to 0"),
        ("deployments", ("spec", "progressDeadlineSeconds"), 0, "greater than minReadySeconds"),
        ("deployments", (*ROLLING, "maxSurge"), "a", "a valid percent string must be"),
        ("deployments", (*ROLLING, "maxUnavailable"), "101%", "must not be greater than 100%"),
        ("deployments", ("spec", "strategy", "type"), "Recreate", "may not be specified when"),
        ("deployments", ("spec", "strategy", "type"), "Slow", "Unsupported value"),
        (
            "deployments",
            ("spec", "template", "spec", "restartPolicy"),
            "Never",
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: '
            '"Always"',
        ),
        (
            "replicasets",
            ("spec", "template", "spec", "activeDeadlineSeconds"),
            5,
            "activeDeadlineSeconds in ReplicaSet is not Supported",
        ),
        ("replicasets", ("status", "readyReplicas"), -1, "greater than or equal to 0"),
        ("daemonsets", (*UPDATE, "maxSurge"), 1, "may not be set when maxUnavailable is non-zero"),
        ("daemonsets", (*UPDATE, "maxUnavailable"), 0, "cannot be 0 when maxSurge is 0"),
        ("daemonsets", ("spec", "template", "spec", "containers"), [], "containers: Required"),
        ("services", ("spec", "ports"), [], "spec.ports: Required value"),
        ("services", ("spec", "type"), "Magic", "spec.type: Unsupported value"),
        ("services", ("spec", "ports", 0, "port"), 0, "must be between 1 and 65535, inclusive"),
        ("services", ("spec", "ports", 0, "targetPort"), "no-letters-", "must not begin or end"),
        ("services", ("spec", "ports", 0, "nodePort"), 30000, "may not be used when `type` is"),
        ("services", ("spec", "externalTrafficPolicy"), "Local", "externally-accessible services"),
        ("services", ("spec", "clusterIP"), "10.0.0", "must be a valid IP address"),
        ("services", ("spec", "sessionAffinity"), "Cookie", "Unsupported value"),
        ("services", ("spec", "selector"), {"a b": "c"}, "spec.selector: Invalid value"),
        ("configmaps", ("data",), {"a/b": "c"}, "a valid config key must consist of"),
        ("configmaps", ("data",), {"..": "c"}, "must not be '..'"),
        ("configmaps", ("data",), {"a": "x" * 2**20, "b": "y"}, "Too long: may not be more than"),
        ("secrets", ("type",), "kubernetes.io/tls", "data[tls.crt]: Required value"),
        ("secrets", ("type",), "kubernetes.io/basic-auth", "data[username]: Required value"),
        ("secrets", ("type",), "kubernetes.io/ssh-auth", "data[ssh-privatekey]: Required value"),
        (
            "secrets",
            ("type",),
            "kubernetes.io/service-account-token",
            "metadata.annotations[kubernetes.io/service-account.name]: Required value",
        ),
        ("secrets", ("data",), {"a": "A" * 2**21}, "Too long: may not be more than 1048576"),
        ("leases", ("spec", "leaseDurationSeconds"), 0, "must be greater than 0"),
        ("leases", ("spec", "leaseTransitions"), -1, "greater than or equal to 0"),
        ("events", ("involvedObject", "namespace"), "other", "does not match event.namespace"),
        ("endpoints", ("subsets", 0, "addresses"), [], "must specify `addresses` or"),
        ("endpoints", ("subsets", 0, "addresses", 0, "ip"), "127.0.0.1", "loopback range"),
        ("endpoints", ("subsets", 0, "addresses", 0, "ip"), "x", "must be a valid IP address"),
        ("endpointslices", ("addressType",), "IPv6", "must be an IPv6 address"),
        ("endpointslices", ("endpoints", 0, "addresses"), [], "must contain at least 1 address"),
        ("endpointslices", ("ports", 0, "name"), "A", "a lowercase RFC 1123 label"),
        ("nodes", ("spec", "taints"), [{"key": "a"}], "spec.taints[0].effect: Required value"),
        (
            "nodes",
            ("spec", "taints"),
            [{"key": "a", "effect": "NoSchedule"}] * 2,
            'spec.taints[1]: Duplicate value: {"key":"a","effect":"NoSchedule"}',
        ),
        ("nodes", ("spec", "podCIDRs"), ["10.0.0.1/24"], "must be a valid CIDR value"),
        ("namespaces", ("spec", "finalizers"), ["mine"], "neither a standard finalizer name"),
        ("roles", ("rules", 0, "verbs"), [], "verbs must contain at least one value"),
        ("roles", ("rules", 0, "apiGroups"), [], "resource rules must supply at least one api"),
        ("roles", ("rules", 0, "resources"), [], "resource rules must supply at least one res"),
        ("roles", ("rules", 0, "nonResourceURLs"), ["/x"], "namespaced rules cannot apply to"),
        ("clusterroles", ("rules", 0, "resources"), ["pods"], "rules cannot apply to both"),
        ("rolebindings", ("roleRef", "kind"), "Pod", 'values: "ClusterRole", "Role"'),
        ("rolebindings", ("subjects", 0, "kind"), "Pod", '"Group", "ServiceAccount", "User"'),
        ("clusterrolebindings", ("roleRef", "kind"), "Role", 'values: "ClusterRole"'),
        ("clusterrolebindings", ("subjects", 0, "kind"), "ServiceAccount", "Unsupported value"),
        ("controllerrevisions", ("data",), None, "data is mandatory"),
        ("certificatesigningrequests", ("spec", "request"), b64("x"), "PEM block type must be"),
        ("certificatesigningrequests", ("spec", "signerName"), "x", "a fully qualified domain"),
        ("certificatesigningrequests", ("spec", "usages"), ["magic"], "Unsupported value"),
        ("certificatesigningrequests", ("spec", "expirationSeconds"), 5, "less than 600 seconds"),
        (
            "certificatesigningrequests",
            ("status", "conditions"),
            [{"type": t, "status": "True"} for t in ("Approved", "Denied")],
            "mutually exclusive",
        ),
    ],
)
def test_a_mistake_is_told_at_its_field(
    plural: str, path: tuple, value: Any, sentence: str
) -> None:
    found = told(plural, (path, value))
    assert any(sentence in text for text in found), found


def test_a_rollout_can_always_move() -> None:
    found = told("deployments", ((*ROLLING, "maxSurge"), 0), ((*ROLLING, "maxUnavailable"), "0%"))
    assert found == [
        'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when '
        "`maxSurge` is 0"
    ]


def test_secret_contents_are_not_shown_in_errors() -> None:
    kind = ("type",), "kubernetes.io/dockerconfigjson"
    data = ("data",), {".dockerconfigjson": b64("hunter2")}
    (text,) = told("secrets", kind, data)
    assert "hunter2" not in text
    assert b64("hunter2") not in text


def test_string_data_is_folded_into_data() -> None:
    secret = {"metadata": {}, "stringData": {"a": "new", "b": "x"}, "data": {"a": b64("old")}}
    KINDS["secrets"].default(secret)
    assert secret["data"] == {"a": b64("new"), "b": b64("x")}
    assert "stringData" not in secret
    assert secret["type"] == "Opaque"


def test_services_of_many_ports_name_them_and_repeat_none() -> None:
    ports = [{"port": 80, "protocol": "TCP", "targetPort": 80}] * 2
    found = told("services", (("spec", "ports"), ports))
    assert "spec.ports[0].name: Required value" in found
    assert 'spec.ports[1]: Duplicate value: {"port":80,"protocol":"TCP"}' in found


def test_an_external_name_needs_a_name_and_no_ports() -> None:
    kind = ("spec", "type"), "ExternalName"
    rest = [(("spec", "ports"), []), (("spec", "internalTrafficPolicy"), None)]
    assert told("services", kind, *rest) == ["spec.externalName: Required value"]
    assert told("services", kind, *rest, (("spec", "externalName"), "example.com.")) == []


def test_a_namespace_carries_its_name_and_its_finalizer() -> None:
    namespace = {"metadata": {"name": "shop"}, "status": {"phase": "Terminating"}}
    KINDS["namespaces"].prepare(namespace, None)
    assert namespace["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}
    assert namespace["spec"] == {"finalizers": ["kubernetes"]}
    assert namespace["status"] == {"phase": "Active"}


def test_a_node_registers_with_its_status_and_keeps_it_later() -> None:
    node = {"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "4"}}}
    KINDS["nodes"].default(node)
    KINDS["nodes"].prepare(node, None)
    assert node["status"]["allocatable"] == {"cpu": "4"}
    forged = {"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "400"}}}
    KINDS["nodes"].prepare(forged, node)
    assert forged["status"] == node["status"]


def test_signers_cannot_approve() -> None:
    kind = KINDS["certificatesigningrequests"]
    old = {"spec": {}, "status": {}}
    approved = [{"type": "Approved", "status": "True"}]
    new = {"spec": {}, "status": {"certificate": "x", "conditions": approved}}
    kind.prepare_status(new, old)
    assert new["status"] == {"certificate": "x"}


def test_a_decision_is_final() -> None:
    kind = KINDS["certificatesigningrequests"]
    old = {"status": {"conditions": [{"type": "Denied", "status": "True"}]}}
    errors = FieldErrors()
    kind.validate_update({"status": {"conditions": []}}, old, errors)
    assert [e.field for e in errors] == ["status.conditions"]


@pytest.mark.parametrize(
    ("service", "external", "ports"),
    [
        ({"type": "ClusterIP", "ports": []}, "<none>", "<none>"),
        ({"type": "ClusterIP", "externalIPs": ["1.2.3.4"]}, "1.2.3.4", "<none>"),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]},
            "<none>",
            "80:30080/TCP",
        ),
        (
            {"type": "LoadBalancer", "ports": [{"port": 53, "protocol": "UDP"}]},
            "<pending>",
            "53/UDP",
        ),
        ({"type": "ExternalName", "externalName": "a.b"}, "a.b", "<none>"),
    ],
)
def test_service_cells(service: dict, external: str, ports: str) -> None:
    cells = {c.name: c.read({"metadata": {}, "spec": service}) for c in KINDS["services"].columns}
    assert (cells["External-IP"], cells["Port(s)"]) == (external, ports)
    assert cells["Cluster-IP"] == "<none>"


def test_node_cells() -> None:
    node = {
        "metadata": {
            "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "edge"}
        },
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "Unknown"}],
            "addresses": [{"type": "InternalIP", "address": "192.168.1.4"}],
        },
    }
    cells = {c.name: c.read(node) for c in KINDS["nodes"].columns}
    assert cells["Status"] == "NotReady,SchedulingDisabled"
    assert cells["Roles"] == "control-plane,edge"
    assert cells["Internal-IP"] == "192.168.1.4"
    assert cells["External-IP"] == "<none>"
    assert cells["OS-Image"] == "<unknown>"


def test_long_lists_of_endpoints_are_cut() -> None:
    addresses = [{"ip": f"10.0.0.{n}"} for n in range(1, 6)]
    endpoints = {"metadata": {}, "subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]}
    cells = {c.name: c.read(endpoints) for c in KINDS["endpoints"].columns}
    assert cells["Endpoints"] == "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more..."


@pytest.mark.parametrize(
    ("plural", "obj", "path", "value"),
    [
        ("pods", {"spec": {}}, "spec.hostNetwork", "false"),
        ("pods", {"spec": {"hostNetwork": True}}, "spec.hostNetwork", "true"),
        ("nodes", {"spec": {}}, "spec.unschedulable", "false"),
        ("events", {"source": {"component": "kubelet"}}, "source", "kubelet"),
        ("events", {"reportingComponent": "scheduler"}, "source", "scheduler"),
        ("replicasets", {}, "status.replicas", "0"),
        ("services", {"spec": {"type": "NodePort"}}, "spec.type", "NodePort"),
    ],
)
def test_fields_to_select_by(plural: str, obj: dict, path: str, value: str) -> None:
    assert path in KINDS[plural].selectable
    assert KINDS[plural].read_field(obj, path) == value
