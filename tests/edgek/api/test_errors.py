"""An error is the same on both ends of the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgek.api import errors
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds import DEPLOYMENT, POD

details = st.dictionaries(st.sampled_from(["name", "kind", "group"]), st.text(min_size=1))


@given(st.sampled_from(errors.ALL), st.text(min_size=1), details)
def test_every_error_survives_the_wire(
    cls: type[errors.ApiError], message: str, details: dict
) -> None:
    sent = cls(message, details=details)
    got = errors.from_status(sent.to_status())
    assert type(got) is cls
    assert (got.message, got.details, got.code) == (message, details, cls.code)


@pytest.mark.parametrize(
    ("error", "message", "kind"),
    [
        (errors.NotFound.of(POD, "web"), 'pods "web" not found', "pods"),
        (
            errors.NotFound.of(DEPLOYMENT, "web"),
            'deployments.apps "web" not found',
            "deployments",
        ),
        (errors.AlreadyExists.of(POD, "web"), 'pods "web" already exists', "pods"),
        (
            errors.Conflict.of(POD, "web"),
            'Operation cannot be fulfilled on pods "web": the object has been modified; please '
            "apply your changes to the latest version and try again",
            "pods",
        ),
        (errors.Forbidden.of(POD, "web", "why"), 'pods "web" is forbidden: why', "pods"),
        (errors.Forbidden.of(POD, "", "why"), "pods is forbidden: why", "pods"),
    ],
)
def test_sentences_are_upstreams(error: errors.ApiError, message: str, kind: str) -> None:
    status = error.to_status()
    assert status["message"] == message
    assert status["details"]["kind"] == kind
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")


def test_invalid_names_the_kind_and_every_cause() -> None:
    found = FieldErrors()
    found.required(FieldPath("spec").child("a"))
    one = errors.Invalid.of(DEPLOYMENT, "web", found)
    assert one.message == 'Deployment.apps "web" is invalid: spec.a: Required value'
    found.invalid(FieldPath("spec").child("b").index(0), "x", "is bad")
    two = errors.Invalid.of(DEPLOYMENT, "web", found)
    assert two.message == (
        'Deployment.apps "web" is invalid: [spec.a: Required value, '
        'spec.b[0]: Invalid value: "x": is bad]'
    )
    assert two.details["kind"] == "Deployment"
    assert two.details["causes"][1] == {
        "reason": "FieldValueInvalid",
        "message": 'Invalid value: "x": is bad',
        "field": "spec.b[0]",
    }


def test_a_status_of_an_unknown_reason_is_read_by_its_code() -> None:
    assert type(errors.from_status({"reason": "New", "code": 404})) is errors.NotFound
    assert type(errors.from_status({}, code=429)) is errors.TooManyRequests
    assert type(errors.from_status({})) is errors.InternalError


def test_retry_after_is_told_to_clients() -> None:
    error = errors.TooManyRequests.after("slow down", 3)
    assert errors.from_status(error.to_status()).retry_after == 3
