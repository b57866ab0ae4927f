"""What a policy gets wrong about the kinds it names."""

from typing import Any

import pytest

from edgek.api.meta import Obj
from edgek.kinds import VALIDATING_ADMISSION_POLICY
from server.controllers import validating_admission_policy_status
from server.controllers.validating_admission_policy_status import plan_checking
from tests.support.loops import running
from tests.support.memory_api import MemoryApi


def rule(*resources: str, group: str = "apps") -> Obj:
    return {
        "apiGroups": [group],
        "apiVersions": ["v1"],
        "operations": ["*"],
        "resources": list(resources),
    }


def policy(expression: str, *rules: Obj, **spec: Any) -> Obj:
    return {
        "metadata": {"name": "p", "generation": 3},
        "spec": {
            "matchConstraints": {"resourceRules": list(rules)},
            "validations": [{"expression": expression}],
            **spec,
        },
    }


def test_a_field_that_a_kind_does_not_have_is_a_warning_for_that_kind() -> None:
    checked = plan_checking(
        policy("object.spec.replicas > 1", rule("deployments"), rule("configmaps", group=""))
    )
    assert checked == {
        "expressionWarnings": [
            {
                "fieldRef": "spec.validations[0].expression",
                "warning": "v1, Kind=ConfigMap: ERROR: <input>:1:7: undefined field 'spec'\n"
                " | object.spec.replicas > 1\n | ......^\n",
            }
        ]
    }


def test_variables_carry_what_is_known_of_them() -> None:
    variables = [{"name": "pod", "expression": "object.spec.template.spec"}]
    bad = policy("variables.pod.nope == 1", rule("deployments"), variables=variables)
    good = policy("variables.pod.hostNetwork", rule("deployments"), variables=variables)
    (warning,) = plan_checking(bad)["expressionWarnings"]
    assert (
        "apps/v1, Kind=Deployment: ERROR: <input>:1:14: undefined field 'nope'"
        in (warning["warning"])
    )
    assert plan_checking(good) == {}


@pytest.mark.parametrize("resource", ["*", "*/*", "deployments/*", "unknowns"])
def test_what_no_rule_names_in_full_is_not_looked_at(resource: str) -> None:
    assert plan_checking(policy("object.nope == 1", rule(resource))) == {}


@pytest.mark.looptime
async def test_the_status_follows_the_policy() -> None:
    api = MemoryApi()
    api.put(VALIDATING_ADMISSION_POLICY, policy("object.nope == 1", rule("deployments")))
    async with running(api, validating_admission_policy_status.build):
        found = api.one(VALIDATING_ADMISSION_POLICY, "", "p")
    assert found is not None
    assert found["status"]["observedGeneration"] == 3
    assert len(found["status"]["typeChecking"]["expressionWarnings"]) == 1
