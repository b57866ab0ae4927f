"""What the agent writes of a pod takes nothing away that others have written."""

from typing import Any

from agent.pods.status_writer import last_status, plan_patch
from edgek.api.meta import Obj

READY = {"type": "Ready", "status": "True"}
MARK = {"type": "edgek.io/NodeReachable", "status": "False"}


def pod(*conditions: Obj, phase: str = "Running", version: str = "7") -> Obj:
    meta = {"name": "p", "uid": "u", "resourceVersion": version}
    return {"metadata": meta, "status": {"phase": phase, "conditions": [*conditions]}}


def patch(there: Obj, **status: Any) -> Obj:
    return plan_patch(there, {"phase": "Running", "conditions": [READY], **status})


def test_nothing_is_written_where_nothing_differs() -> None:
    assert patch(pod(READY)) == {}
    assert patch(pod(READY, MARK)) == {}


def test_conditions_of_others_stay_though_our_status_was_made_before_them() -> None:
    """As when the node was out of touch, and the pod was marked as cut off meanwhile."""
    there = pod({"type": "Ready", "status": "Unknown"}, MARK, phase="Unknown")
    assert patch(there) == {
        "metadata": {"uid": "u", "resourceVersion": "7"},
        "status": {"phase": "Running", "conditions": [READY, MARK]},
    }


def test_a_condition_that_others_took_away_is_not_brought_back() -> None:
    there = pod({"type": "Ready", "status": "False"})
    made = patch(there, conditions=[READY, MARK])
    assert made["status"]["conditions"] == [READY]


def test_a_status_without_conditions_is_one() -> None:
    there = {"metadata": {"name": "p", "uid": "u"}, "status": {"phase": "Pending"}}
    assert plan_patch(there, {"phase": "Failed"})["status"] == {"phase": "Failed"}


def test_what_is_not_of_conditions_holds_for_any_version() -> None:
    made = patch(pod(READY), podIP="10.42.0.3")
    assert made == {"metadata": {"uid": "u"}, "status": {"podIP": "10.42.0.3"}}


def test_a_pod_that_goes_before_it_ran_has_failed() -> None:
    there = pod(READY, phase="Pending")
    there["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert last_status(there, None) == {"phase": "Failed", "conditions": [READY]}
    assert last_status(there, {"phase": "Running"}) == {"phase": "Failed"}
    assert last_status(there, {"phase": "Succeeded"}) == {"phase": "Succeeded"}
    assert last_status(pod(phase="Pending"), None) is None
