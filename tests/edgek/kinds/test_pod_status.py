"""Nodes write a pod's status: what they may say, and what they cannot take back."""

import pytest

from edgek.api.meta import Obj, deep_copy
from edgek.api.validation import FieldErrors
from edgek.kinds import POD

SEEN = {"type": "Ready", "status": "True", "observedGeneration": 3}


def pod(**status: object) -> Obj:
    made = deep_copy(dict(POD.example))
    POD.default(made)
    POD.prepare(made, None)
    made["status"] |= status
    return made


def test_observed_generations_outlive_writers_that_do_not_know_them() -> None:
    old = pod(observedGeneration=3, conditions=[SEEN, {"type": "PodScheduled", "status": "True"}])
    plain = {"type": "Ready", "status": "False"}
    new = pod(conditions=[plain, {"type": "PodScheduled", "status": "True"}])
    POD.prepare_status(new, old)
    assert new["status"]["observedGeneration"] == 3
    assert new["status"]["conditions"][0] == {**plain, "observedGeneration": 3}
    assert "observedGeneration" not in new["status"]["conditions"][1]
    newer = pod(conditions=[{**SEEN, "observedGeneration": 4}])
    POD.prepare_status(newer, old)
    assert newer["status"]["conditions"][0]["observedGeneration"] == 4


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ({"qosClass": "Guaranteed"}, 'status.qosClass: Invalid value: "Guaranteed": field is imm'),
        ({"podIPs": [{"ip": "x"}]}, 'status.podIPs[0]: Invalid value: "x": must be a valid IP'),
        ({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]}, "no more than one IP for each IP"),
        ({"podIPs": [{"ip": "10.0.0.1"}] * 2}, 'status.podIPs[1]: Duplicate value: "10.0.0.1"'),
        ({"nominatedNodeName": "A_B"}, 'status.nominatedNodeName: Invalid value: "A_B"'),
        ({"observedGeneration": -1}, "status.observedGeneration: Invalid value: -1"),
        ({"conditions": [{"type": "a b"}]}, "status.conditions[0].type: Invalid value"),
        ({"containerStatuses": [{"restartCount": -1}]}, "restartCount: Invalid value: -1"),
    ],
    ids=str,
)
def test_a_status_that_cannot_be(status: Obj, sentence: str) -> None:
    errors = FieldErrors()
    POD.validate_update(pod(**status), pod(), errors)
    assert any(sentence in str(e) for e in errors), list(errors)


def test_an_address_of_each_family_is_fine() -> None:
    errors = FieldErrors()
    both = [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]
    POD.validate_update(pod(podIP="10.0.0.1", podIPs=both), pod(), errors)
    assert not errors
