"""The arithmetic of pods that scheduler, controllers and agent rely on."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgek.kinds.pods import (
    available_after,
    is_available,
    pod_limits,
    pod_requests,
    pod_template_hash,
    port_number,
    qos_class,
    scaled_value,
)

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def asks(cpu: str, **more: object) -> dict:
    return {"resources": {"requests": {"cpu": cpu}}, **more}


def pod(*containers: dict, inits: tuple = (), **spec: object) -> dict:
    return {"spec": {"containers": list(containers), "initContainers": list(inits), **spec}}


@pytest.mark.parametrize(
    ("found", "cpu"),
    [
        pytest.param(pod(asks("100m"), asks("1")), Fraction(11, 10), id="containers add up"),
        pytest.param(pod(asks("1"), inits=(asks("3"), asks("2"))), 3, id="the largest init"),
        pytest.param(
            pod(asks("1"), inits=(asks("1", restartPolicy="Always"), asks("3"))),
            4,
            id="an init runs beside the sidecars before it",
        ),
        pytest.param(
            pod(asks("1"), inits=(asks("3"), asks("1", restartPolicy="Always"))),
            3,
            id="not beside those after it",
        ),
        pytest.param(pod(asks("1"), overhead={"cpu": "250m"}), Fraction(5, 4), id="overhead"),
        pytest.param(
            pod(asks("1"), resources={"requests": {"cpu": "3"}}), 3, id="the pod speaks for all"
        ),
    ],
)
def test_requests_are_what_the_pod_needs_at_its_peak(found: dict, cpu: Fraction) -> None:
    assert pod_requests(found)["cpu"] == cpu


def test_overhead_is_added_only_to_limits_that_exist() -> None:
    limited = pod({"resources": {"limits": {"cpu": "1"}}}, overhead={"cpu": "1", "memory": "1Gi"})
    assert pod_limits(limited) == {"cpu": 2}


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "0"}}, "BestEffort"),
        ({"requests": {"example.com/gpu": "1"}}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Burstable"),
        (
            {
                "limits": {"cpu": "1", "memory": "1Gi"},
                "requests": {"cpu": "1000m", "memory": "1024Mi"},
            },
            "Guaranteed",
        ),
        ({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}, "Burstable"),
    ],
)
def test_qos_class(resources: dict, qos: str) -> None:
    assert qos_class(pod({"resources": resources})) == qos


def test_one_best_effort_container_spoils_the_guarantee() -> None:
    full = {"cpu": "1", "memory": "1Gi"}
    sure = {"resources": {"limits": full, "requests": full}}
    assert qos_class(pod(sure)) == "Guaranteed"
    assert qos_class(pod(sure, {})) == "Burstable"


def ready_since(seconds: int) -> dict:
    since = (NOW - timedelta(seconds=seconds)).isoformat()
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": since}
    return {"metadata": {}, "status": {"conditions": [ready]}}


def test_a_pod_is_available_once_ready_for_long_enough() -> None:
    assert is_available(ready_since(0), 0, NOW)
    assert not is_available(ready_since(9), 10, NOW)
    assert available_after(ready_since(9), 10, NOW) == timedelta(seconds=1)
    assert is_available(ready_since(10), 10, NOW)
    assert available_after({"status": {}}, 0, NOW) is None


def test_named_ports_are_found_by_protocol_and_in_sidecars() -> None:
    dns = [
        {"name": "dns", "containerPort": 53, "protocol": "UDP"},
        {"name": "dns", "containerPort": 5353},
    ]
    side = {"restartPolicy": "Always", "ports": [{"name": "metrics", "containerPort": 9090}]}
    init = {"ports": [{"name": "setup", "containerPort": 1}]}
    found = pod({"ports": dns}, inits=(side, init))
    assert port_number(found, "dns", "UDP") == 53
    assert port_number(found, "dns") == 5353
    assert port_number(found, "metrics") == 9090
    assert port_number(found, "setup") is None
    assert port_number(found, 80) == 80


@given(st.integers(0, 200), st.integers(0, 10_000))
def test_percentages_round_as_asked(percent: int, total: int) -> None:
    down = scaled_value(f"{percent}%", total, round_up=False)
    up = scaled_value(f"{percent}%", total, round_up=True)
    assert down <= Fraction(percent * total, 100) <= up <= down + 1


@pytest.mark.parametrize("bad", ["25", "%", "a%", "-1%", "2.5%", ""])
def test_what_is_no_percentage_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="not a percentage"):
        scaled_value(bad, 10, round_up=True)


def test_template_hash_ignores_order_and_minds_content() -> None:
    one, two = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert pod_template_hash(one) == pod_template_hash(two)
    assert pod_template_hash(one) != pod_template_hash({"a": 1})
    assert pod_template_hash(one) != pod_template_hash(one, 0)
    assert len(pod_template_hash(one)) == 10
