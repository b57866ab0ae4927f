"""PodSecurity: what each standard refuses, in upstream's words, and what namespaces are told."""

from dataclasses import replace
from typing import Any

import pytest

from edgek.api.errors import Forbidden, Invalid
from edgek.api.meta import Obj
from edgek.kinds import CRON_JOB, DEPLOYMENT, NAMESPACE, POD
from server.admission.chain import Attributes
from server.admission.pod_security.checks import violations
from server.admission.pod_security.plugin import PodSecurity
from server.admission.pod_security.policy import LATEST, Standard
from server.request.fake import FakeReader
from server.request.model import User

ANN = User(name="ann")
BASELINE = Standard("baseline")
RESTRICTED = Standard("restricted")
GOOD: Obj = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def container(name: str = "c", **fields: Any) -> Obj:
    return {"name": name, "image": "i", **fields}


def spec_of(*containers: Obj, **fields: Any) -> Obj:
    return {"containers": list(containers) or [container()], **fields}


def secured(**fields: Any) -> Obj:
    return spec_of(container(securityContext=fields))


def told(standard: Standard, spec: Obj, **notes: str) -> str:
    return ", ".join(str(v) for v in violations(standard, {"annotations": notes}, spec))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            spec_of(hostNetwork=True, hostPID=True),
            "host namespaces (hostNetwork=true, hostPID=true)",
        ),
        (
            secured(privileged=True),
            'privileged (container "c" must not set securityContext.privileged=true)',
        ),
        (
            secured(capabilities={"add": ["NET_RAW", "SYS_ADMIN", "CHOWN"]}),
            'non-default capabilities (container "c" must not include "NET_RAW", "SYS_ADMIN" in '
            "securityContext.capabilities.add)",
        ),
        (
            spec_of(
                volumes=[{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "emptyDir": {}}]
            ),
            'hostPath volumes (volume "a")',
        ),
        (
            spec_of(
                container("a", ports=[{"hostPort": 80}, {"hostPort": 443}]),
                container("b", ports=[{"hostPort": 80}]),
            ),
            'hostPort (containers "a", "b" use hostPorts 443, 80)',
        ),
        (
            spec_of(container(livenessProbe={"httpGet": {"host": "10.0.0.1", "port": 80}})),
            'probe or lifecycle host (container "c" uses probe or lifecycle host "10.0.0.1")',
        ),
        (
            secured(procMount="Unmasked"),
            'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
        ),
        (
            spec_of(securityContext={"seLinuxOptions": {"type": "spc_t", "user": "u"}}),
            "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: "
            'type "spc_t"; user may not be set)',
        ),
        (
            secured(seccompProfile={"type": "Unconfined"}),
            'seccompProfile (container "c" must not set securityContext.seccompProfile.type to '
            '"Unconfined")',
        ),
        (
            spec_of(securityContext={"sysctls": [{"name": "kernel.msgmax"}, {"name": "a"}]}),
            "forbidden sysctls (kernel.msgmax, a)",
        ),
        (
            spec_of(securityContext={"windowsOptions": {"hostProcess": True}}),
            "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
        (
            spec_of(
                container(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
                securityContext={"appArmorProfile": {"type": "Localhost"}},
            ),
            'forbidden AppArmor profile (container "c" must not set AppArmor profile type to '
            '"Unconfined")',
        ),
    ],
)
def test_baseline_refuses_what_reaches_the_node(spec: Obj, words: str) -> None:
    assert told(BASELINE, spec) == words


def test_profiles_in_annotations_count_too() -> None:
    key = "container.apparmor.security.beta.kubernetes.io/c"
    assert told(BASELINE, spec_of(), **{key: "unconfined"}) == (
        "forbidden AppArmor profile (annotation must not set AppArmor profile type to "
        f'"{key}="unconfined"")'
    )
    assert not told(BASELINE, spec_of(), **{key: "localhost/mine"})


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            spec_of(),
            'allowPrivilegeEscalation != false (container "c" must set '
            "securityContext.allowPrivilegeEscalation=false), unrestricted capabilities "
            '(container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != '
            'true (pod or container "c" must set securityContext.runAsNonRoot=true), '
            'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to '
            '"RuntimeDefault" or "Localhost")',
        ),
        (secured(**GOOD), ""),
        (
            secured(**GOOD, runAsUser=0) | {"securityContext": {"runAsUser": 0}},
            'runAsUser=0 (pod and container "c" must not set runAsUser=0)',
        ),
        (
            secured(**GOOD | {"runAsNonRoot": False}),
            'runAsNonRoot != true (container "c" must not set securityContext.runAsNonRoot=false)',
        ),
        (
            secured(**GOOD | {"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}),
            'unrestricted capabilities (container "c" must not include "CHOWN" in '
            "securityContext.capabilities.add)",
        ),
        (
            secured(**GOOD)
            | {"volumes": [{"name": "a", "hostPath": {}}, {"name": "b", "nfs": {}}]},
            'restricted volume types (volumes "a", "b" use restricted volume types '
            '"hostPath", "nfs")',
        ),
        (secured(**GOOD, privileged=True), 'privileged (container "c" must not set '
         "securityContext.privileged=true)"),
    ],
)  # fmt: skip
def test_restricted_wants_the_pod_to_give_up_what_it_need_not(spec: Obj, words: str) -> None:
    assert told(RESTRICTED, spec) == words


@pytest.mark.parametrize(
    ("minor", "spec", "is_fine"),
    [
        (26, {"sysctls": [{"name": "net.ipv4.ip_local_reserved_ports"}]}, False),
        (27, {"sysctls": [{"name": "net.ipv4.ip_local_reserved_ports"}]}, True),
        (30, {"seLinuxOptions": {"type": "container_engine_t"}}, False),
        (31, {"seLinuxOptions": {"type": "container_engine_t"}}, True),
        (LATEST, {"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}, True),
    ],
)
def test_a_standard_keeps_to_its_version(minor: int, spec: Obj, is_fine: bool) -> None:
    found = violations(Standard("baseline", minor), {}, spec_of(securityContext=spec))
    assert (not found) is is_fine


def test_windows_and_user_namespaces_need_not_what_they_do_not_have() -> None:
    windows = spec_of(os={"name": "windows"}, securityContext={"runAsNonRoot": True})
    assert not violations(RESTRICTED, {}, windows)
    assert len(violations(Standard("restricted", 24), {}, windows)) == 3
    own_users = secured(**GOOD, runAsUser=0) | {"hostUsers": False}
    assert not violations(RESTRICTED, {}, own_users)
    assert violations(Standard("restricted", 34), {}, own_users)


# --- the plugin ----------------------------------------------------------------------------------


def a_namespace(**labels: str) -> Obj:
    prefixed = {f"pod-security.kubernetes.io/{k.replace('_', '-')}": v for k, v in labels.items()}
    return {"metadata": {"name": "shop", "labels": prefixed}}


def reader(*pods: Obj, **labels: str) -> FakeReader:
    return FakeReader((NAMESPACE, a_namespace(**labels)), *((POD, pod) for pod in pods))


def a_pod(name: str = "web", **fields: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec_of(**fields)}


def attributes(obj: Obj, **more: Any) -> Attributes:
    defaults = {"operation": "CREATE", "kind": POD, "namespace": "shop", "name": "", "user": ANN}
    return Attributes(obj=obj, **{**defaults, **more})


async def test_a_pod_that_breaks_the_standard_is_refused_and_nobody_is_warned_besides() -> None:
    request = attributes(a_pod(hostNetwork=True))
    labels = {"enforce": "baseline", "warn": "restricted", "audit": "baseline"}
    with pytest.raises(Forbidden) as caught:
        await PodSecurity(reader(**labels)).validate(request)
    assert caught.value.message == (
        'pods "web" is forbidden: violates PodSecurity "baseline:latest": host namespaces '
        "(hostNetwork=true)"
    )
    assert request.warnings == []
    assert request.annotations == {
        "pod-security.kubernetes.io/enforce-policy": "baseline:latest",
        "pod-security.kubernetes.io/audit-violations": 'would violate PodSecurity "baseline:latest"'
        ": host namespaces (hostNetwork=true)",
    }


async def test_a_pod_is_warned_of_what_is_not_enforced() -> None:
    request = attributes(a_pod(hostPID=True))
    await PodSecurity(reader(warn="baseline", warn_version="v1.30")).validate(request)
    assert request.warnings == [
        'would violate PodSecurity "baseline:v1.30": host namespaces (hostPID=true)'
    ]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (DEPLOYMENT, ("spec", "template")),
        (CRON_JOB, ("spec", "jobTemplate", "spec", "template")),
        (replace(CRON_JOB, version="v1beta1"), ("spec", "jobTemplate", "spec", "template")),
    ],
)
async def test_templates_are_warned_of_and_never_refused(kind: Any, path: tuple[str, ...]) -> None:
    obj: Obj = {"spec": spec_of(hostIPC=True)}
    for step in reversed(path):
        obj = {step: obj}
    request = attributes({"metadata": {"name": "web"}, **obj}, kind=kind)
    await PodSecurity(reader(enforce="restricted", warn="baseline")).validate(request)
    assert request.warnings == [
        'would violate PodSecurity "baseline:latest": host namespaces (hostIPC=true)'
    ]


async def test_a_pod_that_is_there_may_be_labelled_but_not_get_another_image() -> None:
    plugin, old = PodSecurity(reader(enforce="baseline")), a_pod(hostNetwork=True)
    labelled = {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}
    await plugin.validate(attributes(labelled, old=old, operation="UPDATE"))
    other = a_pod(hostNetwork=True)
    other["spec"]["containers"][0]["image"] = "j"
    with pytest.raises(Forbidden, match="violates PodSecurity"):
        await plugin.validate(attributes(other, old=old, operation="UPDATE"))
    await plugin.validate(attributes(other, old=old, operation="UPDATE", subresource="status"))


def of_namespace(obj: Obj, old: Obj | None = None) -> Attributes:
    operation = "UPDATE" if old else "CREATE"
    return attributes(obj, old=old, kind=NAMESPACE, name="shop", operation=operation)


async def test_labels_of_a_namespace_are_checked_unless_they_were_wrong_before() -> None:
    plugin, wrong = PodSecurity(FakeReader()), a_namespace(enforce="strict", warn_version="1.2")
    with pytest.raises(Invalid) as caught:
        await plugin.validate(of_namespace(wrong))
    assert [c["message"] for c in caught.value.details["causes"]] == [
        'Invalid value: "strict": must be one of privileged, baseline, restricted',
        'Invalid value: "1.2": must be "latest" or "v1.x"',
    ]
    await plugin.validate(of_namespace(wrong, wrong))


async def test_who_enforces_more_is_told_which_pods_would_be_refused() -> None:
    pods = [a_pod(f"p{i}", hostNetwork=True) for i in range(3)] + [a_pod("x", hostPID=True)]
    pods[3]["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    request = of_namespace(a_namespace(enforce="baseline"), a_namespace())
    await PodSecurity(reader(*pods)).validate(request)
    assert request.warnings == [
        'existing pods in namespace "shop" violate the new PodSecurity enforce level '
        '"baseline:latest"',
        "p0 (and 2 other pods): host namespaces",
        "x: host namespaces, privileged",
    ]
    relaxed = of_namespace(a_namespace(enforce="baseline"), a_namespace(enforce="restricted"))
    await PodSecurity(reader(*pods)).validate(relaxed)
    assert relaxed.warnings == []
