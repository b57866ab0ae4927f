"""kubectl and the workload controllers: rollouts of StatefulSets, budgets, drains, autoscalers.

No node is there: an agent that finds every pod ready stands in for it.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgek.aio.clock import SystemClock
from edgek.aio.tasks import Tasks
from edgek.control.controller import Context, run_controllers
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from tests.support.api import ADMIN
from tests.support.loops import ReadyPods
from tests.support.tls_server import Kubectl, tls_server

pytestmark = pytest.mark.timeout(120)

STATEFUL_SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: main, image: "db:1", volumeMounts: [{name: data, mountPath: /data}]}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""

CONTROLLER = """
apiVersion: v1
kind: ReplicationController
metadata: {name: web}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec: {nodeName: n1, containers: [{name: main, image: "web:1"}]}
"""

BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 0, selector: {matchLabels: {app: web}}}
"""

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: fleets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: fleets, singular: fleet, kind: Fleet}
  versions:
    - name: v1
      served: true
      storage: true
      subresources:
        scale:
          specReplicasPath: .spec.size
          statusReplicasPath: .status.size
          labelSelectorPath: .status.selector
      schema:
        openAPIV3Schema:
          type: object
          x-kubernetes-preserve-unknown-fields: true
"""

FLEET = """
apiVersion: example.com/v1
kind: Fleet
metadata: {name: boats}
spec: {size: 9}
status: {size: 9, selector: app=boat}
"""


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    clock = SystemClock()
    async with tls_server(tmp_path) as server, Tasks("agent") as tasks:
        client = server.running.api.client(ADMIN)
        events = EventRecorder(client, clock)
        context = Context(
            client=client, informers=Informers(client, tasks), events=events, clock=clock
        )
        tasks.spawn(run_controllers(context, [ReadyPods]), name="kubelet")
        await server.kubectl.until("default", "get", "serviceaccounts", "-o", "name")
        yield server.kubectl


async def test_a_stateful_set_rolls_out_and_back(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=STATEFUL_SET)
    done = await kubectl("rollout", "status", "statefulset/db", "--timeout=30s")
    assert "complete" in done
    assert "2/2" in await kubectl("get", "statefulset", "db")
    claims = await kubectl("get", "pvc", "-o", "name")
    assert "data-db-0" in claims
    assert "data-db-1" in claims
    await kubectl("set", "image", "statefulset/db", "main=db:2")
    await kubectl("rollout", "status", "statefulset/db", "--timeout=30s")
    image = ("get", "pods", "-o", "jsonpath={.items[*].spec.containers[0].image}")
    assert await kubectl(*image) == "db:2 db:2"
    history = await kubectl("rollout", "history", "statefulset/db")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
    assert "db:1" in await kubectl("rollout", "history", "statefulset/db", "--revision=1")
    await kubectl("rollout", "undo", "statefulset/db")
    await kubectl("rollout", "status", "statefulset/db", "--timeout=30s")
    assert await kubectl(*image) == "db:1 db:1"
    await kubectl("rollout", "restart", "statefulset/db")
    await kubectl("rollout", "status", "statefulset/db", "--timeout=30s")
    await kubectl("scale", "statefulset/db", "--replicas=1")
    await kubectl("wait", "--for=delete", "pod/db-1", "--timeout=20s")
    assert await kubectl("get", "pvc", "-o", "name") == claims
    assert "1 Running / 0 Waiting / 0 Succeeded / 0 Failed" in await kubectl(
        "describe", "statefulset", "db"
    )


async def test_a_drain_waits_for_the_budget(kubectl: Kubectl) -> None:
    node = "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"
    await kubectl("apply", "-f", "-", stdin=node + "---" + CONTROLLER + "---" + BUDGET)
    status = ("get", "pdb", "web", "-o", "jsonpath={.status}")
    await kubectl.until('"currentHealthy":2', *status)
    drain = ("drain", "n1", "--grace-period=0", "--force")
    refused = await kubectl(*drain, "--timeout=3s", ok=False)
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused
    assert "SchedulingDisabled" in await kubectl("get", "node", "n1")
    patch = '{"spec": {"maxUnavailable": "50%"}}'
    await kubectl("patch", "pdb", "web", "--type=merge", "-p", patch)
    await kubectl.until('"disruptionsAllowed":1', *status)
    assert "drained" in await kubectl(*drain, "--timeout=60s", timeout=70)


async def test_a_budget_and_an_autoscaler_take_the_scale_of_custom_objects(
    kubectl: Kubectl,
) -> None:
    await kubectl("apply", "-f", "-", stdin=DEFINITION)
    await kubectl("wait", "--for=condition=Established", "crd/fleets.example.com")
    await kubectl("apply", "-f", "-", stdin=FLEET)
    uid = await kubectl("get", "fleet", "boats", "-o", "jsonpath={.metadata.uid}")
    pod = f"""
apiVersion: v1
kind: Pod
metadata:
  name: boat
  labels: {{app: boat}}
  ownerReferences:
    - {{apiVersion: example.com/v1, kind: Fleet, name: boats, uid: "{uid}", controller: true}}
spec: {{containers: [{{name: main, image: boat}}]}}
"""
    budget = BUDGET.replace("app: web", "app: boat").replace(
        "maxUnavailable: 0", "minAvailable: 50%"
    )
    await kubectl("apply", "-f", "-", stdin=pod + "---" + budget)
    await kubectl.until('"expectedPods":9', "get", "pdb", "web", "-o", "jsonpath={.status}")
    await kubectl("autoscale", "fleet.v1.example.com", "boats", "--min=1", "--max=4", "--cpu=50%")
    size = ("get", "fleet", "boats", "-o", "jsonpath={.spec.size}")
    await kubectl.until("4", *size)
    events = ("get", "events", "--field-selector=reason=SuccessfulRescale")
    await kubectl.until("Current number of replicas above Spec.MaxReplicas", *events)
    described = await kubectl("describe", "hpa", "boats")
    assert "AbleToScale" in described
