"""What is valid and still worth a warning, in upstream's words."""

from collections.abc import Callable
from typing import Any

import pytest

from edgek.api.meta import Obj, deep_copy
from edgek.kinds import CRON_JOB, DAEMON_SET, DEPLOYMENT, POD
from edgek.kinds.kind import Kind

PORT = {"name": "http", "containerPort": 80, "protocol": "TCP"}
Change = Callable[[Obj], Any]


def warnings(kind: Kind, obj: Obj, old: Obj | None = None) -> list[str]:
    assert kind.warn is not None
    return list(kind.warn(obj, old))


def pod(change: Change) -> Obj:
    made = deep_copy(dict(POD.example))
    POD.default(made)
    change(made["spec"])
    return made


def with_(**fields: Any) -> Change:
    return lambda spec: spec.update(fields)


def in_container(**fields: Any) -> Change:
    return lambda spec: spec["containers"][0].update(fields)


def affinity(which: str) -> Change:
    term = {"podAffinityTerm": {"topologyKey": "a"}, "weight": 1}
    return with_(affinity={which: {"preferredDuringSchedulingIgnoredDuringExecution": [term]}})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (with_(nodeSelector={"beta.kubernetes.io/arch": "arm64"}),
         "spec.nodeSelector[beta.kubernetes.io/arch]: deprecated since v1.14; use"
         ' "kubernetes.io/arch" instead'),
        (with_(topologySpreadConstraints=[{"topologyKey": "beta.kubernetes.io/os",
                                           "labelSelector": {}}]),
         "spec.topologySpreadConstraints[0].topologyKey: beta.kubernetes.io/os is deprecated since"
         ' v1.14; use "kubernetes.io/os" instead'),
        (with_(topologySpreadConstraints=[{"topologyKey": "a"}]),
         "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching"
         " no pod"),
        (affinity("podAntiAffinity"),
         "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]"
         ".podAffinityTerm.labelSelector: a null labelSelector results in matching no pod"),
        (with_(hostAliases=[{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}]),
         'spec.hostAliases[1].ip: duplicate ip "1.1.1.1"'),
        (with_(imagePullSecrets=[{"name": "a"}, {"name": "a"}]),
         'spec.imagePullSecrets[1].name: duplicate name "a"'),
        (in_container(resources={"limits": {"memory": "100m"}}),
         'spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid,'
         " must be an integer"),
        (in_container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
         'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when'
         " using apply"),
        (lambda spec: spec["containers"].append({"name": "b", "image": "b", "ports": [PORT]}),
         "spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]"),
        (with_(terminationGracePeriodSeconds=-1),
         "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be"
         " treated as 1"),
    ],
)  # fmt: skip
def test_a_pod_is_warned_of(change: Change, sentence: str) -> None:
    assert sentence in warnings(POD, pod(change))


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: None,
        in_container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}]),
        with_(nodeSelector={"kubernetes.io/arch": "arm64"}),
        in_container(resources={"limits": {"cpu": "100m"}}),
    ],
)
def test_nothing_is_said_of_what_is_usual(change: Change) -> None:
    assert warnings(POD, pod(change)) == []


def test_hostnames_are_labels() -> None:
    made = pod(lambda spec: None)
    made["metadata"]["name"] = "a.b"
    (text,) = warnings(POD, made)
    assert text.startswith(
        "metadata.name: this is used in the Pod's hostname, which can result in surprising "
        "behavior; a DNS label is recommended: [a lowercase RFC 1123 label"
    )


def test_workloads_are_warned_of_when_their_spec_is_new() -> None:
    for kind, path in ((DEPLOYMENT, "spec.template"), (DAEMON_SET, "spec.template"),
                       (CRON_JOB, "spec.jobTemplate.spec.template")):  # fmt: skip
        obj = deep_copy(dict(kind.example))
        template: Any = obj
        for step in path.split("."):
            template = template[step]
        template["spec"]["nodeSelector"] = {"beta.kubernetes.io/os": "linux"}
        obj["metadata"]["generation"] = 2
        (text,) = warnings(kind, obj)
        assert text.startswith(f"{path}.spec.nodeSelector[beta.kubernetes.io/os]: deprecated")
        old = {**obj, "metadata": {**obj["metadata"], "generation": 1}}
        assert warnings(kind, obj, old) == [text]
        assert warnings(kind, obj, obj) == []


def test_nodes_write_pods_without_a_word() -> None:
    odd = pod(with_(terminationGracePeriodSeconds=-1))
    assert warnings(POD, odd, odd) == []
