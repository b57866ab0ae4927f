"""CustomResourceDefinitions with unmodified kubectl 1.37, from the definition to its end."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.tls_server import Kubectl, tls_server

pytestmark = pytest.mark.timeout(120)

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
    - name: v1
      served: true
      storage: true
      subresources:
        status: {}
        scale:
          specReplicasPath: .spec.replicas
          statusReplicasPath: .status.replicas
          labelSelectorPath: .status.labelSelector
      selectableFields: [{jsonPath: .spec.image}]
      additionalPrinterColumns:
        - {name: Spec, type: string, jsonPath: .spec.cronSpec, description: When it runs.}
        - {name: Replicas, type: integer, jsonPath: .spec.replicas}
        - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
        - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
      schema:
        openAPIV3Schema:
          type: object
          description: A task that runs again and again.
          properties:
            spec:
              type: object
              required: [cronSpec]
              properties:
                cronSpec: {type: string, pattern: '^\\S+( \\S+){4}$', description: In crontab form.}
                image: {type: string}
                replicas: {type: integer, minimum: 1, maximum: 10, default: 1}
            status:
              type: object
              x-kubernetes-preserve-unknown-fields: true
"""
OBJECT = """
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: nightly, labels: {tier: back}}
spec: {cronSpec: "0 3 * * *", image: busybox}
"""


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with tls_server(tmp_path) as server:
        await server.kubectl("apply", "-f", "-", stdin=DEFINITION)
        await server.kubectl(
            "wait", "--for", "condition=established", "crd/crontabs.stable.example.com"
        )
        yield server.kubectl


async def test_apply_get_and_explain(kubectl: Kubectl) -> None:
    assert "crontabs" in await kubectl("api-resources", "--api-group=stable.example.com")
    assert "created" in await kubectl("apply", "-f", "-", stdin=OBJECT)
    assert "unchanged" in await kubectl("apply", "-f", "-", stdin=OBJECT)
    table = await kubectl("get", "ct")
    header, row = table.splitlines()
    assert header.split() == ["NAME", "SPEC", "REPLICAS", "READY", "AGE"]
    assert row.split()[:6] == ["nightly", "0", "3", "*", "*", "*"]
    assert " 1 " in row
    assert "nightly" in await kubectl("get", "all")
    assert "nightly" in await kubectl("get", "ct", "--field-selector", "spec.image=busybox")
    assert "No resources" in await kubectl("get", "ct", "--field-selector", "spec.image=other")
    assert "field label not supported" in await kubectl(
        "get", "ct", "--field-selector", "spec.cronSpec=x", ok=False
    )
    explained = await kubectl("explain", "crontabs.spec")
    assert "In crontab form." in explained
    assert "cronSpec" in explained
    assert "-required-" in explained
    assert "A task that runs" in await kubectl("explain", "ct")


async def test_bad_objects_are_told_what_is_wrong(kubectl: Kubectl) -> None:
    bad = OBJECT.replace("0 3 * * *", "never").replace("busybox}", "busybox, replicas: x}")
    said = await kubectl("apply", "-f", "-", stdin=bad, ok=False)
    assert 'The CronTab "nightly" is invalid' in said
    assert 'spec.cronSpec: Invalid value: "never": spec.cronSpec in body should match' in said
    assert 'spec.replicas in body must be of type integer: "string"' in said
    unknown = OBJECT.replace("image: busybox", "picture: busybox")
    said = await kubectl("apply", "-f", "-", stdin=unknown, ok=False)
    assert 'strict decoding error: unknown field "spec.picture"' in said
    missing = OBJECT.replace('cronSpec: "0 3 * * *", ', "")
    assert "spec.cronSpec: Required value" in await kubectl(
        "apply", "-f", "-", stdin=missing, ok=False
    )


DEAR = """\
                args: ARGS
              x-kubernetes-validations:
                - rule: '!has(self.args) || self.args.all(a, self.args.exists_one(b, a == b))'
                  message: each argument once
"""
IMAGE = "image: {type: string}"


def _with_rule(args: str) -> str:
    """The definition with a rule about its arguments, of this schema."""
    last = "default: 1}\n"
    return DEFINITION.replace(last, last + DEAR.replace("ARGS", args))


async def test_a_rule_must_be_affordable(kubectl: Kubectl) -> None:
    dear = _with_rule("{type: array, items: {type: string}}")
    said = await kubectl("apply", "-f", "-", stdin=dear, ok=False)
    assert 'The CustomResourceDefinition "crontabs.stable.example.com" is invalid' in said
    assert (
        "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule: "
        "Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try "
        "simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, "
        "maps, and strings are declared)"
    ) in said
    bounded = _with_rule("{type: array, maxItems: 10, items: {type: string, maxLength: 20}}")
    await kubectl("apply", "-f", "-", stdin=bounded)
    twice = OBJECT.replace("image: busybox", "args: [a, a]")
    said = await kubectl("apply", "-f", "-", stdin=twice, ok=False)
    assert "spec: Invalid value: each argument once" in said
    await kubectl("apply", "-f", "-", stdin=twice.replace("[a, a]", "[a, b]"))


@pytest.mark.parametrize(
    ("stricter", "told"),
    [
        ("{type: string, maxLength: 4}", "spec.image: Too long"),
        (
            "{type: string, maxLength: 99, x-kubernetes-validations: "
            "[{rule: self.size() < 5, message: must be short}]}",
            'spec.image: Invalid value: "alpine": must be short',
        ),
    ],
)
async def test_what_an_update_leaves_alone_stays_accepted(
    kubectl: Kubectl, stricter: str, told: str
) -> None:
    await kubectl("apply", "-f", "-", stdin=OBJECT)
    tight = DEFINITION.replace(IMAGE, f"image: {stricter}")
    await kubectl("apply", "-f", "-", stdin=tight)
    await kubectl("scale", "ct/nightly", "--replicas=2")
    await kubectl("apply", "-f", "-", stdin=OBJECT.replace("0 3", "0 4"))
    said = await kubectl(
        "apply", "-f", "-", stdin=OBJECT.replace("image: busybox", "image: alpine"), ok=False
    )
    assert told in said
    await kubectl("apply", "-f", "-", stdin=OBJECT.replace("image: busybox", "image: box"))


async def test_scale_status_and_server_side_apply(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=OBJECT)
    assert "scaled" in await kubectl("scale", "ct/nightly", "--replicas=3")
    found = json.loads(await kubectl("get", "ct", "nightly", "-o", "json"))
    assert found["spec"]["replicas"] == 3
    assert found["metadata"]["generation"] == 2
    await kubectl("scale", "ct/nightly", "--replicas=30", ok=False)
    status = '{"status":{"replicas":2,"conditions":[{"type":"Ready","status":"True"}]}}'
    await kubectl("patch", "ct", "nightly", "--subresource=status", "--type=merge", "-p", status)
    assert "True" in await kubectl("get", "ct", "nightly")
    found = json.loads(await kubectl("get", "ct", "nightly", "-o", "json"))
    assert found["metadata"]["generation"] == 2
    said = await kubectl("patch", "ct", "nightly", "-p", '{"spec":{"replicas":4}}', ok=False)
    assert "application/strategic-merge-patch+json" not in said.partition("accepted")[2]
    ours = OBJECT.replace("image: busybox", "image: alpine")
    apply = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    assert "conflict" in await kubectl(*apply, stdin=ours, ok=False)
    await kubectl(*apply, "--force-conflicts", stdin=ours)
    assert "alpine" in await kubectl("get", "ct", "nightly", "-o", "jsonpath={.spec.image}")


async def test_a_definition_takes_its_objects_along(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=OBJECT)
    held = '{"metadata":{"finalizers":["example.com/hold"]}}'
    await kubectl("patch", "ct", "nightly", "--type=merge", "-p", held)
    name = "crontabs.stable.example.com"
    await kubectl("delete", "crd", name, "--wait=false")
    await kubectl.until("Terminating", "get", "crd", name, "-o", "yaml")
    other = OBJECT.replace("nightly", "daily")
    assert "not allow" in await kubectl("create", "-f", "-", stdin=other, ok=False)
    await kubectl(
        "patch", "ct", "nightly", "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
    )
    await kubectl("wait", "--for=delete", f"crd/{name}", "--timeout=20s")
    assert "could not find the requested" in await kubectl(
        "get", "crontabs.v1.stable.example.com", ok=False
    )


async def test_custom_objects_own_and_are_owned(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=OBJECT)
    uid = await kubectl("get", "ct", "nightly", "-o", "jsonpath={.metadata.uid}")
    owner = {
        "apiVersion": "stable.example.com/v1",
        "kind": "CronTab",
        "name": "nightly",
        "uid": uid,
    }
    child = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "child", "ownerReferences": [owner]},
    }
    await kubectl("create", "-f", "-", stdin=json.dumps(child))
    await kubectl("delete", "ct", "nightly")
    await kubectl("wait", "--for=delete", "configmap/child", "--timeout=20s")


async def test_a_namespace_takes_custom_objects_along(kubectl: Kubectl) -> None:
    await kubectl("create", "namespace", "team")
    await kubectl("apply", "-n", "team", "-f", "-", stdin=OBJECT)
    await kubectl("delete", "namespace", "team", "--timeout=30s")
    assert "No resources found" in await kubectl("get", "ct", "-A")
