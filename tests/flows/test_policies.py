"""Admission policies with unmodified kubectl, against the whole server with its controllers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.tls_server import Kubectl, tls_server

pytestmark = pytest.mark.timeout(120)

POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: demo}
spec:
  failurePolicy: Fail
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules:
      - apiGroups: [apps]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [deployments]
  variables:
    - {name: most, expression: "int(params.data.most)"}
  validations:
    - expression: object.spec.replicas <= variables.most
      messageExpression: "'at most ' + string(variables.most) + ' replicas'"
"""
BINDING = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: demo-binding}
spec:
  policyName: demo
  validationActions: [Deny]
  paramRef: {name: limits, namespace: default, parameterNotFoundAction: Deny}
  matchResources:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: default}}
"""
MUTATING = """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: team}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules:
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [CREATE]
        resources: [configmaps]
  matchConditions:
    - {name: by-admins, expression: "'system:masters' in request.userInfo.groups"}
  mutations:
    - patchType: ApplyConfiguration
      applyConfiguration:
        expression: "Object{metadata: Object.metadata{labels: {'team': 'a'}}}"
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: team}
spec: {policyName: team}
"""


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with tls_server(tmp_path) as server:
        await server.kubectl.until("default", "get", "serviceaccounts", "-o", "name")
        yield server.kubectl


async def test_a_policy_with_params_denies_and_then_only_warns(kubectl: Kubectl) -> None:
    await kubectl("create", "configmap", "limits", "--from-literal=most=2")
    await kubectl("apply", "-f", "-", stdin=POLICY)
    await kubectl("apply", "-f", "-", stdin=BINDING)
    create = ("create", "deployment", "web", "--image=nginx")
    refused = await kubectl(*create, "--replicas=3", ok=False)
    assert (
        'error: failed to create deployment: deployments.apps "web" is forbidden: '
        "ValidatingAdmissionPolicy 'demo' with binding 'demo-binding' denied request: "
        "at most 2 replicas" in refused
    )
    assert "created" in await kubectl(*create, "--replicas=2")
    warn = BINDING.replace("[Deny]", "[Warn]")
    assert "configured" in await kubectl("apply", "-f", "-", stdin=warn)
    changed = await kubectl("patch", "deployment", "web", "-p", '{"spec":{"replicas":5}}')
    assert (
        "Warning: Validation failed for ValidatingAdmissionPolicy 'demo' with binding "
        "'demo-binding': at most 2 replicas" in changed
    )
    assert "patched" in changed


async def test_tables_tell_of_policies_and_bindings(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=POLICY)
    await kubectl("apply", "-f", "-", stdin=BINDING)
    listed = await kubectl("get", "validatingadmissionpolicy")
    assert listed.split()[:4] == ["NAME", "VALIDATIONS", "PARAMKIND", "AGE"]
    assert "v1/ConfigMap" in listed
    listed = await kubectl("get", "validatingadmissionpolicybinding")
    assert listed.split()[:4] == ["NAME", "POLICYNAME", "PARAMREF", "AGE"]
    assert "default/limits" in listed


async def test_a_bad_expression_is_refused_and_a_doubtful_one_is_told(kubectl: Kubectl) -> None:
    bad = POLICY.replace("variables.most\n", "variables.least\n")
    told = await kubectl("apply", "-f", "-", stdin=bad, ok=False)
    assert (
        'The ValidatingAdmissionPolicy "demo" is invalid: spec.validations[0].expression: Invalid '
        'value: "object.spec.replicas <= variables.least": compilation failed: ERROR: '
        "<input>:1:34: undefined field 'least'" in told
    )
    doubtful = POLICY.replace("object.spec.replicas", "object.spec.replica")
    await kubectl("apply", "-f", "-", stdin=doubtful)
    await kubectl.until("undefined field 'replica'",
        "get", "validatingadmissionpolicy", "demo", "-o",
        "jsonpath={.status.typeChecking.expressionWarnings[0].warning}",
    )  # fmt: skip


async def test_a_mutating_policy_labels_what_users_make(kubectl: Kubectl) -> None:
    assert "created" in await kubectl("apply", "-f", "-", stdin=MUTATING)
    await kubectl("create", "configmap", "mine")
    assert await kubectl("get", "cm", "mine", "-o", "jsonpath={.metadata.labels.team}") == "a"
    dry = await kubectl(
        "create", "cm", "dry", "--dry-run=server", "-o", "jsonpath={.metadata.labels.team}"
    )
    assert dry == "a"
    await kubectl("delete", "mutatingadmissionpolicy", "team")
    await kubectl("create", "configmap", "yours")
    assert await kubectl("get", "cm", "yours", "-o", "jsonpath={.metadata.labels.team}") == ""
