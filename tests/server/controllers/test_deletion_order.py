"""The order in which surplus pods go: what costs least to lose goes first."""

from datetime import UTC, datetime

import pytest

from edgek.api.time import format_time
from server.controllers.deletion_order import pods_to_delete

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def pod(name="p", *, node="n1", phase="Running", ready=True, since=3600, cost=None, **more):
    then = format_time(datetime.fromtimestamp(NOW.timestamp() - since, UTC))
    made = format_time(datetime.fromtimestamp(NOW.timestamp() - more.get("age", since), UTC))
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": then}
    status = {"phase": phase, "conditions": [condition]}
    status["containerStatuses"] = [{"name": "c", "restartCount": more.get("restarts", 0)}]
    meta = {"name": name, "uid": more.get("uid", name), "creationTimestamp": made}
    if cost is not None:
        meta["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": str(cost)}
    return {"metadata": meta, "spec": {"nodeName": node} if node else {}, "status": status}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(pod(node=""), pod(phase="Pending", ready=False), id="unscheduled"),
        pytest.param(pod(phase="Pending"), pod(phase="Unknown"), id="pending"),
        pytest.param(pod(phase="Unknown"), pod(ready=False), id="unknown"),
        pytest.param(pod(ready=False, cost=9), pod(cost=-9), id="not-ready"),
        pytest.param(pod(cost=-1), pod(since=1), id="cheap"),
        pytest.param(pod(since=1), pod(since=9999), id="ready-for-a-shorter-time"),
        pytest.param(pod(uid="a", since=5000), pod(uid="b", since=4900), id="same-magnitude"),
        pytest.param(pod(restarts=2), pod(restarts=1), id="restarted-more"),
        pytest.param(pod(age=10), pod(age=9999), id="newer"),
        pytest.param(pod(cost="many", uid="a", since=1), pod(uid="b"), id="bad-cost-is-none"),
    ],
)
def test_first_goes_first(first, second):
    for pods in ([first, second], [second, first]):
        assert pods_to_delete(pods, pods, 1, NOW) == [first]


def test_pods_doubled_up_with_siblings_go_before_those_alone():
    alone, crowded, sibling = pod("a", node="n1"), pod("b", node="n2"), pod("c", node="n2")
    assert pods_to_delete([alone, crowded], [alone, crowded, sibling], 1, NOW) == [crowded]
