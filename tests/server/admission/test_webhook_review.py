"""AdmissionReview: what the answers of webhooks mean, and the older version of it."""

import pytest

from edgek.api.meta import Obj
from edgek.kinds import CONFIG_MAP, NAMESPACE
from edgek.kinds.kind import Kind
from server.admission.chain import Attributes
from server.admission.webhooks.hooks import hook_of
from server.admission.webhooks.review import (
    BadAnswer,
    Question,
    add_warnings,
    denial,
    review_of,
    verdict_of,
)
from server.request.model import User

PATCH = "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2EiLCJ2YWx1ZSI6MX1d"
USER = User(name="jane", uid="7", groups=("a", "b"), extra={"scopes": ("x",)})


def question(*versions: str, kind: Kind = CONFIG_MAP) -> Question:
    webhook = {"name": "h.example.com", "admissionReviewVersions": list(versions or ("v1",))}
    return Question(hook=hook_of("c", webhook, 0), kind=kind, obj={"a": 1}, old=None, uid="u-1")


def answer(**response: object) -> Obj:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "u-1", "allowed": True, **response},
    }


@pytest.mark.parametrize(
    ("given", "mutating", "says"),
    [
        ({}, True, "webhook response was absent"),
        (answer(uid="u-2"), True, 'expected response.uid="u-1", got "u-2"'),
        (
            {**answer(), "apiVersion": "v1", "kind": "Pod"},
            True,
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /v1, "
            "Kind=Pod",
        ),
        (answer(patch=PATCH), True, "response.patch but not response.patchType"),
        (answer(patchType="JSONPatch"), True, "response.patchType but not response.patch"),
        (answer(patch=PATCH, patchType="Merge"), True, 'unsupported patch type "Merge"'),
        (answer(patch="%%%", patchType="JSONPatch"), True, "received undecodable patch"),
        (answer(patch="e30=", patchType="JSONPatch"), True, "it is no list"),
        (answer(patch=PATCH, patchType="JSONPatch"), False, "may not return response.patch"),
        (answer(allowed="yes"), False, "cannot be decoded"),
    ],
)
def test_an_answer_that_is_none_says_why(given: Obj, mutating: bool, says: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        verdict_of(given, question(), mutating=mutating)
    assert says in str(caught.value)


def test_the_older_version_is_asked_and_understood_where_a_webhook_knows_no_other() -> None:
    asked = question("v2", "v1beta1")
    attributes = Attributes(
        operation="CREATE", kind=CONFIG_MAP, namespace="default", name="x", user=USER
    )
    assert review_of(attributes, asked)["apiVersion"] == "admission.k8s.io/v1beta1"
    verdict = verdict_of({"response": {"allowed": True, "patch": PATCH}}, asked, mutating=True)
    assert verdict.patch == [{"op": "add", "path": "/a", "value": 1}]


def test_who_asks_is_told_in_full_and_a_namespace_counts_as_in_itself() -> None:
    attributes = Attributes(
        operation="UPDATE", kind=NAMESPACE, namespace="", name="blue", user=USER
    )
    request = review_of(attributes, question(kind=NAMESPACE))["request"]
    assert request["userInfo"] == {
        "username": "jane", "uid": "7", "groups": ["a", "b"], "extra": {"scopes": ["x"]}
    }  # fmt: skip
    assert (request["name"], request["namespace"]) == ("blue", "blue")
    assert request["options"] is None


@pytest.mark.parametrize(
    ("result", "code", "message"),
    [
        (None, 400, "denied the request without explanation"),
        ({"code": 200, "status": "Success"}, 400, "denied the request without explanation"),
        ({"code": 418, "reason": "Teapot"}, 418, "denied the request: Teapot"),
        ({"code": 409, "message": "later"}, 409, "denied the request: later"),
        ({"code": "x", "details": 1}, 400, "without explanation"),
    ],
)
def test_a_denial_is_always_a_failure(result: Obj | None, code: int, message: str) -> None:
    refused = denial("h.example.com", result)
    status = refused.to_status()
    assert (refused.code, status["status"], status["code"]) == (code, "Failure", code)
    assert status["message"].startswith('admission webhook "h.example.com" ')
    assert status["message"].endswith(message)


def test_warnings_are_told_once_and_not_without_end() -> None:
    known: list[str] = []
    add_warnings(known, ["a", "a", ""])
    assert known == ["a"]
    add_warnings(known, [f"{n}{'x' * 900}" for n in range(100)])
    assert sum(map(len, known)) <= 4096
    assert len(known[-1]) == 256
