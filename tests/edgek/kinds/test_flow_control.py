"""Mistakes in FlowSchemas and PriorityLevelConfigurations, in upstream's words."""

from typing import Any

import pytest

from edgek.api.validation import FieldErrors
from edgek.kinds.flow_control import MANDATORY_FLOWS, MANDATORY_LEVELS
from tests.support.mistakes import KINDS, made, put, told

RULE = ("spec", "rules", 0)
SUBJECT = (*RULE, "subjects", 0)
RESOURCES = (*RULE, "resourceRules", 0)
LIMITED = ("spec", "limited")
QUEUING = (*LIMITED, "limitResponse", "queuing")


@pytest.mark.parametrize(
    ("plural", "path", "value", "sentence"),
    [
        ("flowschemas", ("spec", "matchingPrecedence"), 0, "must be a positive value"),
        ("flowschemas", ("spec", "matchingPrecedence"), 10001, "must not be greater than 10000"),
        ("flowschemas", ("spec", "matchingPrecedence"), 1, "only the schema named 'exempt' may"),
        ("flowschemas", ("spec", "distinguisherMethod", "type"), "ByLuck", "Unsupported value"),
        ("flowschemas", ("spec", "priorityLevelConfiguration"), {}, "must reference a priority"),
        ("flowschemas", (*RULE, "subjects"), [], "subjects must contain at least one value"),
        (
            "flowschemas",
            SUBJECT,
            {"kind": "Group"},
            "spec.rules[0].subjects[0].group: Required value: group is required when subject kind "
            "is 'Group'",
        ),
        ("flowschemas", (*SUBJECT, "user"), {"name": "a"}, "user is forbidden when subject kind"),
        ("flowschemas", (*SUBJECT, "kind"), "Robot", "spec.rules[0].subjects[0].kind: Unsupported"),
        (
            "flowschemas",
            SUBJECT,
            {"kind": "ServiceAccount", "serviceAccount": {"name": "*"}},
            "must specify namespace for service account",
        ),
        ("flowschemas", (*RULE, "resourceRules"), [], "at least one of resourceRules and nonReso"),
        ("flowschemas", (*RESOURCES, "verbs"), ["*", "get"], "must not specify other verbs"),
        (
            "flowschemas",
            (*RESOURCES, "verbs"),
            ["look"],
            "spec.rules[0].resourceRules[0].verbs: Un",
        ),
        ("flowschemas", (*RESOURCES, "apiGroups"), [], "must supply at least one api group"),
        ("flowschemas", (*RESOURCES, "namespaces"), [], "that are not cluster scoped must supply"),
        ("flowschemas", (*RESOURCES, "namespaces"), ["A"], "each member of this list must be '*'"),
        (
            "flowschemas",
            (*RULE, "nonResourceRules"),
            [{"verbs": ["get"], "nonResourceURLs": ["/a*b"]}],
            "wildcard can only do suffix matching",
        ),
        (
            "flowschemas",
            ("status", "conditions"),
            [{"type": "Dangling"}, {"type": "Dangling"}],
            'status.conditions[1].type: Duplicate value: "Dangling"',
        ),
        ("prioritylevelconfigurations", ("spec", "type"), "Exempt", "if and only if name is 'exem"),
        ("prioritylevelconfigurations", LIMITED, None, "must not be empty when type is Limited"),
        ("prioritylevelconfigurations", ("spec", "exempt"), {}, "must be nil if the type is Limit"),
        ("prioritylevelconfigurations", (*LIMITED, "lendablePercent"), 101, "between 0 and 100"),
        ("prioritylevelconfigurations", (*LIMITED, "nominalConcurrencyShares"), -1, "non-negative"),
        ("prioritylevelconfigurations", QUEUING, None, "queuing: Required value: must not be emp"),
        ("prioritylevelconfigurations", (*QUEUING, "handSize"), 65, "greater than queues (64)"),
        (
            "prioritylevelconfigurations",
            (*QUEUING, "handSize"),
            11,
            "required entropy bits of deck",
        ),
        (
            "prioritylevelconfigurations",
            (*QUEUING, "queues"),
            -1,
            "queues: Invalid value: -1: must",
        ),
    ],
)
def test_a_mistake_is_told_at_its_field(
    plural: str, path: tuple[str | int, ...], value: Any, sentence: str
) -> None:
    found = told(plural, (path, value))
    assert any(sentence in text for text in found), found


@pytest.mark.parametrize(
    ("plural", "name", "spec"),
    [("flowschemas", n, s) for n, s in MANDATORY_FLOWS.items()]
    + [("prioritylevelconfigurations", n, s) for n, s in MANDATORY_LEVELS.items()],
)
def test_mandatory_objects_stay_as_they_are(plural: str, name: str, spec: dict[str, Any]) -> None:
    kind = KINDS[plural]
    obj = made(kind) | {"metadata": {"name": name}, "spec": spec}
    right, wrong = FieldErrors(), FieldErrors()
    kind.validate(obj, right)
    kind.validate(put(obj, ("spec",), {**spec, "extra": 1}), wrong)
    assert not right
    assert any("must equal the fixed value" in str(e) for e in wrong)


def test_shares_of_the_exempt_level_may_change() -> None:
    spec = MANDATORY_LEVELS["exempt"] | {"exempt": {"nominalConcurrencyShares": 5}}
    kind, errors = KINDS["prioritylevelconfigurations"], FieldErrors()
    kind.validate(made(kind) | {"metadata": {"name": "exempt"}, "spec": spec}, errors)
    assert not errors
