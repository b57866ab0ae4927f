"""nodeSelector and required node affinity choose nodes as upstream does."""

from typing import Any

import pytest

from edgek.api.node_selector import named_nodes, parse_required

LABELS = {"zone": "a", "cores": "4"}


def required(*terms: dict[str, Any]) -> dict[str, Any]:
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": rule}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def on(*names: str) -> dict[str, Any]:
    field = {"key": "metadata.name", "operator": "In", "values": list(names)}
    return {"matchFields": [field]}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"nodeSelector": {"zone": "a"}}, True, id="label"),
        pytest.param({"nodeSelector": {"zone": "b"}}, False, id="other label"),
        pytest.param(required(expression("cores", "Gt", "3")), True, id="more than"),
        pytest.param(required(expression("zone", "NotIn", "a")), False, id="not in"),
        pytest.param(required({}), False, id="an empty term matches nothing"),
        pytest.param(required(), False, id="no term matches nothing"),
        pytest.param(required({}, on("n1")), True, id="terms are alternatives"),
        pytest.param(required(on("n2")), False, id="another node by name"),
        pytest.param(
            required(on("n1")) | {"nodeSelector": {"zone": "b"}}, False, id="both must hold"
        ),
    ],
)
def test_required(spec: dict[str, Any], expected: bool) -> None:
    match = parse_required(spec)
    assert match is not None
    assert match("n1", LABELS) is expected


def test_a_pod_that_asks_for_nothing_needs_no_check() -> None:
    assert parse_required({"affinity": {"podAffinity": {}}}) is None


def test_only_terms_that_all_name_nodes_limit_the_choice() -> None:
    assert named_nodes(required(on("n1"), on("n2", "n3"))) == {"n1", "n2", "n3"}
    assert named_nodes(required(on("n1"), expression("zone", "Exists"))) is None
    assert named_nodes({}) is None
