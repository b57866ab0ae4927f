"""What admission webhook configurations and APIServices may say, in upstream's sentences."""

from typing import Any

import pytest

from edgek.api.meta import Obj, deep_copy
from edgek.api.validation import FieldErrors
from edgek.kinds import (
    API_SERVICE,
    MUTATING_WEBHOOK_CONFIGURATION,
    VALIDATING_WEBHOOK_CONFIGURATION,
)
from edgek.kinds.kind import Kind


def problems(kind: Kind, obj: Obj) -> list[str]:
    kind.default(obj)
    errors = FieldErrors()
    kind.validate(obj, errors)
    return [str(e) for e in errors]


def example(kind: Kind) -> Obj:
    return deep_copy(dict(kind.example))


def test_defaults_are_upstreams() -> None:
    obj = example(MUTATING_WEBHOOK_CONFIGURATION)
    MUTATING_WEBHOOK_CONFIGURATION.default(obj)
    hook = obj["webhooks"][0]
    assert hook["rules"][0]["scope"] == "*"
    assert hook["clientConfig"]["service"]["port"] == 443
    fields = ("failurePolicy", "matchPolicy", "timeoutSeconds", "reinvocationPolicy")
    assert [hook[f] for f in fields] == ["Fail", "Equivalent", 10, "Never"]
    assert hook["namespaceSelector"] == hook["objectSelector"] == {}


RULE = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"name": "two.parts"},
            'webhooks[0].name: Invalid value: "two.parts": should be a domain with at least three '
            "segments separated by dots",
        ),
        ({"sideEffects": None}, "sideEffects: Required value: must specify one of None, None"),
        ({"sideEffects": "Some"}, 'Unsupported value: "Some": supported values: "None", "NoneOn'),
        ({"timeoutSeconds": 31}, "31: the timeout value must be between 1 and 30 seconds"),
        ({"failurePolicy": "Retry"}, 'supported values: "Fail", "Ignore"'),
        ({"admissionReviewVersions": ["v2"]}, "must include at least one of v1, v1beta1"),
        ({"admissionReviewVersions": []}, "must specify one of v1, v1beta1"),
        ({"clientConfig": {}}, "exactly one of url or service is required"),
        ({"clientConfig": {"url": "http://a/b"}}, "'https' is the only allowed URL scheme"),
        ({"clientConfig": {"url": "https://u:p@a/b"}}, "user information is not permitted"),
        ({"clientConfig": {"url": "https://a/b?c=d"}}, "query parameters are not permitted"),
        (
            {"clientConfig": {"service": {"name": "a", "namespace": "b", "path": "x//y"}}},
            "segment[",
        ),
        ({"rules": [RULE | {"operations": ["CREATE", "*"]}]}, "must not specify other operations"),
        (
            {"rules": [RULE | {"resources": ["pods/*", "pods/log"]}]},
            "if 'pods/*' is present, must not specify pods/log",
        ),
        ({"rules": [RULE | {"resources": ["*", "pods"]}]}, "other resources without subresources"),
        ({"rules": [RULE | {"scope": "Galaxy"}]}, 'supported values: "*", "Cluster", "Namespaced"'),
        ({"reinvocationPolicy": "Often"}, 'supported values: "IfNeeded", "Never"'),
        ({"matchConditions": [{"name": "a b", "expression": "true"}]}, "[0].name: Invalid value"),
        ({"matchConditions": [{"name": "a"}]}, "[0].expression: Required value"),
        (
            {"objectSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}},
            "objectSelector.matchExpressions[0].operator: Invalid value",
        ),
    ],
)
def test_a_webhook_that_cannot_be_asked_is_refused(change: Obj, says: str) -> None:
    obj = example(MUTATING_WEBHOOK_CONFIGURATION)
    obj["webhooks"][0].update(change)
    assert says in "\n".join(problems(MUTATING_WEBHOOK_CONFIGURATION, obj))


def test_two_webhooks_of_one_name_are_refused() -> None:
    obj = example(VALIDATING_WEBHOOK_CONFIGURATION)
    obj["webhooks"] *= 2
    (problem,) = problems(VALIDATING_WEBHOOK_CONFIGURATION, obj)
    assert problem == 'webhooks[1].name: Duplicate value: "pods.policy.example.com"'


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"groupPriorityMinimum": 0}, "must be positive and less than 20000"),
        ({"versionPriority": 1001}, "must be positive and less than 1000"),
        ({"caBundle": "YWJj"}, "may not be true if caBundle is present"),
        ({"service": {"name": "", "namespace": ""}}, "spec.service.name: Required value"),
        ({"service": {"name": "a", "namespace": "b", "port": 0}}, "port is not valid"),
        ({"service": None}, "local APIServices may not have insecureSkipTLSVerify"),
        ({"group": ""}, "only v1 may have an empty group and it better be legacy kube"),
        ({"version": "V1"}, "a DNS-1035 label must consist of"),
    ],
)
def test_an_api_service_that_cannot_be_reached_is_refused(spec: Obj, says: str) -> None:
    obj = example(API_SERVICE)
    obj["spec"].update(spec)
    assert says in "\n".join(problems(API_SERVICE, obj))


@pytest.mark.parametrize(
    ("condition", "cell"),
    [
        (None, "Unknown"),
        ({"status": "True", "reason": "Passed"}, "True"),
        ({"status": "False", "reason": "MissingEndpoints"}, "False (MissingEndpoints)"),
    ],
)
def test_the_table_tells_why_nobody_answers(condition: dict[str, Any] | None, cell: str) -> None:
    obj = example(API_SERVICE)
    if condition:
        obj["status"] = {"conditions": [{"type": "Available", **condition}]}
    cells = [column.read(obj) for column in API_SERVICE.columns]
    assert cells[1:3] == ["kube-system/metrics-server", cell]
