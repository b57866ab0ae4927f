"""What ``edgek rollout`` says of StatefulSets, in kubectl's words."""

import pytest

from edgek.api.meta import Obj
from edgek.cli.cluster import Failure
from edgek.cli.rollout import progress, rollback
from edgek.kinds import STATEFUL_SET


def stateful_set(*, partition: int | None = 0, generation: int = 1, **status: object) -> Obj:
    strategy: dict[str, object] = {"type": "RollingUpdate"}
    if partition is not None:
        strategy["rollingUpdate"] = {"partition": partition}
    return {
        "metadata": {"name": "db", "generation": generation},
        "spec": {"replicas": 3, "updateStrategy": strategy},
        "status": {"observedGeneration": 1, "readyReplicas": 3, **status},
    }


@pytest.mark.parametrize(
    ("obj", "text", "done"),
    [
        (
            stateful_set(generation=2),
            "Waiting for statefulset spec update to be observed...", False,
        ),
        (stateful_set(readyReplicas=1), "Waiting for 2 pods to be ready...", False),
        (
            stateful_set(partition=1, updatedReplicas=1),
            "Waiting for partitioned roll out to finish: 1 out of 2 new pods have been updated...",
            False,
        ),
        (
            stateful_set(updatedReplicas=3),
            "partitioned roll out complete: 3 new pods have been updated...", True,
        ),
        (
            stateful_set(
                partition=None, updatedReplicas=1, updateRevision="b", currentRevision="a"
            ),
            "waiting for statefulset rolling update to complete 1 pods at revision b...", False,
        ),
        (
            stateful_set(
                partition=None, currentReplicas=3, updateRevision="b", currentRevision="b"
            ),
            "statefulset rolling update complete 3 pods at revision b...", True,
        ),
    ],
)  # fmt: skip
def test_a_stateful_sets_progress_is_told(obj: Obj, text: str, done: bool) -> None:
    assert progress(STATEFUL_SET, obj) == (text, done)


def test_a_set_that_waits_for_deletions_has_no_status() -> None:
    obj = stateful_set()
    obj["spec"]["updateStrategy"] = {"type": "OnDelete"}
    with pytest.raises(Failure, match="only available for RollingUpdate strategy type"):
        progress(STATEFUL_SET, obj)


def test_an_undo_takes_what_the_revision_before_kept() -> None:
    revisions = [(n, {"data": {"spec": {"template": n}}}) for n in (1, 2, 3)]
    assert rollback(STATEFUL_SET, "db", revisions, 0) == {"spec": {"template": 2}}
    assert rollback(STATEFUL_SET, "db", revisions, 1) == {"spec": {"template": 1}}
