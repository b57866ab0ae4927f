"""How much an audit policy says of a request."""

from typing import Any

import pytest

from edgek.api.meta import Obj
from server.audit.policy import parse_policy
from server.request.info import parse_request_info
from server.request.model import User

ANN = User(name="ann", groups=("dev", "system:authenticated"))


def policy(*rules: Obj, **more: Any) -> Any:
    found = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": list(rules), **more}
    return parse_policy(found)


POD = "GET /api/v1/namespaces/shop/pods/web"
LOG = f"{POD}/log"


@pytest.mark.parametrize(
    ("rule", "request_", "matches"),
    [
        ({}, POD, True),
        ({"users": ["ann"]}, POD, True),
        ({"users": ["bob"]}, POD, False),
        ({"userGroups": ["ops", "dev"]}, POD, True),
        ({"userGroups": ["ops"]}, POD, False),
        ({"verbs": ["get"]}, POD, True),
        ({"verbs": ["list"]}, POD, False),
        ({"namespaces": ["shop"]}, POD, True),
        ({"namespaces": ["other"]}, POD, False),
        ({"namespaces": [""]}, "GET /api/v1/nodes/a", True),
        ({"namespaces": ["shop"]}, "GET /healthz", False),
        ({"resources": [{"resources": ["pods"]}]}, POD, True),
        ({"resources": [{"resources": ["pods"]}]}, LOG, False),
        ({"resources": [{"resources": ["pods/log"]}]}, LOG, True),
        ({"resources": [{"resources": ["pods/*"]}]}, LOG, True),
        ({"resources": [{"resources": ["pods/*"]}]}, POD, True),
        ({"resources": [{"resources": ["*/log"]}]}, LOG, True),
        ({"resources": [{"resources": ["*"]}]}, LOG, True),
        ({"resources": [{"group": "apps", "resources": ["pods"]}]}, POD, False),
        ({"resources": [{"group": ""}]}, POD, True),
        ({"resources": [{"resources": ["pods"], "resourceNames": ["web"]}]}, POD, True),
        ({"resources": [{"resources": ["pods"], "resourceNames": ["db"]}]}, POD, False),
        ({"nonResourceURLs": ["/healthz*"]}, "GET /healthz/ping", True),
        ({"nonResourceURLs": ["/version"]}, "GET /healthz", False),
        ({"nonResourceURLs": ["*"]}, POD, False),
    ],
)
def test_a_rule_is_about_what_it_names(rule: Obj, request_: str, matches: bool) -> None:
    method, _, path = request_.partition(" ")
    info = parse_request_info(method, path, {})
    detail = policy({"level": "Request", **rule}).detail_of(ANN, info)
    assert detail.level == ("Request" if matches else "None")


def test_the_first_rule_that_matches_decides() -> None:
    both = policy({"level": "None", "verbs": ["get"]}, {"level": "Metadata"})
    assert both.detail_of(ANN, parse_request_info("GET", "/version", {})).level == "None"
    assert both.detail_of(ANN, parse_request_info("POST", "/version", {})).level == "Metadata"


def test_stages_and_managed_fields_are_left_out_where_either_says_so() -> None:
    rules = ({"level": "Request", "omitStages": ["Panic"], "omitManagedFields": False},)
    found = policy(*rules, omitStages=["RequestReceived"], omitManagedFields=True)
    detail = found.detail_of(None, parse_request_info("GET", "/version", {}))
    assert detail.omitted == {"RequestReceived", "Panic"}
    assert detail.managed_fields


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], "the file is no Policy"),
        ({"kind": "Policy", "apiVersion": "audit.k8s.io/v2"}, "apiVersion must be"),
        ({"kind": "Policy", "apiVersion": "audit.k8s.io/v1"}, "the policy has no rules"),
    ],
)
def test_what_is_no_policy_is_refused(found: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_policy(found)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"level": "All"}, r"rules\[0\].level must be one of None, Metadata"),
        ({"level": "None", "users": "ann"}, r"rules\[0\].users must be a list"),
        ({"level": "None", "omitStages": ["End"]}, "'End' is not one of RequestReceived"),
        ({"level": "None", "resources": ["pods"]}, "must be objects with group and resources"),
        (
            {"level": "None", "resources": [{"resourceNames": ["a"]}]},
            "using resourceNames requires at least one resource",
        ),
        (
            {"level": "None", "namespaces": ["a"], "nonResourceURLs": ["/"]},
            "cannot apply to both regular resources and non-resource URLs",
        ),
    ],
)
def test_a_rule_that_cannot_be_is_named(rule: Obj, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        policy(rule)
