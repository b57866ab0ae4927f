"""Each way of writing a pod wrong is told at its field, in upstream's words."""

from collections.abc import Callable
from typing import Any

import pytest

from edgek.api.meta import deep_copy
from edgek.api.validation import FieldErrors
from edgek.kinds import POD
from edgek.kinds.pod import grace_seconds

FULL = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "containers": [
            {
                "name": "web",
                "image": "nginx:1",
                "ports": [{"name": "http", "containerPort": 80}],
                "env": [
                    {"name": "A.b-C", "value": "x"},
                    {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                    {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}},
                    {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                    {"name": "M", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
                ],
                "envFrom": [{"configMapRef": {"name": "c"}}],
                "volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": "a/b"}],
                "livenessProbe": {"httpGet": {"port": "http"}},
                "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}},
            }
        ],
        "initContainers": [{"name": "init", "image": "busybox:1"}],
        "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}],
        "tolerations": [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}],
        "nodeSelector": {"kubernetes.io/arch": "arm64"},
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
                    ]
                }
            }
        },
    },
}
TERMS = (
    "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution",
    "nodeSelectorTerms",
)  # fmt: skip
C = ("spec", "containers", 0)
V = ("spec", "volumes", 0)
HTTP = {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}}


def full() -> dict:
    pod = deep_copy(FULL)
    POD.default(pod)
    POD.prepare(pod, None)
    return pod


def put(pod: dict, path: tuple, value: Any) -> dict:
    inner: Any = pod
    for step in path[:-1]:
        inner = inner[step]
    if value is None:
        inner.pop(path[-1])
    else:
        inner[path[-1]] = value
    return pod


def told(pod: dict) -> list[str]:
    errors = FieldErrors()
    POD.validate(pod, errors)
    return [str(e) for e in errors]


def test_a_rich_pod_is_valid() -> None:
    assert told(full()) == []


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("spec", "containers"), [], "spec.containers: Required value"),
        ((*C, "name"), "Web", 'spec.containers[0].name: Invalid value: "Web": a lowercase RFC'),
        ((*C, "name"), "", "spec.containers[0].name: Required value"),
        ((*C, "name"), "init", 'spec.initContainers[0].name: Duplicate value: "init"'),
        ((*C, "image"), "", "spec.containers[0].image: Required value"),
        ((*C, "image"), " a", "must not have leading or trailing whitespace"),
        (
            (*C, "imagePullPolicy"),
            "Sometimes",
            'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: '
            '"Always", "IfNotPresent", "Never"',
        ),
        (
            (*C, "ports", 0, "containerPort"),
            70000,
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 "
            "and 65535, inclusive",
        ),
        ((*C, "ports", 0, "name"), "80", "must contain at least one letter (a-z)"),
        ((*C, "ports", 0, "name"), "a" * 16, "must be no more than 15 bytes"),
        ((*C, "ports", 0, "protocol"), "ICMP", 'supported values: "SCTP", "TCP", "UDP"'),
        ((*C, "env", 0, "name"), "A=B", "spec.containers[0].env[0].name: Invalid value"),
        ((*C, "env", 0, "name"), "", "spec.containers[0].env[0].name: Required value"),
        ((*C, "env", 1, "value"), "x", "may not be specified when `value` is not empty"),
        ((*C, "env", 1, "valueFrom"), {}, "must specify one of: `fieldRef`"),
        (
            (*C, "env", 1, "valueFrom", "fieldRef", "fieldPath"),
            "spec.replicas",
            "error converting fieldPath: field label not supported: spec.replicas",
        ),
        ((*C, "env", 4, "valueFrom", "resourceFieldRef", "resource"), "x", "Unsupported value"),
        ((*C, "envFrom", 0), {}, "must specify one of: `configMapRef` or `secretRef`"),
        (
            (*C, "volumeMounts", 0, "name"),
            "other",
            'spec.containers[0].volumeMounts[0].name: Not found: "other"',
        ),
        ((*C, "volumeMounts", 0, "mountPath"), "", "volumeMounts[0].mountPath: Required value"),
        ((*C, "volumeMounts", 0, "subPath"), "/a", "must be a relative path"),
        ((*C, "volumeMounts", 0, "subPath"), "a/../b", "must not contain '..'"),
        (
            (*C, "resources", "requests", "cpu"),
            "2",
            'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal '
            "to cpu limit of 1",
        ),
        (
            (*C, "resources", "requests", "cpu"),
            "-1",
            'spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than '
            "or equal to 0",
        ),
        ((*C, "resources", "limits", "cores"), "1", "must be a standard resource for containers"),
        (
            (*C, "resources", "requests", "example.com/gpu"),
            "1",
            "Limit must be set for non overcommitable resources",
        ),
        ((*C, "livenessProbe", "httpGet"), None, "must specify a handler type"),
        ((*C, "livenessProbe", "exec"), {"command": ["a"]}, "may not specify more than 1 handler"),
        ((*C, "livenessProbe", "successThreshold"), 2, "must be 1"),
        ((*C, "livenessProbe", "periodSeconds"), -1, "must be greater than or equal to 0"),
        ((*C, "livenessProbe", "httpGet", "port"), "", "httpGet.port: Invalid value"),
        (
            ("spec", "initContainers", 0, "livenessProbe"),
            HTTP,
            "may not be set for init containers without restartPolicy=Always",
        ),
        ((*V, "name"), "Data", 'spec.volumes[0].name: Invalid value: "Data"'),
        ((*V, "emptyDir"), None, "spec.volumes[0]: Required value: must specify a volume type"),
        ((*V, "hostPath"), {"path": "/"}, "may not specify more than 1 volume type"),
        ((*V, "emptyDir", "sizeLimit"), "lots", "quantities must match the regular expression"),
        (
            ("spec", "restartPolicy"),
            "Maybe",
            'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "Never", '
            '"OnFailure"',
        ),
        (("spec", "dnsPolicy"), "None", "must provide `dnsConfig` when `dnsPolicy` is None"),
        (("spec", "hostname"), "a.b", "spec.hostname: Invalid value"),
        (("spec", "activeDeadlineSeconds"), 0, "must be between 1 and 2147483647, inclusive"),
        (("spec", "nodeSelector"), {"a b": "c"}, "spec.nodeSelector: Invalid value"),
        (("spec", "tolerations", 0, "operator"), "Equal", "operator must be Exists when `key`"),
        (("spec", "tolerations", 0, "effect"), "NoSchedule", "effect must be 'NoExecute' when"),
        (("spec", "tolerations", 0, "value"), "x", "value must be empty when `operator` is"),
        (TERMS, [], "must have at least one node selector term"),
        ((*TERMS, 0, "matchExpressions", 0, "values"), [], "must be specified when `operator` is"),
        ((*TERMS, 0, "matchExpressions", 0, "operator"), "Like", "not a valid selector operator"),
        (("spec", "securityContext", "runAsUser"), -1, "must be between 0 and 2147483647"),
        (
            (*C, "securityContext"),
            {"privileged": True, "allowPrivilegeEscalation": False},
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        ),
        (("spec", "hostAliases"), [{"ip": "localhost"}], "must be a valid IP address"),
    ],
)
def test_a_mistake_is_told_at_its_field(path: tuple, value: Any, sentence: str) -> None:
    found = told(put(full(), path, value))
    assert any(sentence in text for text in found), found


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({}, "spec.volumes[0].ephemeral.volumeClaimTemplate: Required value"),
        ({"volumeClaimTemplate": {"spec": {}}}, "volumeClaimTemplate.spec.accessModes: Required"),
        ({"volumeClaimTemplate": {"metadata": {"name": "x"}}}, "name: Forbidden: cannot be set"),
    ],
)  # fmt: skip
def test_an_ephemeral_volume_is_a_claim(source: Any, sentence: str) -> None:
    pod = full()
    pod["spec"]["volumes"][0] = {"name": "data", "ephemeral": source}
    errors = FieldErrors()
    POD.validate(pod, errors)
    assert any(sentence in str(e) for e in errors), list(errors)


def test_two_sources_of_one_volume_do_not_write_the_same_file() -> None:
    def projected(*sources: Any) -> list[str]:
        pod = full()
        pod["spec"]["volumes"][0] = {"name": "data", "projected": {"sources": list(sources)}}
        return [text for text in told(pod) if "duplicate" in text]

    items = [{"key": "k", "path": "x"}]
    conf, secret = ({kind: {"name": kind[:1], "items": items}} for kind in ("configMap", "secret"))
    token = {"serviceAccountToken": {"path": "x", "expirationSeconds": 3600}}
    where = "spec.volumes[0].projected: Invalid value: "
    assert projected(conf, secret) == [f'{where}"s": conflicting duplicate paths']
    assert projected(conf, token) == [f'{where}"x": conflicting duplicate paths']
    assert projected(token, {"configMap": {"name": "c"}}) == []


@pytest.mark.parametrize(
    ("claims", "used", "sentence"),
    [
        ([{}], [], "spec.resourceClaims[0].name: Required value"),
        ([{"name": "a"}], [], "must specify one of: `resourceClaimName`, "),
        ([{"name": "a", "resourceClaimName": "x", "resourceClaimTemplateName": "y"}], [],
         "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"),
        ([{"name": "a", "resourceClaimName": "x"}] * 2, [], '[1].name: Duplicate value: "a"'),
        ([], [{"name": "a"}], 'containers[0].resources.claims[0]: Not found: "a": must be one of'
         " the names in pod.spec.resourceClaims which is empty"),
        ([{"name": "b", "resourceClaimName": "x"}], [{"name": "a"}], "resourceClaims: b"),
        ([{"name": "a", "resourceClaimName": "x"}], [{"name": "a"}] * 2, "[1]: Duplicate value"),
    ],
)  # fmt: skip
def test_claims_are_the_pods(claims: Any, used: Any, sentence: str) -> None:
    pod = full()
    pod["spec"]["resourceClaims"] = claims
    pod["spec"]["containers"][0]["resources"]["claims"] = used
    errors = FieldErrors()
    POD.validate(pod, errors)
    assert any(sentence in str(e) for e in errors), list(errors)


@pytest.mark.parametrize(
    ("name", "more", "sentence"),
    [
        ("", {}, "sysctls[0].name: Required value"),
        ("../etc/passwd", {}, "must have at most 253 characters and match regex"),
        ("net..ipv4", {}, "must have at most 253 characters and match regex"),
        ("net.ipv4.x", {"hostNetwork": True}, "may not be specified when 'hostNetwork' is true"),
        ("net/ipv4/x", {"hostNetwork": True}, "may not be specified when 'hostNetwork' is true"),
        ("kernel.shmmax", {"hostIPC": True}, "may not be specified when 'hostIPC' is true"),
        ("net.ipv4.conf/eth0", {}, ""),
    ],
)
def test_sysctls_are_the_pods_own(name: str, more: Any, sentence: str) -> None:
    pod = full()
    pod["spec"]["securityContext"] = {"sysctls": [{"name": name, "value": "1"}]}
    pod["spec"] |= more
    errors = FieldErrors()
    POD.validate(pod, errors)
    told = [str(e) for e in errors if "sysctls" in str(e)]
    assert (sentence in told[0]) if sentence else not told


@pytest.mark.parametrize(
    ("policy", "rule", "sentence"),
    [
        (None, {}, "restartPolicy: Required value: must specify restartPolicy when restart rules"),
        ("Never", {}, 'restartPolicyRules[0].action: Unsupported value: ""'),
        ("Never", {"action": "Restart"}, "exitCodes: Required value: must be specified"),
        ("Never", {"exitCodes": {"values": [1]}}, 'exitCodes.operator: Unsupported value: ""'),
        ("Some", {}, 'spec.containers[0].restartPolicy: Unsupported value: "Some"'),
    ],
)
def test_a_containers_own_restarts(policy: str | None, rule: Any, sentence: str) -> None:
    pod = full()
    pod["spec"]["containers"][0] |= {"restartPolicy": policy, "restartPolicyRules": [rule]}
    errors = FieldErrors()
    POD.validate(pod, errors)
    assert any(sentence in str(e) for e in errors), list(errors)


def test_a_pod_is_for_a_known_system() -> None:
    for os, sentence in (({}, "spec.os.name: Required value: cannot be empty"),
                         ({"name": "plan9"}, 'supported values: "linux", "windows"')):  # fmt: skip
        pod = full()
        pod["spec"]["os"] = os
        errors = FieldErrors()
        POD.validate(pod, errors)
        assert any(sentence in str(e) for e in errors), list(errors)


def test_port_names_ports_and_mounts_are_not_given_twice() -> None:
    pod = full()
    container = pod["spec"]["containers"][0]
    container["ports"] = [
        {"name": "a", "containerPort": 1, "hostPort": 80, "protocol": "TCP"},
        {"name": "a", "containerPort": 2, "hostPort": 80, "protocol": "TCP"},
        {"name": "b", "containerPort": 3, "hostPort": 80, "protocol": "UDP"},
    ]
    container["volumeMounts"] *= 2
    found = told(pod)
    assert 'spec.containers[0].ports[1].name: Duplicate value: "a"' in found
    assert 'spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//80"' in found
    assert not any("ports[2]" in text for text in found)
    assert any("must be unique" in text for text in found)


def test_ports_on_the_hosts_network_are_the_hosts() -> None:
    pod = full()
    pod["spec"]["hostNetwork"] = True
    pod["spec"]["containers"][0]["ports"][0]["hostPort"] = 8080
    assert any("must match `hostPort` when `hostNetwork` is true" in text for text in told(pod))
    # A DaemonSet's template need not say it; its pods have it by default.
    del pod["spec"]["containers"][0]["ports"][0]["hostPort"]
    assert not any("hostPort" in text for text in told(pod))


def test_all_mistakes_are_told_at_once() -> None:
    pod = put(put(full(), (*C, "image"), ""), ("spec", "restartPolicy"), "x")
    assert len(told(pod)) == 2


def change(act: Callable[[dict], Any]) -> list[str]:
    old = full()
    old["spec"]["nodeName"] = "n1"
    old["spec"]["activeDeadlineSeconds"] = 100
    new = deep_copy(old)
    act(new["spec"])
    errors = FieldErrors()
    POD.validate_update(new, old, errors)
    return [str(e) for e in errors]


@pytest.mark.parametrize(
    "act",
    [
        lambda spec: spec["containers"][0].update(image="nginx:2"),
        lambda spec: spec["initContainers"][0].update(image="busybox:2"),
        lambda spec: spec.update(activeDeadlineSeconds=50),
        lambda spec: spec["tolerations"].append({"key": "a", "operator": "Exists"}),
        lambda spec: spec["tolerations"][0].update(tolerationSeconds=5),
        lambda spec: spec.update(hostAliases=[], readinessGates=None),
    ],
)
def test_these_may_change_while_it_runs(act: Callable[[dict], Any]) -> None:
    assert change(act) == []


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda spec: spec.update(nodeName="n2"), "spec: Forbidden: pod updates may not change"),
        (lambda spec: spec["containers"][0].update(command=["x"]), "pod updates may not change"),
        (lambda spec: spec["containers"].append({}), "may not add or remove containers"),
        (lambda spec: spec.update(activeDeadlineSeconds=200), "less than or equal to previous"),
        (lambda spec: spec.pop("activeDeadlineSeconds"), "must not update from a positive integer"),
        (lambda spec: spec["tolerations"].clear(), "existing toleration can not be modified"),
        (lambda spec: spec.update(terminationGracePeriodSeconds=1), "pod updates may not change"),
        (lambda spec: spec.update(schedulingGates=[{"name": "a.b/c"}]), "only deletion is allowed"),
    ],
)
def test_all_else_is_refused(act: Callable[[dict], Any], sentence: str) -> None:
    assert any(sentence in text for text in change(act)), change(act)


def narrowed(act: Callable[[dict], Any]) -> list[str]:
    """What is told about a change of a pod that a scheduling gate holds back."""
    old = full()
    old["spec"]["schedulingGates"] = [{"name": "example.com/wait"}]
    new = deep_copy(old)
    act(new["spec"])
    errors = FieldErrors()
    POD.validate_update(new, old, errors)
    return [str(e) for e in errors]


def terms_of(spec: dict) -> Any:
    found: Any = {"spec": spec}
    for step in TERMS:
        found = found[step]
    return found


MORE = {"key": "c", "operator": "Exists"}


@pytest.mark.parametrize(
    "act",
    [
        lambda spec: spec["schedulingGates"].clear(),
        lambda spec: spec["nodeSelector"].update(disk="ssd"),
        lambda spec: terms_of(spec)[0]["matchExpressions"].append(MORE),
        lambda spec: spec["affinity"]["nodeAffinity"].update(
            preferredDuringSchedulingIgnoredDuringExecution=[{"weight": 1, "preference": {}}]
        ),
    ],
)
def test_a_gated_pods_place_can_be_narrowed(act: Callable[[dict], Any]) -> None:
    assert narrowed(act) == []


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda spec: spec["nodeSelector"].clear(), "only additions to spec.nodeSelector are"),
        (lambda spec: terms_of(spec).append({"matchFields": [MORE]}), "no additions/deletions to"),
        (lambda spec: terms_of(spec)[0].update(matchExpressions=[MORE]), "only additions"),
        (lambda spec: spec["affinity"].update(podAffinity={"x": []}, podAntiAffinity={"y": [1]}),
         "pod updates may not change fields other than"),
    ],
)  # fmt: skip
def test_a_gated_pods_place_is_not_widened(act: Callable[[dict], Any], sentence: str) -> None:
    assert any(sentence in text for text in narrowed(act)), narrowed(act)


def test_a_gated_pod_has_no_node() -> None:
    pod = full()
    pod["spec"] |= {"schedulingGates": [{"name": "example.com/wait"}], "nodeName": "n1"}
    errors = FieldErrors()
    POD.validate(pod, errors)
    text = "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"
    assert text in [str(e) for e in errors]


@pytest.mark.parametrize(
    ("policies", "sentence"),
    [
        ([{"resourceName": "cpu", "restartPolicy": "Some"}], 'Unsupported value: "Some"'),
        ([{"resourceName": "disk", "restartPolicy": "NotRequired"}], 'Unsupported value: "disk"'),
        ([{"resourceName": "cpu"}], "spec.containers[0].resizePolicy: Required value"),
        ([{"resourceName": "cpu", "restartPolicy": "NotRequired"}] * 2, "[1]: Duplicate value"),
        ([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}],
         "must be 'NotRequired' when `restartPolicy` is 'Never'"),
    ],
)  # fmt: skip
def test_resize_policies_are_checked(policies: list[dict], sentence: str) -> None:
    pod = full()
    pod["spec"]["restartPolicy"] = "Never"
    pod["spec"]["containers"][0]["resizePolicy"] = policies
    errors = FieldErrors()
    POD.validate(pod, errors)
    assert any(sentence in str(e) for e in errors), list(errors)


@pytest.mark.parametrize(
    ("spec", "phase", "asked", "seconds"),
    [
        ({"nodeName": "n", "terminationGracePeriodSeconds": 30}, "Running", None, 30),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 30}, "Running", 5, 5),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 30}, "Running", 0, 0),
        ({"nodeName": "n", "terminationGracePeriodSeconds": -1}, "Running", None, 1),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 30}, "Succeeded", None, 0),
        ({"terminationGracePeriodSeconds": 30}, "Pending", None, 0),
        ({"terminationGracePeriodSeconds": 30}, "Pending", 10, 0),
    ],
)
def test_grace(spec: dict, phase: str, asked: int | None, seconds: int) -> None:
    assert grace_seconds({"spec": spec, "status": {"phase": phase}}, asked) == seconds
